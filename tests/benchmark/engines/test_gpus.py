"""One cell at a time on each GPU, and all of them used; the devices are pretended."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmark.cli import app
from benchmark.engines import gpus

PROGRAM = """
import os, time
from pathlib import Path
from benchmark.api import Method, MethodCard
from benchmark.registry import METHODS

@METHODS.register("gpu-user")
class GpuUser(Method):
    card = MethodCard(title="GPU user", family="learned", paper="none")

    def restore(self, observation):
        start = time.time()
        time.sleep(0.3)
        line = f"{os.environ.get('CUDA_VISIBLE_DEVICES')} {start} {time.time()}"
        Path(__file__).with_name(f"{start}.txt").write_text(line)
        return observation.image.copy()
"""


@pytest.mark.parametrize(
    ("name", "words", "processes"),
    [
        ("gpu-user", [], 2),
        ("gpu-user-of-five", ["--jobs", "5"], 2),
        ("gpu-user-alone", ["--jobs", "1"], 1),
    ],
)
def test_every_gpu_has_a_process_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: list[str], processes: int
) -> None:
    monkeypatch.setattr(gpus, "list_gpus", lambda: ["GPU-a", "GPU-b"])
    plugin = tmp_path / "gpu_user.py"
    plugin.write_text(PROGRAM.replace("gpu-user", name))
    toys = Path(__file__).parents[2] / "plugins" / "toys.py"
    command = ["run", "--methods", name, "--dataset", "tiny:n=6", "--protocol", "quick"]
    plugins = ["--plugin", str(plugin), "--plugin", str(toys)]
    result = CliRunner().invoke(app, [*command, *plugins, "--out", str(tmp_path / "out"), *words])
    assert result.exit_code == 0, result.output
    spans: dict[str, list[tuple[float, float]]] = {}
    for path in tmp_path.glob("*.txt"):
        gpu, start, end = path.read_text().split()
        spans.setdefault(gpu, []).append((float(start), float(end)))
    assert sum(map(len, spans.values())) == 6
    assert set(spans) == {"GPU-a", "GPU-b"} if processes == 2 else {"GPU-a"}
    for own_spans in spans.values():
        own_spans.sort()
        ends = [end for _, end in own_spans[:-1]]
        starts = [start for start, _ in own_spans[1:]]
        assert all(end <= start for end, start in zip(ends, starts, strict=True))
    assert ("processes, as networks use GPUs" in result.output) == ("5" in words)


def test_methods_without_a_network_share_the_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus, "list_gpus", lambda: pytest.fail("nobody asked for a GPU"))
    command = ["run", "--methods", "input", "--dataset", "tiny:n=2", "--protocol", "quick"]
    toys = Path(__file__).parents[2] / "plugins" / "toys.py"
    words = ["--plugin", str(toys), "--out", str(tmp_path), "--jobs", "1"]
    assert CliRunner().invoke(app, [*command, *words]).exit_code == 0


def test_visible_gpus_are_those_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    monkeypatch.delenv(gpus.VARIABLE, raising=False)
    assert gpus.list_gpus() == ["0", "1", "2"]
    monkeypatch.setenv(gpus.VARIABLE, "2, GPU-x")
    assert gpus.list_gpus() == ["2", "GPU-x"]
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert gpus.list_gpus() == []
