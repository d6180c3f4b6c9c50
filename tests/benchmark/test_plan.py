from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmark import plan
from benchmark.api import MethodCard, PicturePairs, PlannedPictures, UsageError
from benchmark.metrics.tracks import Track
from benchmark.noise import Noise
from benchmark.registry import METHODS, PROTOCOLS
from tests.methods.random_weights import draw

pytestmark = pytest.mark.usefixtures("toys")

CELL = plan.Cell(
    "echo", "echo", None, "{}", "1", None, "tiny", "tiny", "s", "f00", "u8", Noise(1.0, seed=2)
)


@pytest.mark.parametrize(
    "change",
    [
        {"method_name": "x"},
        {"checkpoint": "x"},
        {"parameters": '{"a": 1}'},
        {"method_version": "2"},
        {"weights": "x"},
        {"dataset_name": "x"},
        {"sample": "x"},
        {"data": "x"},
        {"track": "u16"},
        {"precision": "bfloat16"},
        {"noise": Noise(2.0, seed=2)},
        {"noise": Noise(1.0, seed=3)},
        {"noise": Noise(1.0, clip=True, seed=2)},
        {"noise": Noise(1.0, round8=True, seed=2)},
        {"noise": Noise(1.0, seed=2, on_views="same")},
    ],
)
def test_every_field_of_the_identity_counts(change: dict[str, object]) -> None:
    assert dataclasses.replace(CELL, **change).key != CELL.key  # type: ignore[arg-type]


def test_labels_and_paths_do_not_count() -> None:
    assert (
        dataclasses.replace(CELL, method="other label", dataset="simulated:source=/moved").key
        == CELL.key
    )


def test_cells_from_before_there_was_a_choice_of_noise_on_views_are_the_physical_ones() -> None:
    physical = dataclasses.replace(CELL.noise, on_views="physical")
    assert dataclasses.replace(CELL, noise=physical).key == CELL.key


def test_noise_on_views_is_part_of_noisy_cells_of_methods_that_take_views_only(
    tmp_path: Path,
) -> None:
    methods = plan.select_methods(["input", "wants-views"])
    data = plan.select_dataset("tiny:views=true", tmp_path, limit=1)
    keys = {}
    for reading in ("same", "physical"):
        noises = [Noise(0.0), Noise(2.0, on_views=reading)]
        cells = plan.list_cells(methods, data, [Track("u8")], noises)
        assert {cell.noise.on_views for cell in cells if cell.method == "input"} == {""}
        keys[reading] = {(cell.method, cell.noise.sigma): cell.key for cell in cells}
    changed = [what for what, key in keys["same"].items() if key != keys["physical"][what]]
    assert changed == [("wants-views", 2.0)]
    default = plan.list_cells(methods, data, [Track("u8")], [Noise(0.0), Noise(2.0)])
    assert [cell.key for cell in default] == list(keys["same"].values())


def test_two_readings_of_noise_on_views_in_one_run_are_refused(tmp_path: Path) -> None:
    noises = [Noise(1.0), Noise(2.0, on_views="physical")]
    data = plan.select_dataset("tiny:views=true", tmp_path, limit=1)
    with pytest.raises(UsageError, match="physical and same in one run"):
        plan.plan_tasks(plan.select_methods(["input"]), data, [Track("u8")], noises)


def test_identity_is_pinned() -> None:
    """A changed identity makes every stored result a stranger; if it must change, raise
    IDENTITY_VERSION.
    """
    assert CELL.key == "04555c13fbd71a5be573a74cfdc59914"


def test_all_is_every_default_once_and_oracle_names_variants() -> None:
    names = [m.id.label for m in plan.select_methods(["all", "echo:gain=1,input"])]
    assert len(names) == len(set(names)) and {"echo", "input", "zhuo-sim", "fixed-point"} <= set(
        names
    )
    assert not any(m.card.oracle for m in plan.select_methods(["all"]))
    oracles = plan.select_methods(["oracle"])
    assert {"echo:map=oracle", "zhuo-sim:map=oracle", "fixed-point:map=oracle"} <= {
        m.id.label for m in oracles
    }
    assert all(m.card.oracle for m in oracles)
    ablations = [m.id.label for m in plan.select_methods(["ablations"])]
    assert ablations[:2] == ["echo:gain=0.5", "echo:gain=0.25"]
    assert any(
        re.fullmatch(r"gkmnet(\.[\w-]+)?:scales=1", name) for name in ablations
    )  # with the tag that ships, if any
    assert {m.card.family for m in plan.select_methods(["classical"])} == {"classical"}


def test_groups_name_the_weights_for_photographs_beside_the_preferred_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHMARK_CHECKPOINTS", str(tmp_path))
    for tag in ("other", "photo"):
        draw(tmp_path, "gkmnet:decoder=resized", tag)
    for group in ("all", "learned"):
        labels = [method.id.label for method in plan.select_methods([group])]
        names = [label.partition(":")[0] for label in labels if label.startswith("gkmnet")]
        assert names == ["gkmnet.sim", "gkmnet.sim-noise", "gkmnet.photo"]
    (method,) = plan.select_methods(["gkmnet"])
    assert method.id.label == "gkmnet.sim"


def test_groups_name_the_noise_trained_form_of_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHMARK_CHECKPOINTS", str(tmp_path))
    for tag in ("mine", "mine-noise", "other-noise"):
        draw(tmp_path, "kpac", tag)
    labels = [method.id.label for method in plan.select_methods(["all"])]
    assert [label for label in labels if label.startswith("kpac.")] == [
        "kpac.mine",
        "kpac.mine-noise",
    ]


def test_a_family_is_named_but_for_what_was_left_out() -> None:
    tags = ["sim", "sim-26-0", "sim-noise"]
    assert plan._find_family("sim-26-0-sram", tags) == "sim-26-0"
    assert plan._find_family("sim-26-1-sram", tags) is None, "`sim` has another budget"
    assert plan._find_family("mine", tags) is None


def test_ablations_bring_the_network_of_their_own_family() -> None:
    """`gkmnet.sim` was trained nine times as long as the ablations that ship."""
    labels = [method.id.label for method in plan.select_methods(["ablations"])]
    assert {"gkmnet.sim-26-0-sram:head=sram", "gkmnet.sim-26-0"} <= set(labels)
    assert "gkmnet.sim" not in labels


def test_a_group_leaves_out_what_cannot_be_built_and_says_so() -> None:
    class Broken(METHODS.get("echo")):  # type: ignore[misc]
        def __init__(self) -> None:
            raise OSError("its weights are gone")

    messages: list[str] = []
    with METHODS.temporarily({"broken": Broken}):
        names = [m.id.label for m in plan.select_methods(["all"], messages.append)]
        with pytest.raises(UsageError, match="its weights are gone"):
            plan.select_methods(["broken"])
    assert "broken" not in names and "input" in names
    assert len(messages) == 1 and "its weights are gone" in messages[0]


def test_groups_take_no_parameters() -> None:
    with pytest.raises(UsageError, match="takes no parameters"):
        plan.select_methods(["all:map=oracle"])


class Named(METHODS.get("input")):  # type: ignore[misc]
    """The input under a name of the user's choice."""

    location_parameters = frozenset({"name", "content"})

    def __init__(self, *, name: str, content: str = "") -> None:
        self._content = content

    @classmethod
    def label_of(cls, parameters: Mapping[str, Any]) -> str:
        return str(parameters["name"])

    def weights_hash(self) -> str:
        return self._content


def test_a_name_of_two_methods_is_refused() -> None:
    with METHODS.temporarily({"named": Named}):
        (method,) = plan.select_methods(["named:name=A,content=1", "named:name=A,content=1"])
        assert method.id.label == "A"
        with pytest.raises(UsageError, match="two different methods are called 'A'"):
            plan.select_methods(["named:name=A,content=1", "named:name=A,content=2"])
        methods = plan.select_methods(["named:name=A,content=1", "named:name=B,content=1"])
        assert [method.id.label for method in methods] == ["A", "B"]


class LookedUp(METHODS.get("input")):  # type: ignore[misc]
    """Files that answer for the samples of a run; their names are all that there is of them."""

    card = MethodCard(title="Looked up", family="baseline", made_elsewhere=True)

    def __init__(self, *, folder: str = "", pairs: PicturePairs | None = None) -> None:
        self._pairs = pairs

    def pair_pictures(self, pictures: PlannedPictures) -> PicturePairs:
        files = {sample: f"{sample} {sizes}" for sample, sizes in pictures.sizes.items()}
        return PicturePairs(files=dict.fromkeys(pictures.sigmas, files), remarks=("by size",))

    def weights_hash(self) -> str:
        return repr(self._pairs)


def test_pictures_made_elsewhere_are_paired_with_the_samples_before_a_run(tmp_path: Path) -> None:
    data = plan.select_dataset("tiny", tmp_path, limit=1)
    remarks: list[str] = []
    with METHODS.temporarily({"looked-up": LookedUp}):
        chosen = plan.select_methods(["input,looked-up"])
        tracks, noises = [Track("u8"), Track("u8", "crop", 5)], [Noise(), Noise(2.0, seed=1)]
        same, paired = plan.pair_methods(chosen, data, tracks, noises, remarks.append)
        with pytest.raises(UsageError, match="'pairs'"):
            plan.select_methods(["looked-up:pairs=x"])
    height, width = data.dataset.load("picture 0").image.shape[:2]
    sizes = {"u8": (height, width), "u8-crop5": (height - height % 5, width - width % 5)}
    files = {"picture 0": f"picture 0 {sizes}"}
    pairs = PicturePairs(files={0.0: files, 2.0: files}, remarks=("by size",))
    assert same == chosen[0]
    assert paired.id.arguments["pairs"] == pairs and paired.weights == repr(pairs)
    assert remarks == ["looked-up: by size"]


def test_only_pictures_made_elsewhere_are_told_their_sample(tmp_path: Path) -> None:
    sample = plan.select_dataset("tiny", tmp_path).dataset.load("picture 0")
    blind = sample.observe(METHODS.get("input").card, 2.0)
    looked_up = sample.observe(LookedUp.card, 2.0)
    assert (blind.sample, blind.noise_sigma) == (None, None)
    assert (looked_up.sample, looked_up.noise_sigma) == ("picture 0", 2.0)


def test_groups_leave_out_quietly_what_its_name_alone_does_not_build() -> None:
    messages: list[str] = []
    with METHODS.temporarily({"named": Named}):
        names = [method.id.name for method in plan.select_methods(["all"], messages.append)]
    assert "named" not in names and not messages


def test_cells_are_sample_major_and_levels_canonical(tmp_path: Path) -> None:
    data = plan.select_dataset("tiny:n=2", tmp_path)
    methods = plan.select_methods(["input,echo"])
    noises = [Noise(0.0, seed=5), Noise(0.0, clip=True), Noise(1.0, seed=5)]
    cells = plan.list_cells(methods, data, [Track("u8"), Track("u8")], noises)
    assert [(c.sample, c.noise.sigma, c.method) for c in cells] == [
        (s, n, m) for s in ("picture 0", "picture 1") for n in (0.0, 1.0) for m in ("input", "echo")
    ]


def test_limit_and_fingerprints(tmp_path: Path) -> None:
    all_three = plan.select_dataset("tiny", tmp_path)
    two = plan.select_dataset("tiny", tmp_path, limit=2)
    assert list(two.fingerprints) == ["picture 0", "picture 1"]
    assert two.fingerprints.items() < all_three.fingerprints.items()
    assert two.fingerprint() != all_three.fingerprint()


def test_tracks_follow_the_protocols_unless_overridden() -> None:
    canonical, dpdnet = PROTOCOLS.get("canonical"), PROTOCOLS.get("dpdnet")
    assert plan.select_tracks([canonical], None)["canonical"].id == "u8"
    assert plan.select_tracks([canonical], "u16")["canonical"].id == "u16"
    with pytest.raises(UsageError, match="'dpdnet' is defined on track u16 only"):
        plan.select_tracks([canonical, dpdnet], "u8")
