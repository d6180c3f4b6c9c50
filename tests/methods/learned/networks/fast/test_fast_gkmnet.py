"""The fast and the trainable GKMNet against the plain one."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark.api import Observation
from benchmark.conformance import check_method
from benchmark.methods.learned.networks.fast import gkmnet as fast_gkmnet
from benchmark.methods.learned.networks.fast.gkmnet_training import TrainableGkmNet
from benchmark.methods.learned.networks.gkmnet import (
    Decoder,
    Filtering,
    Form,
    GkmNet,
    use_batch_statistics,
)
from benchmark.registry import METHODS, create
from tests.methods.random_weights import draw

FORMS = {
    "paper": Form(),
    "official": Form("official"),
    "v2": Form("v2"),
    "sram": Form(head="sram"),
    "sram, added": Form(head="sram", output="added"),
    "official, added": Form("official", output="added"),
    "one scale": Form(scales=1),
    "three rounds at one scale": Form(scales=1, rounds=3),
    "unshared rounds": Form(scales=2, rounds=2, shared=False),
    "learned kernels": Form(kernels="xavier"),
    "learned kernels, official": Form("official", kernels="gaussian"),
    "no memory": Form(memory="convolution"),
    "resized": Form(decoder="resized"),
    "resized, no memory": Form(memory="convolution", decoder="resized"),
}


def network(form: Form, filtering: Filtering = "dense") -> GkmNet:
    """Return a network whose every part matters: statistics that are not neutral, biases, strong
    mixing.
    """
    torch.manual_seed(0)
    network = GkmNet(form, filtering)
    for name, value in [*network.named_parameters(), *network.named_buffers()]:
        if name.endswith(("bias", "running_mean")):
            nn.init.normal_(value, std=0.1)
        elif name.endswith("running_var"):
            nn.init.uniform_(value, 0.5, 1.5)
        elif name.startswith("mixes"):
            nn.init.normal_(value, std=0.4)
    return network.eval().requires_grad_(False)


def picture(height: int = 48, width: int = 64, seed: int = 1) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(
    "megabytes", [0.0, 0.7, 4000.0], ids=["little kept", "some kept", "all kept"]
)
def test_fast_and_plain_form_agree(
    form: Form, megabytes: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_gkmnet, "STRIP_ROWS", 2)
    monkeypatch.setattr(
        fast_gkmnet, "STRIP_MEGABYTES", 0.02
    )  # two rows at the full size, more at the coarser ones
    monkeypatch.setattr(fast_gkmnet, "FEATURES_IN_MEMORY", megabytes)
    plain = network(form)
    expected = plain(picture())
    assert expected.std() > 0.02
    assert torch.allclose(fast_gkmnet.make_fast_gkmnet(plain)(picture()), expected, atol=1e-5)


@pytest.mark.parametrize("decoder", ["transposed", "resized"])
@pytest.mark.parametrize("megabytes", [0.001, 0.05, 0.13, 100.0])
def test_the_height_of_the_strips_changes_nothing(
    megabytes: float, decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_gkmnet, "STRIP_ROWS", 2)
    monkeypatch.setattr(fast_gkmnet, "STRIP_MEGABYTES", megabytes)
    plain = network(Form(decoder=decoder))
    x = picture(96, 32)
    assert torch.allclose(fast_gkmnet.FastGkmNet(plain)(x), plain(x), atol=1e-5)


def test_every_picture_of_a_batch_is_its_own() -> None:
    fast = fast_gkmnet.FastGkmNet(network(Form()))
    pair = torch.cat([picture(seed=1), picture(seed=2)])
    assert torch.equal(fast(pair), torch.cat([fast(picture(seed=1)), fast(picture(seed=2))]))


def test_batch_statistics_are_those_of_the_released_test_program() -> None:
    """It never calls eval(), so each picture is normalised by its own statistics; running ones must
    not matter.
    """
    training = network(Form("official")).train()
    expected = training(picture())
    plain = network(Form("official"))
    use_batch_statistics(plain)
    fast = fast_gkmnet.make_fast_gkmnet(plain)
    fast(picture(seed=2))
    assert torch.allclose(fast(picture()), expected, atol=1e-5)
    running = fast_gkmnet.make_fast_gkmnet(network(Form("official")))
    assert (running(picture()) - expected).abs().max() > 0.01


def test_a_picture_without_statistics_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHMARK_CHECKPOINTS", str(tmp_path))
    draw(tmp_path, "gkmnet:variant=official")
    small = Observation(np.zeros((16, 9, 3), np.float32))
    assert "bn=running" in (create(METHODS, "gkmnet.drawn")[0].skip(small) or "")
    assert create(METHODS, "gkmnet.drawn:bn=running")[0].skip(small) is None
    assert (
        create(METHODS, "gkmnet.drawn")[0].skip(Observation(np.zeros((16, 17, 3), np.float32)))
        is None
    )


@pytest.mark.parametrize("variant", ["paper", "official", "v2"])
def test_every_form_has_the_gradients_of_the_dense_one(variant: str) -> None:
    form = Form(variant, scales=2)  # type: ignore[arg-type]
    plain = network(form)
    forms = [plain, network(form, "separable"), network(form, "banded")]
    all_gradients = []
    for form_network in forms:
        form_network.load_state_dict(plain.state_dict())
        form_network.double().requires_grad_(True)
        x = picture(24, 32).double().requires_grad_(True)
        form_network(x).square().sum().backward()
        assert x.grad is not None
        all_gradients.append(
            [
                x.grad,
                *(
                    value.grad
                    for _, value in sorted(form_network.named_parameters())
                    if value.grad is not None
                ),
            ]
        )
    for gradients in all_gradients[1:]:
        assert len(gradients) == len(all_gradients[0]) > 50
        for a, b in zip(all_gradients[0], gradients, strict=True):
            assert torch.allclose(a, b, rtol=1e-5, atol=1e-5 * float(a.abs().max() + 1e-12))


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_form_that_is_trained_is_the_plain_one(form: Form) -> None:
    plain = network(form)
    trained = TrainableGkmNet(form)
    assert trained.state_dict().keys() == plain.state_dict().keys()
    trained.load_state_dict(plain.state_dict())
    all_gradients = []
    for form_network in (plain, trained):
        form_network.train().double().requires_grad_(True)
        x = torch.cat([picture(32, 48), picture(32, 48).flip(2)]).double().requires_grad_(True)
        scales = form_network.scales(x)
        sum(scale.square().mean() for scale in scales).backward()  # type: ignore[union-attr]
        assert x.grad is not None
        gradients = {
            name: value.grad
            for name, value in form_network.named_parameters()
            if value.grad is not None
        }
        all_gradients.append(([*(scale.detach() for scale in scales), x.grad], gradients))
    assert all_gradients[0][1].keys() == all_gradients[1][1].keys()
    for a, b in zip(*(outputs for outputs, _ in all_gradients), strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-5 * float(a.abs().max()))
    largest = max(float(value.abs().max()) for value in all_gradients[0][1].values())
    for a, b in zip(*(gradients.values() for _, gradients in all_gradients), strict=True):
        assert torch.allclose(
            a, b, rtol=1e-4, atol=1e-6 * largest
        )  # biases before BatchNorm have none but rounding


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_under_autocast_features_are_coarse_and_pictures_are_not(form: Form) -> None:
    network, y = TrainableGkmNet(form), torch.cat([picture(32, 48), picture(32, 48).flip(2)])
    exact = network(y)
    with torch.autocast("cpu", torch.bfloat16):
        coarse = network(y)
        mixtures = []
        if form.head == "gkm":
            gates = torch.full((2, form.gates, 32, 48), 0.5)
            for kind in (torch.float32, torch.bfloat16):
                mixtures.append(network.mix_responses(network.mixes[-1], gates.to(kind), y, y))
    coarse.float().square().mean().backward()
    assert not torch.equal(exact, coarse)
    assert (exact - coarse).norm() < 0.05 * exact.norm()
    assert all(
        value.grad.isfinite().all() for value in network.parameters() if value.grad is not None
    )
    for mixture in mixtures:
        assert mixture.dtype == torch.float32
        assert torch.equal(mixture, mixtures[0])
    if mixtures:
        expected = network.mix_responses(
            network.mixes[-1], torch.full((2, form.gates, 32, 48), 0.5), y, y
        )
        assert torch.equal(mixtures[0], expected)


def test_the_fast_form_keeps_its_weights_to_itself() -> None:
    plain = network(Form(scales=1))
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    fast_gkmnet.FastGkmNet(plain)(picture())
    assert all(torch.equal(before[name], value) for name, value in plain.state_dict().items())


@pytest.mark.parametrize(
    "text", ["gkmnet", "gkmnet:variant=official", "gkmnet:variant=v2,pad=black"]
)
def test_contract_at_odd_sizes(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHMARK_CHECKPOINTS", str(tmp_path))
    monkeypatch.setattr(
        "benchmark.checkpoints.SHIPPED_FOLDER", tmp_path
    )  # what ships has another structure
    draw(tmp_path, text)
    results = list(check_method(text))
    assert [result for result in results if not result.passes] == []
    assert [r.name for r in results if r.detail.startswith("does not apply")] == [
        "The blur map, if it makes one, is H x W float32, finite and not negative",
        "It asks for the truth on its card before it uses it",
    ]
