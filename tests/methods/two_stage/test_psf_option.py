"""`psf=file:PATH` of the two-stage methods: what a family does, from a file that holds it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark.api import DataError, Observation, UsageError
from benchmark.optics.depth_of_field import render_depth_of_field
from benchmark.optics.psf import disk_kernel, gaussian_kernel
from benchmark.registry import METHODS, create, describe_parameters
from benchmark.results.publication import publish_id

METHOD_TEXTS = (
    "zhuo-sim:map=oracle",
    "zhuo-sim:map=oracle,constants=tuned,light=linear",
    "ebdb:map=oracle,deconvolution=wiener",
    "ebdb:map=oracle,deconvolution=richardson-lucy,light=linear",
    "blur-posterior:map=oracle",
    "blur-posterior",
    "uniform-wiener",
)


@pytest.fixture(scope="module")
def blurred() -> Observation:
    generator = np.random.default_rng(1)
    blocks = np.kron(generator.random((9, 12, 3)), np.ones((8, 8, 1))).astype(np.float32)
    radius = np.linspace(1, 5, 72 * 96, dtype=np.float32).reshape(72, 96)
    return Observation(render_depth_of_field(blocks, radius), blur_map=radius / 2)


@pytest.mark.parametrize("text", METHOD_TEXTS)
def test_a_file_that_holds_a_disk_restores_as_the_disk_does(
    tmp_path: Path, blurred: Observation, text: str
) -> None:
    np.save(tmp_path / "disk.npy", disk_kernel(400.0))
    np.save(tmp_path / "gaussian.npy", gaussian_kernel(12.0))
    join = "," if ":" in text else ":"
    disk = create(METHODS, f"{text}{join}psf=disk")[0].restore(blurred)
    from_file, other = (
        create(METHODS, f"{text}{join}psf=file:{tmp_path / name}.npy")[0].restore(blurred)
        for name in ("disk", "gaussian")
    )
    assert np.sqrt(np.square(from_file - disk).mean()) < 3e-5  # 2 of 65535
    assert np.sqrt(np.square(other - disk).mean()) > 5e-3


def test_the_file_is_part_of_the_identity_and_of_the_card(tmp_path: Path) -> None:
    file = tmp_path / "mine.npy"
    hashes = []
    for radius in (5.0, 6.0):
        np.save(file, disk_kernel(radius))
        method, resolved_id = create(METHODS, f"jnb:psf=file:{file}")
        hashes.append(method.weights_hash())
        assert method.card.notes.endswith("PSF: the shape in mine.npy.")
        assert resolved_id.label == f"jnb:psf=file:{file}"
    plain = create(METHODS, "jnb:psf=disk")[0]
    assert len({*hashes, plain.weights_hash()}) == 3
    assert "PSF" not in plain.card.notes
    assert create(METHODS, "zhuo-sim")[0].weights_hash() is None
    posterior = create(METHODS, f"blur-posterior:psf=file:{file}")[0]
    assert posterior.weights_hash() != create(METHODS, "blur-posterior")[0].weights_hash()


def test_wrong_values_say_what_is_right(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"psf='airy': expected gaussian\|disk\|gkm\|file:PATH"):
        create(METHODS, "zhuo-sim:psf=airy")
    with pytest.raises(UsageError, match=r"psf='file:': expected gaussian\|disk\|file:PATH"):
        create(METHODS, "blur-posterior:psf=file:")
    with pytest.raises(DataError, match=r"none\.npy: cannot be read as a kernel"):
        create(METHODS, f"zhuo-sim:psf=file:{tmp_path / 'none.npy'}")
    described = describe_parameters(METHODS.get("zhuo-sim"))
    assert described["psf"] == "gaussian|disk|gkm|file:PATH = gaussian"


def test_where_the_file_lies_stays_on_this_machine() -> None:
    for path in ("/home/somebody/lens/mine.npy", "~/mine.npy", r"C:\lens\mine.npy"):
        text = f"zhuo-sim:psf=file:{path},iterations=3"
        assert publish_id(text) == "zhuo-sim:psf=file:mine.npy,iterations=3"
