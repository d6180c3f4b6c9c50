"""The field's present networks: their published sizes, the contract, statistics of whole and of
partial pictures.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmark import checkpoints, conformance
from benchmark.api import Observation
from benchmark.checkpoint_import import import_checkpoint
from benchmark.methods.learned.method import AppliedNetwork
from benchmark.methods.learned.networks.lakdnet import LaKDNet
from benchmark.methods.learned.networks.nafnet import NafNet, average_locally
from benchmark.methods.learned.networks.restormer import Restormer
from benchmark.registry import METHODS, create
from tests.methods.foreign_files import write_torch, zeros
from tests.methods.learned.network_vectors import list_keys
from tests.methods.random_weights import draw

NAMES = (
    "restormer", "restormer-d", "nafnet:width=32", "lakdnet", "lakdnet-d", "ifan:n=8", "ifan-d",
    "drbnet", "drbnet-d", "nrknet", "iniknet", "kpac", "kpac:levels=2", "kpac-d",
)  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(checkpoints.VARIABLE, str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("restormer", 26_126_644),
        ("restormer-d", 26_132_548),
        ("nafnet", 67_888_835),
        ("nafnet:width=32,tlc=false", 17_111_907),
        ("lakdnet", 17_727_632),
        ("lakdnet:size=l", 38_412_576),
        ("lakdnet-d", 17_729_360),
        ("lakdnet-d:size=l", 38_415_168),
        ("ifan", 10_476_996),
        ("ifan:n=8", 9_436_740),
        ("ifan:n=26", 11_517_252),
        ("ifan:n=35", 12_557_508),
        ("ifan:n=44", 13_597_764),
        ("ifan-d", 10_477_860),
        ("drbnet", 11_689_616),
        ("drbnet-d", 11_690_480),
        ("nrknet", 6_094_107),
        ("iniknet", 1_976_847),
        ("kpac", 2_057_893),
        ("kpac:levels=2", 1_578_277),
        ("kpac-d", 2_061_493),
    ],
)
def test_networks_have_the_published_numbers_of_parameters(text: str, parameters: int) -> None:
    method = create(METHODS, text)[0]
    assert isinstance(method, AppliedNetwork)
    with torch.device("meta"):
        network = method.build()
    assert sum(value.numel() for value in network.parameters()) == parameters
    assert len(list(network.buffers())) == (3 if text == "nrknet" else 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_methods_keep_the_contract(name: str, folder: Path) -> None:
    draw(folder, name)
    results = list(conformance.check_method(f"{name.partition(':')[0]}.drawn"))
    assert [result for result in results if not result.passes] == []
    assert not any("skips" in result.detail for result in results)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(1, 9), (17, 1), (1, 1), (23, 30)])
def test_pictures_of_any_size_and_grey_ones_are_restored(
    name: str, size: tuple[int, int], folder: Path
) -> None:
    draw(folder, name)
    method = create(METHODS, f"{name.partition(':')[0]}.drawn")[0]
    method.prepare("cpu")
    grey = np.repeat(np.random.default_rng(0).random((*size, 1), np.float32), 3, axis=2)
    for picture in (grey, np.full_like(grey, 0.5)):
        output = method.restore(Observation(picture, (picture, picture)))
        assert output.shape == picture.shape and np.isfinite(output).all()


@pytest.mark.parametrize(
    ("importer", "keys", "parameters"),
    [
        ("lakdnet-official", "LaKDNet_32", {"size": "s"}),
        ("lakdnet-official", "LaKDNet_48", {"size": "l"}),
        ("lakdnet-d-official", "LaKDNet_32_dual", {"size": "s"}),
        ("nafnet-official", "NAFNet_32", {"width": "32"}),
        ("ifan-official", "IFAN_17", {"n": "17"}),
        ("ifan-official", "IFAN_8", {"n": "8"}),
        ("ifan-official", "IFAN_26", {"n": "26"}),
        ("ifan-official", "IFAN_35", {"n": "35"}),
        ("ifan-official", "IFAN_44", {"n": "44"}),
    ],
)
def test_a_file_tells_its_own_structure(
    importer: str, keys: str, parameters: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "authors.pth"
    write_torch(path, zeros(list_keys(keys)))
    checkpoint = import_checkpoint(importer, path).path
    assert checkpoints.read_card(checkpoint).parameters == parameters


@pytest.mark.parametrize("window", [4, 5, 12, 40])
def test_local_means_are_those_of_the_nearest_whole_window(window: int) -> None:
    x = torch.rand(2, 3, 13, 21, dtype=torch.float64)
    height, width = (min(window, size) for size in (13, 21))
    means = F.avg_pool2d(x, (height, width), stride=1)
    above, before = ((side - 1) // 2 for side in (height, width))
    border = (before, width - 1 - before, above, height - 1 - above)
    expected = F.pad(means, border, mode="replicate")
    assert torch.allclose(average_locally(x, window), expected, rtol=0, atol=1e-12)


def test_means_are_of_the_whole_picture_where_the_window_holds_it() -> None:
    torch.manual_seed(0)
    local = NafNet(4, local_statistics=True).eval()
    whole = NafNet(4).eval()
    whole.load_state_dict(local.state_dict())
    for network in (local, whole):
        for name, value in network.named_parameters():
            if name.endswith("scale"):
                torch.nn.init.constant_(value, 0.5)
    small, large = torch.rand(1, 3, 16, 384), torch.rand(1, 3, 16, 400)
    with torch.inference_mode():
        assert torch.equal(local(small), whole(small))
        assert (local(large) - whole(large)).abs().max() > 1e-6


def test_training_reaches_every_parameter() -> None:
    pictures = torch.rand(2, 9, 16, 16)
    nafnet = NafNet(8)
    for name, value in nafnet.named_parameters():
        if name.endswith("scale"):
            torch.nn.init.ones_(value)
    networks = {Restormer(6): 6, LaKDNet("s", 9): 9, nafnet: 3}
    for network, channels in networks.items():
        network(pictures[:, :channels]).square().sum().backward()
        assert all(value.grad is not None for value in network.parameters())
