"""Weights in half precision: half the size, the same pictures, and no entry that would be lost."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmark import checkpoints
from benchmark.api import DataError
from benchmark.methods.learned.networks.gkmnet import Form, GkmNet
from benchmark.methods.training import half_precision


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small GKMNet at random weights, as a checkpoint in single precision."""
    monkeypatch.setattr(half_precision, "PICTURES", "simulated:size=48")
    torch.manual_seed(0)
    path = tmp_path / "gkmnet.toy.safetensors"
    card = checkpoints.CheckpointCard(method="gkmnet", parameters={"scales": 1}, facts={"seed": 0})
    checkpoints.save_checkpoint(path, GkmNet(Form(scales=1)).state_dict(), card)
    return path


def test_entries_are_rounded_unless_that_loses_them() -> None:
    weights = {
        "usual": torch.tensor([1.0, -0.3333] * half_precision.SMALL_ENTRY),
        "large": torch.tensor([1.0, 70000.0] * half_precision.SMALL_ENTRY),
        "small": torch.tensor([1.0, 1e-9] * half_precision.SMALL_ENTRY),
        "few": torch.tensor([1.0, -0.3333]),
        "count": torch.tensor(3),
    }
    rounded = half_precision.round_weights(weights)
    assert rounded["usual"].dtype == torch.float16
    assert torch.equal(rounded["large"], weights["large"])
    assert rounded["small"].dtype == torch.float16  # far below what the other value is known to
    assert torch.equal(rounded["few"], weights["few"])
    assert rounded["count"].dtype == torch.int64


def test_a_checkpoint_is_half_as_large_and_says_so(checkpoint: Path, tmp_path: Path) -> None:
    change = half_precision.store_in_half_precision(checkpoint, tmp_path / "half")
    stored = tmp_path / "half" / checkpoint.name
    assert 0 < change < half_precision.LARGEST_CHANGE
    assert stored.stat().st_size < 0.55 * checkpoint.stat().st_size
    facts = checkpoints.read_card(stored).facts
    assert facts["seed"] == 0 and str(facts["numbers"]).startswith("float16")
    assert facts["SHA-256 in single precision"] == checkpoints.hash_checkpoint(checkpoint)


@pytest.mark.slow
def test_a_change_that_counts_is_refused(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(half_precision, "LARGEST_CHANGE", 0.0)
    with pytest.raises(DataError, match="keep it in single precision"):
        half_precision.store_in_half_precision(checkpoint, tmp_path / "half")
    assert not (tmp_path / "half").exists()
