"""Counting what a network does: every kind of operation, and the figures of other tools."""

from __future__ import annotations

import io

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from benchmark.api import Network
from benchmark.registry import METHODS, create
from benchmark.studies.cost import counting
from benchmark.studies.cost.counting import (
    CounterCheck,
    count_network,
    count_thop_style,
    tally_operations,
)


class Does(nn.Module):
    """A network that is one function."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def network(build, *shapes) -> Network:
    """`shapes` with None for height and width, in this order."""
    return Network(
        forms={"": build},
        shapes=lambda height, width: tuple(
            shape if shape[-1] else (*shape[:-2], height, width) for shape in shapes
        ),
    )


def count(build, height=8, width=12, channels=4):
    return count_network(network(build, (1, channels, None, None)), "", height, width)


# A sum of products of ones is the number of products: with ones everywhere, a network adds up its
# own MACs.


@pytest.mark.slow
@settings(max_examples=40)
@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 3),
    st.booleans(),
)
def test_any_convolution_is_counted_exactly(
    groups, inputs, outputs, kernel, stride, dilation, transposed
):
    x = torch.ones(2, groups * inputs, 12, 11)
    shape = (
        (groups * inputs, outputs, kernel, 2)
        if transposed
        else (groups * outputs, inputs, kernel, 2)
    )
    function = F.conv_transpose2d if transposed else F.conv2d
    options = {"stride": stride, "dilation": dilation, "groups": groups}
    output = function(x, torch.ones(shape), **options)
    tally = tally_operations(
        Does(lambda inputs: function(inputs, torch.ones(shape), **options)), [x]
    )
    assert tally.operations == {"convolution": int(output.double().sum())}


@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (lambda a, b: a @ b, [(3, 5, 4), (3, 4, 6)]),
        (lambda a, b: a @ b, [(5, 4), (4, 6)]),
        (lambda a, b: a @ b, [(5, 4), (4,)]),
        (lambda a, b: torch.einsum("ncij,ncjk->nik", a, b), [(2, 3, 5, 4), (2, 3, 4, 6)]),
        (F.linear, [(2, 7, 5, 4), (6, 4)]),
        (lambda a, b: torch.baddbmm(torch.zeros(3, 5, 6), a, b), [(3, 5, 4), (3, 4, 6)]),
        (lambda a, b: torch.addmm(torch.zeros(5, 6), a, b), [(5, 4), (4, 6)]),
    ],
)
def test_any_matrix_product_is_counted_exactly(function, shapes):
    inputs = [torch.ones(shape) for shape in shapes]
    tally = tally_operations(Does(function), inputs)
    assert sum(tally.operations.values()) == int(function(*inputs).sum())
    assert not tally.uncounted


def test_attention_is_counted_as_its_two_products():
    result = count_network(
        network(lambda: Does(F.scaled_dot_product_attention), *[(1, 2, None, None)] * 3), "", 8, 12
    )
    assert result.macs == 2 * (2 * 8 * 8 * 12)
    assert result.checks["torch"].ratio == 1


def test_padding_counts_as_in_convolutions_without_it():
    assert count(lambda: nn.Conv2d(4, 5, 3, padding=1)).macs == 5 * 4 * 9 * 8 * 12
    assert count(lambda: nn.Conv2d(4, 5, 2, padding="same")).macs == 5 * 4 * 4 * 8 * 12


def test_products_of_tensors_are_counted_apart():
    def gated(x):
        x = 2 * x + x.mean()
        return (x * torch.sigmoid(x)).addcmul_(x, x)

    result = count(lambda: Does(gated))
    assert result.macs == 0
    assert result.products == 2 * 4 * 8 * 12


def test_what_is_no_mac_is_silent_and_what_is_not_known_is_named():
    quiet = nn.Sequential(
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.BatchNorm2d(4),
        nn.GroupNorm(2, 4),
        nn.GELU(),
        nn.MaxPool2d(2),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.PixelShuffle(2),
        nn.AdaptiveAvgPool2d(1),
        nn.Dropout(),
        nn.Softmax(1),
        nn.LeakyReLU(),
    )
    assert count(lambda: quiet).uncounted == {}
    loud = count(lambda: Does(lambda x: torch.fft.rfft2(x).abs() + torch.fft.rfft2(x).real))
    assert loud.uncounted == {"_fft_r2c": 2}


def test_a_count_takes_no_memory_for_pictures():
    side = 200_000  # 480 GB of input alone
    assert count(lambda: nn.Conv2d(4, 8, 3, padding=1), side, side).macs == 8 * 4 * 9 * side**2


def test_both_checks_agree_where_everything_occurs():
    class Everything(nn.Module):
        def __init__(self):
            super().__init__()
            self.up = nn.ConvTranspose2d(4, 6, 4, stride=2, padding=1)
            self.same = nn.Conv2d(6, 6, 3, padding="same")
            self.line = nn.Linear(5, 7)

        def forward(self, x):
            kernels = torch.ones(12, 1, 3, 3)
            y = F.conv2d(self.same(self.up(x)), kernels[:6], groups=6, padding=1)
            product = torch.einsum("nchw,ndhw->ncd", y, y) @ y.flatten(2)
            return self.line(product.mean(2)[..., None].expand(-1, -1, 5))

    checks = count(Everything).checks
    assert checks["torch"] == CounterCheck(1.0)
    assert checks["fvcore"].ratio == pytest.approx(1, abs=1e-3) and not checks["fvcore"].difference


def test_a_check_that_cannot_or_does_not_agree_says_why():
    def refuses(x):
        if x.shape[-1] == counting.FVCORE_SIZE[1]:
            raise ValueError("too small a picture")
        return F.conv2d(x, torch.ones(3, 4, 1, 1))

    result = count(lambda: Does(refuses))
    assert result.macs == 3 * 4 * 8 * 12
    assert result.checks["fvcore"] == CounterCheck(None, "ValueError: too small a picture")

    class Halves(nn.Module):
        """Does half of the work where a tracer follows it."""

        def forward(self, x):
            return F.conv2d(x[:, :, :32] if torch.jit.is_tracing() else x, torch.ones(3, 4, 1, 1))

    check = count(Halves, *counting.FVCORE_SIZE).checks["fvcore"]
    assert check.ratio == 0.5 and "24576 MACs against 49152" in check.difference
    assert counting._compare_mac_counts({"mm": 1}, {"mm": 2}) == CounterCheck(
        0.5, "mm: 1 MACs against 2"
    )
    assert count(lambda: Does(lambda x: x)).checks["torch"].ratio is None


def test_every_operation_that_differs_is_told():
    theirs = {"mm": 1, "bmm": 7, "conv": 6}
    ours = {"mm": 2, "conv": 5, "bmm": 7, "einsum": 9}
    difference = "mm: 1 MACs against 2, conv: 6 MACs against 5, einsum: 0 MACs against 9"
    check = counting._compare_mac_counts(theirs, ours)
    assert check == CounterCheck(14 / 23, difference)


def test_weights_are_counted_once_and_statistics_apart():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(4, 4, 3, padding=1)
            self.second = self.first
            self.norm = nn.BatchNorm2d(4)
            self.register_buffer("kernels", torch.zeros(1000), persistent=False)

        def forward(self, x):
            return self.norm(self.second(self.first(x)))

    result = count(Shared)
    assert result.parameters == 4 * 4 * 9 + 4 + 8
    assert result.weight_bytes == 4 * result.parameters
    assert result.buffer_bytes == 2 * 4 * 4 + 8  # mean, variance, and a 64-bit counter
    assert result.macs == 2 * 4 * 4 * 9 * 8 * 12


def test_the_file_size_is_that_of_torch_save():
    file = io.BytesIO()
    layers = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))
    torch.save(dict(layers.state_dict()), file)
    assert count(lambda: layers).saved_bytes == pytest.approx(file.tell(), rel=0.01)


@pytest.mark.parametrize(
    (
        "layer",
        "printed",
    ),  # as thop 0.0.31.post2005241907 printed them for a picture of 1 x 4 x 8 x 12
    [
        (nn.Conv2d(4, 6, 3, padding=1), 21312),
        (nn.Conv2d(4, 6, 3, padding=1, bias=False), 20736),
        (nn.Conv2d(4, 6, 3, padding=1, groups=2), 10944),
        (nn.ConvTranspose2d(4, 6, 2, stride=2), 39168),
        (nn.BatchNorm2d(4), 768),
        (nn.ReLU(), 0),
        (nn.Sigmoid(), 0),
        (nn.LeakyReLU(), 384),
        (nn.MaxPool2d(2), 0),
        (nn.AvgPool2d(2), 96),
        (nn.AdaptiveAvgPool2d(1), 388),
        (nn.Upsample(scale_factor=2), 0),
        (nn.Upsample(scale_factor=2, mode="bilinear"), 16896),
        (nn.Upsample(scale_factor=2, mode="bicubic"), 397824),
        (nn.Linear(12, 5), 1920),
    ],
)
def test_thop_style_figures_are_those_of_thop(layer, printed):
    x = torch.zeros(1, 4, 8, 12)
    assert count_thop_style(layer, x, layer(x)) == printed
    assert count(lambda: nn.Sequential(layer)).thop == printed


def test_thop_is_blind_to_functional_calls():
    result = count(lambda: Does(lambda x: F.conv2d(x, torch.ones(4, 4, 3, 3))))
    assert result.thop == 0 and result.macs == 16 * 9 * 6 * 10


@pytest.mark.parametrize(
    ("parameters", "printed", "weights"),
    [
        ("", 603.5, 1_409_131),
        (",scales=1", 459.7, 1_409_131),
        (",memory=convolution", 418.7, 1_109_799),
    ],
)
def test_the_figures_of_the_gkmnet_paper_are_thops(parameters, printed, weights):
    method = create(METHODS, f"gkmnet:variant=official{parameters}")[0]
    result = count_network(method.network(), "dense GCM", 1120, 1680)
    assert result.parameters == weights
    assert result.thop / 1e9 == pytest.approx(printed, abs=0.1)
    assert result.uncounted == {}
    assert result.checks["torch"] == result.checks["fvcore"] == CounterCheck(1.0)


def test_the_filters_of_gkmnet_are_counted():
    method = create(METHODS, "gkmnet:variant=official")[0]
    dense, separable = (
        count_network(method.network(), form, 112, 160) for form in ("dense GCM", "separable GCM")
    )
    steps = 112 * 160 * (1 + 1 / 4 + 1 / 16)
    assert dense.macs - separable.macs > 0.9 * 2 * 66 * 21 * 21 * steps - 2 * 66 * 2 * 21 * steps
    assert dense.thop == separable.thop
