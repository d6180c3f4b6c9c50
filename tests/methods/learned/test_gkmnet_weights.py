"""The importer of the released GKMNet, and the command `import`.

The authors' file was never at hand. What stands for it here is a state dict of the same names and
shapes, and `Released`, their network written down by those names; both come from a description of
their program.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from torch import Tensor, nn

from benchmark import checkpoint_import, checkpoints, cli
from benchmark.api import DataError, Importer, ImporterCard, Observation, UsageError
from benchmark.cli import listing
from benchmark.methods.learned.gkmnet_weights import GkmNetOfficial
from benchmark.methods.learned.networks.gkmnet import Form, GkmNet
from benchmark.registry import IMPORTERS, METHODS, create

State = dict[str, Tensor]

# What the authors' file holds
# -----------------------------------------------------------------------------------------


def normalisation(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from (
        (f"{name}.{leaf}", (width,)) for leaf in ("weight", "bias", "running_mean", "running_var")
    )
    yield f"{name}.num_batches_tracked", ()


def convolution(
    name: str, shape: tuple[int, ...], outputs: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", shape
    yield f"{name}.bias", (outputs,)


def entries() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and shape of all entries, in the order of the authors' state dict."""
    blocks: dict[str, tuple[int, tuple[int, ...]]] = {
        "in_block": (32, (32, 3, 3, 3)),
        "conv_block1_1": (64, (64, 32, 3, 3)),
        "conv_block2_1": (128, (128, 64, 3, 3)),
        "bottle_neck_1": (128, (128, 128, 3, 3)),
        "conv_block3_1": (64, (128, 64, 2, 2)),
        "conv_block4_1": (32, (64, 32, 2, 2)),
    }
    for block, (width, shape) in blocks.items():
        yield from convolution(f"{block}.conv.0", shape, width)
        if block != "in_block":
            yield from normalisation(f"{block}.conv.1", width)
        for gate in ("cw", "hc", "hw"):
            yield f"{block}.ta.{gate}.conv.conv.weight", (1, 2, 7, 7)
            yield from normalisation(f"{block}.ta.{gate}.conv.bn", 1)
        for inside in ("conv", "conv1"):
            yield from convolution(f"{block}.res_block.{inside}.0", (width, width, 3, 3), width)
            yield from normalisation(f"{block}.res_block.{inside}.1", width)
    yield from convolution("APU.conv.conv.0", (44, 32, 3, 3), 44)
    yield from normalisation("APU.conv.conv.1", 44)
    yield from convolution("APU.conv_atten.conv", (176, 76, 5, 5), 176)
    yield from convolution("SumLayer.conv", (3, 132, 1, 1), 3)


def released() -> State:
    """Return weights under the authors' names, drawn so that every layer does something."""
    draw = torch.Generator().manual_seed(0)
    state: State = {}
    for name, shape in entries():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(len(state))
            continue
        value = torch.randn(shape, generator=draw)
        if len(shape) == 4:
            value *= (2 / value[0].numel()) ** 0.5
        elif not name.endswith(".bias"):
            value = 1 + 0.2 * value.clamp(-3, 3)  # gains and variances
        state[name] = value
    return state


class Released:
    """The released network, from its description; normalised by the picture's statistics, as its
    test program does.
    """

    def __init__(self, state: State) -> None:
        self._state = {name: value.double() for name, value in state.items()}

    def __call__(self, picture: np.ndarray) -> Tensor:
        pictures = [PIL.Image.fromarray(picture)]
        for _ in range(2):
            size = (pictures[0].width // 2, pictures[0].height // 2)
            pictures.insert(0, pictures[0].resize(size, PIL.Image.Resampling.BILINEAR))
        scales = [
            torch.from_numpy(np.array(scale)).permute(2, 0, 1)[None].double() / 255
            for scale in pictures
        ]
        x = scales[0]
        height, width = x.shape[2] // 2, x.shape[3] // 2
        h = c = torch.zeros(1, 44, height, width, dtype=torch.float64)
        for number, y in enumerate(scales):
            if number:
                x, h, c = (
                    F.interpolate(t, scale_factor=2, mode="bilinear", align_corners=False)
                    for t in (x, h, c)
                )
            gates, h, c = self._attention(y, h, c)
            first, second = gates[:, :22].tile(1, 3, 1, 1), gates[:, 22:].tile(1, 3, 1, 1)
            x = self._convolve(
                torch.cat([first * _mixture(y), second * _mixture(x)], 1), "SumLayer.conv"
            )
        return x

    def _attention(self, y: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        entrance = self._attend(
            self._residual(self._convolve(y, "in_block.conv.0", padding=1), "in_block"), "in_block"
        )
        first = self._block(entrance, "conv_block1_1", stride=2)
        second = self._block(first, "conv_block2_1", stride=2)
        up = self._block(
            self._block(second, "bottle_neck_1") + second, "conv_block3_1", transposed=True
        )
        features = self._block(up + first, "conv_block4_1", transposed=True)
        detail = self._unit(features, "APU.conv.conv")
        inputs = torch.cat([F.avg_pool2d(features, 2), h], 1)
        i, f, o, g = self._convolve(inputs, "APU.conv_atten.conv", padding=2).split(44, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        smooth = F.interpolate(h, scale_factor=2, mode="nearest")
        return 2 * (smooth * detail + smooth).sigmoid() - 1, h, c

    def _block(self, x: Tensor, name: str, stride: int = 1, transposed: bool = False) -> Tensor:
        if transposed:
            x = F.conv_transpose2d(
                x, self._state[f"{name}.conv.0.weight"], self._state[f"{name}.conv.0.bias"], 2
            )
            x = self._normalise(x, f"{name}.conv.1").relu()
        else:
            x = self._unit(x, f"{name}.conv", stride)
        return self._attend(self._residual(x, name), name)

    def _residual(self, x: Tensor, name: str) -> Tensor:
        x = x + self._unit(x, f"{name}.res_block.conv")
        return x + self._unit(x, f"{name}.res_block.conv1")

    def _attend(self, x: Tensor, name: str) -> Tensor:
        total = torch.zeros_like(x)
        for gate, order in {"cw": (0, 2, 1, 3), "hc": (0, 3, 2, 1), "hw": (0, 1, 2, 3)}.items():
            turned = x.permute(order)
            pooled = torch.stack([turned.max(1).values, turned.mean(1)], 1)
            logits = self._convolve(pooled, f"{name}.ta.{gate}.conv.conv", padding=3)
            total += (
                turned * self._normalise(logits, f"{name}.ta.{gate}.conv.bn").sigmoid()
            ).permute(order)
        return total / 3

    def _unit(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        return self._normalise(self._convolve(x, f"{name}.0", 1, stride), f"{name}.1").relu()

    def _convolve(self, x: Tensor, name: str, padding: int = 0, stride: int = 1) -> Tensor:
        return F.conv2d(
            x, self._state[f"{name}.weight"], self._state.get(f"{name}.bias"), stride, padding
        )

    def _normalise(self, x: Tensor, name: str) -> Tensor:
        mean = x.mean((0, 2, 3), keepdim=True)
        variance = (x - mean).square().mean((0, 2, 3), keepdim=True)
        gain, bias = (
            self._state[f"{name}.{leaf}"].view(1, -1, 1, 1) for leaf in ("weight", "bias")
        )
        return (x - mean) / (variance + 1e-5).sqrt() * gain + bias


def _mixture(x: Tensor) -> Tensor:
    """Return the responses as released: kernels repeated one by one, three groups of 22, zeros
    beyond the border.
    """
    sizes = [1, 3, 3, 3, *(size for size in range(5, 22, 2) for _ in range(2))]
    kernels = torch.zeros(22, 1, 21, 21, dtype=torch.float64)
    for number, size in enumerate(sizes):
        offset = torch.arange(size, dtype=torch.float64) - size // 2
        line = (
            torch.exp(-offset.square() / (2 * (number / 4) ** 2))
            if number
            else torch.ones(1, dtype=torch.float64)
        )
        start = 10 - size // 2
        kernels[number, 0, start : start + size, start : start + size] = (
            torch.outer(line, line) / line.sum() ** 2
        )
    return F.conv2d(x, kernels.repeat_interleave(3, 0), padding=10, groups=3)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("release") / "GKMNet_epoch2819.pth"
    torch.save(released(), path)
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own folder of checkpoints, which is not there yet; none ship."""
    monkeypatch.setenv(checkpoints.VARIABLE, str(tmp_path / "mine"))
    monkeypatch.setattr(checkpoints, "SHIPPED_FOLDER", tmp_path / "none")
    return tmp_path / "mine"


def _save(tmp_path: Path, content: object, **how: Any) -> Path:
    path = tmp_path / "found.pth"
    torch.save(content, path, **how)
    return path


def _refuse(path: Path, folder: Path) -> str:
    with pytest.raises(DataError) as error:
        checkpoint_import.import_checkpoint("gkmnet-official", path)
    assert str(path) in str(error.value)
    assert not folder.exists(), "nothing is written"
    return str(error.value)


# The mapping
# --------------------------------------------------------------------------------------------------


def test_every_entry_has_its_place() -> None:
    theirs = dict(entries())
    assert len(theirs) == 240
    with torch.device("meta"):
        ours = GkmNet(Form("official")).state_dict()
    assert sorted(map(tuple, theirs.values())) == sorted(
        tuple(value.shape) for value in ours.values()
    )


def test_the_imported_network_computes_what_the_released_one_does(file: Path) -> None:
    network = GkmNet(Form("official"))
    network.load_state_dict(dict(GkmNetOfficial().read(file)))
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    with torch.inference_mode():
        expected = Released(torch.load(file))(picture)
        x = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
        output = network.double().train()(x.double())
    assert expected.std() > 0.1
    torch.testing.assert_close(
        output, expected, rtol=0, atol=1e-6
    )  # our kernels are kept in single precision


def test_counters_and_running_statistics_are_kept(file: Path) -> None:
    theirs, ours = released(), GkmNetOfficial().read(file)
    of_block = "conv_block2_1.res_block.conv1.1", "srams.0.encoder2.residual.bn2"
    of_gate = "bottle_neck_1.ta.hc.conv.bn", "srams.0.bottleneck.attention.hc.bn"
    for name, our_name in (of_block, of_gate, ("APU.conv.conv.1", "srams.0.detail.1")):
        for leaf in ("running_mean", "running_var", "num_batches_tracked"):
            assert torch.equal(ours[f"{our_name}.{leaf}"], theirs[f"{name}.{leaf}"])


# The command
# --------------------------------------------------------------------------------------------------


def test_import_writes_a_checkpoint_with_its_card(file: Path, folder: Path) -> None:
    result = checkpoint_import.import_checkpoint("gkmnet-official", file)
    assert result.path == folder / "gkmnet.official.safetensors"
    assert result.lines() == [
        f"imported: 240 entries, 1,409,131 parameters, from {file}",
        f"written: {result.path}",
        "next: python -m benchmark run --methods gkmnet.official --dataset simulated",
        "check: python -m benchmark control gkmnet.official --data DIR",
    ]
    card = checkpoints.read_card(result.path)
    assert (
        card.method == "gkmnet"
        and card.parameters == {"variant": "official"}
        and card.licence == "not stated"
    )
    assert (
        file.name in card.source
        and checkpoints.hash_checkpoint(file) in card.source
        and str(file.parent) not in card.source
    )
    assert card.trained_on is not None and any("DPD test" in data for data in card.trained_on)
    for word in ("Selected on DPD test", "bn=batch", "not verified against a released file"):
        assert word in card.notes
    assert card.notes in result.path.with_suffix(".md").read_text(encoding="utf-8")


def test_what_was_imported_runs(file: Path, folder: Path) -> None:
    assert create(METHODS, "gkmnet")[1].checkpoint is None
    checkpoint_import.import_checkpoint("gkmnet-official", file)
    restorer, resolved = create(METHODS, "gkmnet")
    assert resolved.label == "gkmnet.official:variant=official"
    assert restorer.card.trained_on == GkmNetOfficial.card.trained_on
    picture = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
    observation = Observation(image=(picture / 255).astype(np.float32))
    assert restorer.skip(observation) is None
    restorer.prepare("cpu")
    with torch.inference_mode():
        expected = Released(released())(picture)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(restorer.restore(observation), expected, atol=1e-3)


def test_the_file_may_come_from_data_parallel_training_or_as_safetensors(
    tmp_path: Path, folder: Path
) -> None:
    from safetensors.torch import save_file

    state = released()
    parallel = _save(tmp_path, {f"module.{name}": value for name, value in state.items()})
    save_file(state, tmp_path / "converted.safetensors")
    written = [
        checkpoint_import.import_checkpoint(
            "gkmnet-official", path, folder / f"gkmnet.{path.stem}.safetensors"
        ).path
        for path in (parallel, tmp_path / "converted.safetensors")
    ]
    first, second = (checkpoints.load_tensors(path) for path in written)
    assert first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def _count_layers(state: State) -> State:
    """Return a state dict as it is saved after a profiler has run."""
    counted = dict(state)
    for layer in ("", "in_block.", "APU."):
        for leaf in ("total_ops", "total_params"):
            counted[layer + leaf] = torch.zeros(1, dtype=torch.float64)
    return counted


def _prefix_all(state: State, prefix: str) -> State:
    return {prefix + name: value for name, value in state.items()}


def _make_parallel(state: State) -> State:
    """Return a state dict of data-parallel training, in which the profiler's total has no
    prefix.
    """
    return {f"module.{name}" if "." in name else name: value for name, value in state.items()}


@pytest.mark.parametrize(
    "change",
    [
        lambda state: {"state_dict": state, "epoch": 1},
        lambda state: {"params": _prefix_all(state, "module.")},
        lambda state: {"params_ema": state, "optimizer": {"lr": [1e-4]}},
        _count_layers,
        lambda state: _make_parallel(_count_layers(state)),
        lambda state: _prefix_all(state, "module.module."),
        lambda state: _prefix_all(state, "module.Network.net."),
        lambda state: {name: value.half() for name, value in state.items()}
        | {name: value for name, value in state.items() if not value.is_floating_point()},
    ],
    ids=[
        "wrapped", "params", "averaged", "counted", "counted parallel", "parallel twice",
        "another prefix", "half precision",
    ],
)  # fmt: skip
def test_however_it_was_saved_it_is_the_same(
    change: Callable[[State], object], tmp_path: Path, folder: Path
) -> None:
    state = released()
    is_half = change(state).keys() == state.keys()  # type: ignore[attr-defined]
    path = checkpoint_import.import_checkpoint(
        "gkmnet-official", _save(tmp_path, change(state))
    ).path
    imported = checkpoints.load_tensors(path)
    name_of = GkmNetOfficial().translate
    assert len(imported) == 240
    for name, value in imported.items():
        expected = state[name_of(name)]
        if is_half and expected.is_floating_point():
            expected = expected.half().float()
        assert torch.equal(value, expected), name


def test_what_a_profiler_counted_is_said_to_be_left_out(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _save(tmp_path, _make_parallel(_count_layers(released())))
    checkpoint_import.import_checkpoint("gkmnet-official", path)
    assert capsys.readouterr().err.splitlines() == [
        f"{path}: left out 6 entries, counters of a profiler: total_ops ..."
    ]


def test_one_stray_name_hides_no_prefix(tmp_path: Path, folder: Path) -> None:
    """All is named as in the file."""
    state = _prefix_all(released(), "module.")
    del state["module.APU.conv.conv.0.bias"]
    state["step"] = torch.zeros(1)
    text = _refuse(_save(tmp_path, state), folder)
    assert text.splitlines()[1:] == [
        "  missing: module.APU.conv.conv.0.bias",
        "  not expected: step",
    ]


class WithTrainingPart(GkmNetOfficial):
    """A release that holds a part which is needed for training only."""

    foreign_parts = ("reblur.*",)


def test_a_declared_part_is_left_out_wherever_it_stands(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = ("reblur.0.weight", "module.reblur.0.weight", "module.net.reblur.0.weight")
    state = _prefix_all(released(), "module.net.") | {name: torch.ones(1) for name in parts}
    with IMPORTERS.temporarily({"with-part": WithTrainingPart}):
        checkpoint_import.import_checkpoint("with-part", _save(tmp_path, state))
        assert "left out 3 entries, foreign parts: reblur.0.weight" in capsys.readouterr().err
        state["other.reblur.0.weight"] = torch.ones(1)
        with pytest.raises(DataError, match=r"not expected: other\.reblur\.0\.weight"):
            checkpoint_import.import_checkpoint("with-part", _save(tmp_path, state), force=True)


def test_a_checkpoint_is_overwritten_by_force_only(file: Path, folder: Path) -> None:
    folder.mkdir()
    there = folder / "gkmnet.official.safetensors"
    there.write_bytes(b"damaged")  # what is there need not even be readable
    with pytest.raises(UsageError, match=r"gkmnet\.official\.safetensors exists already.*--force"):
        checkpoint_import.import_checkpoint("gkmnet-official", file)
    assert there.read_bytes() == b"damaged"
    checkpoint_import.import_checkpoint("gkmnet-official", file, force=True)
    assert checkpoints.read_card(there).method == "gkmnet"


def test_the_checkpoint_goes_where_it_is_told(file: Path, folder: Path, tmp_path: Path) -> None:
    result = checkpoint_import.import_checkpoint("gkmnet-official", file, tmp_path)
    assert result.path == tmp_path / "gkmnet.official.safetensors"
    assert f"next: {checkpoints.VARIABLE}={tmp_path} python" in result.lines()[-2], (
        "there it is not looked for"
    )
    named = checkpoint_import.import_checkpoint(
        "gkmnet-official", file, tmp_path / "new" / "gkmnet.theirs.safetensors"
    )
    assert named.path.read_bytes() == result.path.read_bytes()
    with pytest.raises(UsageError, match=r"called gkmnet\.TAG\.safetensors"):
        checkpoint_import.import_checkpoint(
            "gkmnet-official", file, tmp_path / "weights.safetensors"
        )
    assert not (tmp_path / "weights.safetensors").exists() and not folder.exists()


def test_an_unknown_importer_gets_a_suggestion(file: Path) -> None:
    with pytest.raises(
        UsageError,
        match=r"no importer is called 'gkmnet-offical'; did you mean 'gkmnet-official'\?",
    ):
        checkpoint_import.import_checkpoint("gkmnet-offical", file)


# What is refused
# --------------------------------------------------------------------------------------------------


def test_all_entries_that_do_not_fit_are_named_in_one_error(tmp_path: Path, folder: Path) -> None:
    state = released()
    missing = ["in_block.conv.0.bias", "conv_block4_1.ta.hc.conv.bn.weight"]
    for name in missing:
        del state[name]
    state["SumLayer.conv.weight"] = torch.zeros(3, 126, 1, 1)
    state["srams.0.entrance.conv.bias"] = torch.zeros(32)
    text = _refuse(_save(tmp_path, state), folder)
    assert text.splitlines()[1:] == [
        *(f"  missing: {name}" for name in missing),
        "  not expected: srams.0.entrance.conv.bias",
        "  wrong shape: SumLayer.conv.weight is (3, 126, 1, 1), expected (3, 132, 1, 1)",
    ]


@given(st.sets(st.sampled_from("abcdef")), st.sets(st.sampled_from("abcdef")))
def test_a_file_is_fitted_only_if_it_has_the_names_expected(
    file_names: set[str], expected_names: set[str]
) -> None:
    state, expected = (
        {name: torch.ones(2) for name in sorted(names)} for names in (file_names, expected_names)
    )
    if file_names == expected_names:
        assert checkpoint_import.fit_entries(state, expected, Path("f")).keys() == expected_names
        return
    with pytest.raises(DataError) as error:
        checkpoint_import.fit_entries(state, expected, Path("f"))
    lines = {f"missing: {name}" for name in expected_names - file_names} | {
        f"not expected: {name}" for name in file_names - expected_names
    }
    assert {line.strip() for line in str(error.value).splitlines()[1:]} == lines


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_any_precision_become_single(dtype: torch.dtype) -> None:
    value = torch.tensor([1.5, -0.1], dtype=dtype)
    [tensor] = checkpoint_import.fit_entries(
        {"a": value}, {"a": torch.empty(2, device="meta")}, Path("f")
    ).values()
    assert tensor.dtype == torch.float32 and tensor.tolist() == value.float().tolist()


def test_counters_stay_integers() -> None:
    expected = {"a": torch.empty((), dtype=torch.int64, device="meta")}
    [tensor] = checkpoint_import.fit_entries(
        {"a": torch.tensor(7, dtype=torch.int32)}, expected, Path("f")
    ).values()
    assert tensor.dtype == torch.int64 and tensor.item() == 7


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (torch.tensor([1.0, torch.nan]), "holds NaN or infinite values"),
        (torch.tensor([-torch.inf, 0.0]), "holds NaN or infinite values"),
        (torch.tensor([1e300, 0.0], dtype=torch.float64), "holds NaN or infinite values"),
        (torch.tensor([1, 2]), "holds integer numbers, expected floating-point ones"),
        (torch.tensor([True, False]), "holds bool numbers"),
        (torch.tensor([1j, 0]), "holds complex64 numbers"),
        (torch.tensor([0.0, 1.0]).to_sparse(), "is not an ordinary tensor"),
        (torch.empty(2, device="meta"), "is not an ordinary tensor"),
    ],
)
def test_entries_that_are_no_weights_are_refused_together(value: Tensor, says: str) -> None:
    good = torch.ones(2)
    with pytest.raises(DataError) as error:
        checkpoint_import.fit_entries(
            {"a": value, "b": good, "c": value}, {"a": good, "b": good, "c": good}, Path("f")
        )
    lines = [line.strip() for line in str(error.value).splitlines()[1:]]
    assert [line.startswith(f"{name} {says}") for name, line in zip("ac", lines, strict=True)] == [
        True,
        True,
    ]


def test_a_fractional_counter_is_refused() -> None:
    with pytest.raises(DataError, match="a holds floating-point numbers, expected integer ones"):
        checkpoint_import.fit_entries({"a": torch.tensor(7.5)}, {"a": torch.tensor(7)}, Path("f"))


def test_weights_that_share_memory_are_written_apart(tmp_path: Path, folder: Path) -> None:
    state = released()
    state["in_block.conv.0.bias"] = torch.tensor(0.25).expand(32)
    state["conv_block1_1.conv.0.bias"] = state["conv_block1_1.conv.1.bias"]
    weights = checkpoints.load_tensors(
        checkpoint_import.import_checkpoint("gkmnet-official", _save(tmp_path, state)).path
    )
    assert torch.equal(weights["srams.0.entrance.conv.bias"], torch.full((32,), 0.25))
    assert torch.equal(weights["srams.0.encoder1.conv.bias"], weights["srams.0.encoder1.bn.bias"])


class Code:
    """Leaves a file behind when it is unpickled with trust."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_code_in_a_file_is_not_run(tmp_path: Path, folder: Path) -> None:
    trap = tmp_path / "trap"
    text = _refuse(_save(tmp_path, released() | {"SumLayer.conv.bias": Code(trap)}), folder)
    assert not trap.exists() and "weights_only" not in text, (
        "torch's advice to trust the file is not handed on"
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (nn.Linear(2, 2), "expected a state dict"),
        ([torch.ones(2)], "holds a list"),
        (torch.ones(2), "holds a Tensor"),
        ({}, "not a state dict"),
        ({"state_dict": {"a": 3}, "epoch": 3}, "'a' is a int"),
        ({3: torch.ones(2)}, "entry 3"),
    ],
)
def test_files_of_anything_but_named_tensors_are_refused(
    tmp_path: Path, folder: Path, content: object, says: str
) -> None:
    assert says in _refuse(_save(tmp_path, content), folder)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0, 0.01, 0.1, 0.5, 0.99])
def test_truncated_files_are_refused(
    tmp_path: Path, folder: Path, zipped: bool, share: float
) -> None:
    path = _save(
        tmp_path,
        {"a": torch.ones(3, 4), "b": torch.tensor(3)},
        _use_new_zipfile_serialization=zipped,
    )
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    _refuse(path, folder)


@pytest.mark.parametrize("cut", range(1, 350, 17))
def test_wherever_an_old_file_is_cut_it_is_a_data_error(tmp_path: Path, cut: int) -> None:
    path = _save(tmp_path, {"a": torch.ones(3, 4)}, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match="refused"):
        checkpoints.read_foreign(path)


def test_other_files_folders_and_nothing_are_refused(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "text.pth").write_text("not weights")
    (tmp_path / "text.safetensors").write_text("not weights")
    _refuse(tmp_path / "text.pth", folder)
    assert "not a readable safetensors file" in _refuse(tmp_path / "text.safetensors", folder)
    assert "Is a directory" in _refuse(tmp_path, folder)
    assert "No such file" in _refuse(tmp_path / "absent.pth", folder)


def test_the_command_line(
    file: Path,
    tmp_path: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["benchmark", "import", "gkmnet-official"]
    few = _save(tmp_path, {"SumLayer.conv.bias": torch.zeros(3)})
    assert _exit_code(monkeypatch, *words, str(few)) == 2
    assert capsys.readouterr().err.count("missing: ") == 239 and not folder.exists()
    assert _exit_code(monkeypatch, *words, str(file)) == 0
    assert _exit_code(monkeypatch, *words, str(file)) == 2
    assert _exit_code(monkeypatch, *words, str(file), "--force", "--out", str(folder)) == 0
    assert capsys.readouterr().out.count("imported: 240 entries") == 2


def _exit_code(monkeypatch: pytest.MonkeyPatch, *words: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", list(words))
    with pytest.raises(SystemExit) as ended:
        cli.app_main()
    return ended.value.code


# Importers of plug-ins
# ------------------------------------------------------------------------------------------------


class Renaming(Importer):
    """An importer that trusts its file."""

    card = ImporterCard(
        title="Renaming",
        method="gkmnet",
        tag="renamed",
        source="a test",
        parameters={"variant": "official", "scales": 2},
    )

    def read(self, path: Path) -> State:
        return {
            name.removeprefix("my."): value
            for name, value in checkpoints.read_foreign(path).items()
        }


class Aimless(Renaming):
    card = ImporterCard(title="Aimless", method="input", tag="renamed", source="a test")


@pytest.fixture
def importers() -> Iterator[None]:
    with IMPORTERS.temporarily({"renaming": Renaming, "aimless": Aimless}):
        yield


@pytest.mark.usefixtures("importers")
def test_a_plugin_brings_its_own_importer(tmp_path: Path, folder: Path) -> None:
    state = {
        f"my.{name}": value
        for name, value in GkmNet(Form("official", scales=2)).state_dict().items()
    }
    result = checkpoint_import.import_checkpoint("renaming", _save(tmp_path, state))
    assert result.path.name == "gkmnet.renamed.safetensors" and result.parameters == 1_409_131
    assert (
        create(METHODS, "gkmnet.renamed")[0].skip(
            Observation(image=np.zeros((32, 32, 3), np.float32))
        )
        is None
    )
    assert checkpoints.read_card(result.path).trained_on is None


@pytest.mark.usefixtures("importers")
def test_what_does_not_fit_the_network_is_never_written(tmp_path: Path, folder: Path) -> None:
    path = _save(tmp_path, {"my.mixes.0.bias": torch.zeros(3)})
    with pytest.raises(DataError, match=r"missing: srams\.0\.entrance\.conv\.weight"):
        checkpoint_import.import_checkpoint("renaming", path)
    with pytest.raises(UsageError, match="input has no network"):
        checkpoint_import.import_checkpoint("aimless", path)
    assert not folder.exists()


# What is listed
# --------------------------------------------------------------------------------------------------


def _list_kind(kind: str) -> str:
    console = Console(width=800, file=io.StringIO())
    console.print(listing.make_topic_table(kind))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_importers_are_listed() -> None:
    [row] = [line for line in _list_kind("importers").splitlines() if "gkmnet-official" in line]
    assert (
        "gkmnet.official" in row
        and "DPD test" in row
        and "benchmark.methods.learned.gkmnet_weights" in row
    )


def test_checkpoints_are_listed(file: Path, folder: Path) -> None:
    bare = _list_kind("checkpoints")
    assert "gkmnet.official" not in bare and str(folder) in bare
    result = checkpoint_import.import_checkpoint("gkmnet-official", file)
    (folder / "gkmnet.broken.safetensors").write_bytes(b"damaged")
    text = _list_kind("checkpoints")
    [row] = [line for line in text.splitlines() if "gkmnet.official " in line]
    for word in (
        "variant=official",
        "DPD test",
        f"{result.path.stat().st_size / 1e6:.2f} MB",
        str(result.path),
    ):
        assert word in row
    assert "not a readable safetensors file" in text, "a damaged one says so and hides no other"
