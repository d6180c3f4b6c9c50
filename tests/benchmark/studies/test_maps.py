"""The study of blur maps scores every map, and makes and scores again only what is missing."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from benchmark import apply, imageio, noise, plan
from benchmark.engines.local import LocalEngine
from benchmark.noise import Noise
from benchmark.registry import DATASETS, create, load_plugin
from benchmark.reports.maps import write_map_rows
from benchmark.studies import map_scores, maps
from benchmark.studies.maps import MAP_COLUMNS, MapRow
from benchmark.worker import RunSettings

PLUGIN = '''
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from benchmark.api import Dataset, DatasetCard, Method, MethodCard, Sample
from benchmark.registry import DATASETS, METHODS


@METHODS.register("toy-map")
class ToyMap(Method):
    """Reads the true map from the red channel, and writes down that it was asked."""

    card = MethodCard(title="Toy", family="baseline")

    def __init__(
        self,
        *,
        how: Literal["exact", "half", "constant", "none", "raise", "die"] = "exact",
        log: str | None = None,
    ) -> None:
        self.how, self.log = how, log

    def restore(self, observation):
        return observation.image.copy()

    def estimate_blur(self, observation):
        if self.log is not None:
            with Path(self.log).open("a") as file:
                print(self.how, file=file)
        exact = np.abs(observation.image[..., 0] * np.float32(10))
        match self.how:
            case "half":
                return exact / 2
            case "constant":
                return np.ones_like(exact)
            case "none":
                return None
            case "raise":
                raise RuntimeError("it broke")
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
        return exact


@DATASETS.register("ramps")
class Ramps(Dataset):
    """Pictures that show their true maps."""

    card = DatasetCard(
        title="Ramps", paper="", licence="none", source="made", layout="none", notes="all made up"
    )

    def __init__(self, root: Path, *, n: int = 2) -> None:
        self.n = n

    def ids(self):
        return [f"ramp {i}" for i in range(self.n)]

    def load(self, sample_id):
        most = 1 + int(sample_id.split()[1])
        truth = np.tile(np.linspace(0, most, 20, dtype=np.float32), (12, 1))
        image = np.repeat(truth[..., None] / np.float32(10), 3, axis=2)
        return Sample(id=sample_id, image=image, blur_map=truth, mask=truth > 0.5)

    def fingerprint(self, sample_id):
        return sample_id
'''


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plugin") / "toy_maps.py"
    path.write_text(PLUGIN)
    load_plugin(path)
    return path


def run(
    folder: Path,
    plugin: Path,
    methods: str,
    *,
    dataset: str = "ramps",
    sigmas: tuple[float, ...] = (0.0,),
    jobs: int = 1,
) -> list[MapRow]:
    return maps.score_maps(
        plan.select_methods([methods]),
        plan.select_dataset(dataset, folder),
        [Noise(sigma, seed=3) for sigma in sigmas],
        RunSettings(folder, folder, (plugin,)),
        engine=LocalEngine(jobs),
    )


def test_every_outcome_is_a_row_in_the_order_of_the_plan(tmp_path: Path, plugin: Path) -> None:
    names = ["toy-map", "toy-map:how=half", "toy-map:how=raise", "toy-map:how=none", "input"]
    rows = run(tmp_path, plugin, ",".join(names), sigmas=(0.0, 3.0), jobs=2)
    order = [(f"ramp {i}", sigma, name) for i in range(2) for sigma in (0.0, 3.0) for name in names]
    assert [(row["sample"], row["noise"], row["method"]) for row in rows] == order
    by_name = {str(row["method"]): row for row in rows}
    assert by_name["toy-map:how=raise"]["status"] == "failed" and "it broke" in str(
        by_name["toy-map:how=raise"]["reason"]
    )
    assert "RuntimeError" in str(by_name["toy-map:how=raise"]["traceback"])
    for name in ("toy-map:how=none", "input"):
        assert (by_name[name]["status"], by_name[name]["reason"]) == ("skipped", apply.NO_MAP)
    assert {row["status"] for row in rows if row["method"] in names[:2]} == {"ok"}
    for row in rows:
        assert tuple(row) == MAP_COLUMNS
        if row["status"] == "ok":
            check_values(row, tmp_path)


def check_values(row: MapRow, folder: Path) -> None:
    """Compare a row with a computation that shares the noise field only."""
    sample = create(DATASETS, "ramps", root=folder)[0].load(str(row["sample"]))
    shape = sample.image.shape
    assert sample.blur_map is not None and sample.mask is not None
    noisy = sample.image + float(row["noise"] or 0) / 255 * noise.standard_normal_field(
        shape, seed=3, dataset="ramps", sample=sample.id
    )
    expected = np.abs(noisy[..., 0] * 10) * (0.5 if "half" in str(row["method"]) else 1)
    np.testing.assert_allclose(
        imageio.read_array(folder / str(row["map"])), expected, rtol=1e-4, atol=1e-6
    )
    assert row["mae_px"] == pytest.approx(np.abs(expected - sample.blur_map).mean(), abs=1e-5)
    assert row["n_px"] == row["mask_px"] == 240 and row["mask_share"] == pytest.approx(
        sample.mask.mean()
    )
    assert row["auc"] == 1 if row["noise"] == 0 else 0.5 < float(row["auc"] or 0) < 1


def test_again_makes_only_what_is_missing_and_tries_failures_again(
    tmp_path: Path, plugin: Path
) -> None:
    log = tmp_path / "log"
    names = f"toy-map:log={log},toy-map:how=raise,log={log}"
    first = run(tmp_path, plugin, names)
    assert sorted(log.read_text().split()) == ["exact"] * 2 + ["raise"] * 2
    map_files = sorted((tmp_path / "maps").rglob("*.npy"))
    map_files[0].write_bytes(b"damaged")
    again = run(tmp_path, plugin, names)
    assert sorted(log.read_text().split()) == ["exact"] * 3 + ["raise"] * 4
    for one, other in zip(first, again, strict=True):
        same = set(MAP_COLUMNS) - {"seconds_seen", "traceback"}
        assert {key: one[key] for key in same} == {key: other[key] for key in same}
        assert (one["seconds_seen"] is None) == (other["seconds_seen"] is None), (
            "seconds of earlier commands are kept"
        )


def test_a_worker_that_dies_costs_its_own_cell_only(tmp_path: Path, plugin: Path) -> None:
    died, fine = run(tmp_path, plugin, "toy-map:how=die,toy-map", dataset="ramps:n=1")
    assert died["status"] == "failed" and "died" in str(died["reason"]) and fine["status"] == "ok"


def test_rows_of_earlier_commands_stay(tmp_path: Path, plugin: Path) -> None:
    run(tmp_path, plugin, "toy-map")
    rows = run(tmp_path, plugin, "toy-map:how=half", dataset="ramps:n=1")
    path = write_map_rows(rows, tmp_path)
    with path.open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["method"] for row in table] == ["toy-map:how=half", "toy-map", "toy-map"]
    assert [float(row["mae_px"]) for row in table] == [
        row["mae_px"] for row in [*rows, *maps.read_map_rows(tmp_path)[:2]]
    ]


def test_scores_are_read_back_as_they_were_measured(
    tmp_path: Path, plugin: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = "toy-map:how=half,toy-map:how=constant,input"
    first = run(tmp_path, plugin, names, sigmas=(3.0,))
    assert run(tmp_path, plugin, names, sigmas=(3.0,)) == first
    told = capsys.readouterr().err
    assert "maps: 4 items, 0 already done" in told and "maps: 4 items, 4 already done" in told


@pytest.mark.parametrize("content", [b"key,dataset\n0123,ramps\n", b"\xff\xfe\x00\x81"])
def test_a_table_of_an_earlier_version_is_set_aside(
    tmp_path: Path, plugin: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "maps.csv").write_bytes(content)
    for _ in range(2):
        write_map_rows(run(tmp_path, plugin, "input", dataset="ramps:n=1"), tmp_path)
    assert (tmp_path / "maps.earlier.csv").read_bytes() == content
    assert capsys.readouterr().err.count("maps.earlier.csv") == 1
    assert b"makes no map" in (tmp_path / "maps.csv").read_bytes()


@pytest.mark.data
@pytest.mark.parametrize("name", ["rtf", "cuhk_bd"])
def test_the_truth_of_real_data_scores_itself_perfectly(data_root: Path, name: str) -> None:
    data = plan.select_dataset(name, data_root, limit=2)
    for sample_id in data.fingerprints:
        sample = data.dataset.load(sample_id)
        if sample.blur_map is not None:
            values = map_scores.score_blur_map(sample.blur_map, sample)
            assert (values["mae_px"], values["pearson"]) == (0, pytest.approx(1))
            assert 0.2 < float(values["constant_mae_px"] or 0) < 2, (
                "real maps are in pixels and not constant"
            )
        else:
            assert sample.mask is not None
            values = map_scores.score_blur_map(sample.mask.astype(np.float32), sample)
            assert (values["auc"], values["f1"], values["f03_threshold_px"]) == (1, 1, 1)
