"""One cost pass: rounds, raw samples, what is missing, memory, and the command."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark import plan
from benchmark.api import DataError, Method, MethodCard, Network, Observation, UsageError
from benchmark.apply import PreparedMethod
from benchmark.registry import METHODS, create
from benchmark.studies.cost import measurement, published, timing
from benchmark.studies.cost.counting import NetworkCount
from benchmark.studies.cost.measurement import (
    CostRecord,
    MethodCounts,
    PictureSize,
    parse_picture_size,
)
from benchmark.studies.cost.mosaic import MAX_RADIUS, make_mosaic, tile_photographs
from benchmark.studies.cost.published import PublishedCost
from benchmark.studies.cost.timing import (
    TimingSubject,
    Trial,
    TrialFile,
    TrialReading,
    count_rounds,
    order_of_round,
    time_methods,
)

ROOT = Path(__file__).parents[4]
SUBJECT = TimingSubject(
    "input", "1", None, "cpu", "16x12", "a processor", None, 1, "torch 0", "0 at abc"
)
OK = Trial(SUBJECT, 1, "ok", None, TrialReading(0.5, 10, 30, None), "2026-01-01T00:00:00+00:00")


def subject(method: str) -> TimingSubject:
    return dataclasses.replace(SUBJECT, method=method)


# The picture
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (37, 23), (3600, 8), (8, 900)])
def test_the_picture_has_any_size_and_is_the_same_each_time(size):
    image, blur_map = make_mosaic(*size)
    again, _ = make_mosaic(*size)
    assert np.array_equal(image, again)
    assert image.shape == (size[1], size[0], 3) and image.dtype == blur_map.dtype == np.float32
    assert np.abs(255 * image - np.rint(255 * image)).max() < 1e-3  # 8 bits
    assert image.min() >= 0 and image.max() <= 1
    assert blur_map.min() >= 0 and blur_map.max() <= MAX_RADIUS / 2


def test_the_picture_shows_different_things():
    image = tile_photographs(4000, 840)
    parts = [image[:400, at : at + 400] for at in (0, 700, 1300, 1760, 2400)] + [
        image[400:800, :400]
    ]
    assert all(
        np.abs(one - other).mean() > 0.02 for one in parts for other in parts if one is not other
    )
    assert np.array_equal(image[:400, :1752], image[400:800, 1752:3504])  # then it begins again


# Sizes
# --------------------------------------------------------------------------------------------------


def test_a_size_is_width_by_height():
    assert parse_picture_size("1680x1120") == PictureSize(width=1680, height=1120)
    assert str(parse_picture_size("3x5")) == "3x5"


@pytest.mark.parametrize(
    "text", ["1680", "1680X1120", "0x5", "-3x5", "3x5x7", " 3x5", "3.5x5", "1680 x 1120", ""]
)
def test_any_other_size_is_refused(text):
    with pytest.raises(UsageError, match="1680x1120"):
        parse_picture_size(text)


# Raw samples
# --------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(), unique=True, max_size=6))
def test_every_round_has_everyone_and_everyone_is_first_once(items):
    rounds = [order_of_round(items, number) for number in range(len(items))]
    assert all(sorted(one) == sorted(items) for one in rounds)
    assert sorted(one[0] for one in rounds) == sorted(items)
    assert order_of_round(items, len(items)) == items


def test_samples_come_back_as_they_were(tmp_path):
    trials = TrialFile(tmp_path / "samples.jsonl")
    assert trials.read() == []
    lost = Trial(subject("ebdb"), 0, "timeout", "took longer", None, OK.finished)
    for trial in (OK, lost):
        trials.append(trial)
    assert trials.read() == [OK, lost]


def test_a_line_cut_off_by_a_crash_costs_no_other(tmp_path):
    path = tmp_path / "samples.jsonl"
    trials = TrialFile(path)
    for _ in range(2):
        trials.append(OK)
    path.write_bytes(path.read_bytes()[:-40])
    trials.append(OK)
    assert trials.read() == [OK, OK]
    assert len(path.read_text().splitlines()) == 3


def test_the_warm_up_and_what_failed_are_no_rounds():
    warm_up = dataclasses.replace(OK, round=0)
    failure = dataclasses.replace(OK, round=2, status="failed", reading=None)
    elsewhere = dataclasses.replace(OK, subject=dataclasses.replace(SUBJECT, threads=2))
    assert count_rounds([warm_up, OK, failure, elsewhere]) == {SUBJECT: 1, elsewhere.subject: 1}


# Measuring
# --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scene():
    return make_mosaic(16, 12)


@pytest.mark.slow
def test_rounds_interleave_and_trouble_ends_only_its_method(toys, scene):
    names = [
        "input",
        "misbehave:how=raise",
        "unsharp",
        "misbehave:how=sleep",
        "misbehave:how=skip",
        "misbehave:how=nan",
    ]
    trials = list(
        time_methods(
            [subject(name) for name in names],
            scene,
            rounds=2,
            rounds_before={},
            plugins=[toys],
            timeout=1.0,
        )
    )
    order = [(trial.round, trial.subject.method) for trial in trials]
    assert order[:6] == [(0, name) for name in names]
    assert order[6:] == [(1, "unsharp"), (1, "input"), (2, "unsharp"), (2, "input")]
    outcomes = {trial.subject.method: (trial.status, trial.reason) for trial in trials}
    assert outcomes["misbehave:how=raise"] == (
        "failed",
        "RuntimeError: it broke <b>badly</b> | here",
    )
    assert outcomes["misbehave:how=sleep"] == ("timeout", "took longer than 1 s")
    assert outcomes["misbehave:how=skip"] == ("skipped", "does not like it")
    assert (
        outcomes["misbehave:how=nan"][0] == "failed" and "NaN" in outcomes["misbehave:how=nan"][1]
    )
    readings = [trial.reading for trial in trials if trial.subject.method == "input"]
    assert len(readings) == 3 and all(reading.seconds > 0 for reading in readings)


def test_everything_a_method_may_ask_for_is_there(toys, scene):
    names = ["wants-views", "wants-noise", "echo:map=oracle"]
    trials = list(
        time_methods(
            [subject(name) for name in names], scene, rounds=1, rounds_before={}, plugins=[toys]
        )
    )
    assert [trial.status for trial in trials] == ["ok"] * 6


def test_only_missing_rounds_are_measured(scene):
    complete, lacking = subject("input"), subject("unsharp")
    trials = list(
        time_methods([complete, lacking], scene, rounds=3, rounds_before={complete: 3, lacking: 2})
    )
    assert [(trial.subject, trial.round) for trial in trials] == [(lacking, 0), (lacking, 3)]


class Hungry(Method):
    """Takes memory and gives it back."""

    card = MethodCard(title="Hungry", family="baseline")

    def __init__(self, megabytes: int) -> None:
        self.megabytes = megabytes

    def restore(self, observation: Observation) -> np.ndarray:
        memory = np.ones(125_000 * self.megabytes)
        return observation.image * np.float32(memory[-1])


@pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="memory is read from Linux's /proc"
)
def test_memory_is_that_of_one_restoration(monkeypatch, scene):
    peaks = []
    for megabytes in (200, 1):
        process_state = (PreparedMethod(Hungry(megabytes)), Observation(scene[0]))
        monkeypatch.setattr(timing, "_method_in_process", process_state)
        reading = timing._time_restoration(SUBJECT)
        peaks.append((reading.peak - reading.before) / 1e6)
    assert 195 < peaks[0] < 230
    assert peaks[1] < 30


def test_a_gpu_is_waited_for_on_both_sides(monkeypatch, scene):
    import torch

    class Restores(Hungry):
        def restore(self, observation):
            events.append("restore")
            return observation.image.copy()

    events: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: events.append("wait"))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: events.append("reset"))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 7)
    process_state = (PreparedMethod(Restores(0)), Observation(scene[0]))
    monkeypatch.setattr(timing, "_method_in_process", process_state)
    reading = timing._time_restoration(dataclasses.replace(SUBJECT, device="cuda"))
    assert events == ["reset", "wait", "restore", "wait"]
    assert reading.gpu_peak == 7
    assert timing._time_restoration(SUBJECT).gpu_peak is None and events[4:] == ["restore"]


# A whole pass
# --------------------------------------------------------------------------------------------------


def pass_over(folder: Path, texts: list[str], rounds: int, **options) -> list[Trial]:
    measurement.measure_costs(
        plan.select_methods(texts), PictureSize(16, 12), folder, rounds=rounds, threads=1, **options
    )
    return TrialFile(folder / measurement.SAMPLES_FILE).read()


def test_the_same_command_again_does_what_is_missing(tmp_path):
    first = pass_over(tmp_path, ["input"], 1)
    assert [trial.round for trial in first] == [0, 1]
    assert pass_over(tmp_path, ["input"], 1) == first
    longer = pass_over(tmp_path, ["input"], 2)
    assert longer[:2] == first and [trial.round for trial in longer[2:]] == [0, 2]
    record, trials = measurement.read_cost_pass(tmp_path)
    assert trials == longer and list(record.counts) == ["input"]
    assert record.counts["input"].forms == {} and not record.counts["input"].problem
    assert record.provenance["suite"] and record.subjects[0].threads == 1


def test_samples_taken_under_other_circumstances_stay_but_are_not_shown(tmp_path):
    own = pass_over(tmp_path, ["input"], 1)
    TrialFile(tmp_path / measurement.SAMPLES_FILE).append(
        dataclasses.replace(OK, subject=subject("input"))
    )
    assert measurement.read_cost_pass(tmp_path)[1] == own
    assert len(TrialFile(tmp_path / measurement.SAMPLES_FILE).read()) == 3


def test_counting_alone_takes_no_samples_and_published_figures_have_their_own_size(
    tmp_path, toys, monkeypatch
):
    def network(self):
        from torch import nn

        return Network(
            forms={"": lambda: nn.Conv2d(3, 1, 1)},
            shapes=lambda height, width: ((1, 3, height, width),),
        )

    figures = [
        PublishedCost(method, "x", "size", "1", "x", "") for method in ("echo:gain=0.5", "scribble")
    ]
    monkeypatch.setattr(published, "read_published_costs", lambda: figures)
    monkeypatch.setattr(METHODS.get("echo"), "network", network)
    assert pass_over(tmp_path, ["echo"], 0) == []
    record, _ = measurement.read_cost_pass(tmp_path)
    assert record.counts["echo"].forms[""].macs == 3 * 16 * 12
    assert record.counts["echo"].checkpoint_bytes is None
    assert record.published == figures[:1] and list(record.references) == ["echo:gain=0.5"]
    assert record.references["echo:gain=0.5"].forms[""].macs == 3 * 1680 * 1120


def test_a_method_that_cannot_be_counted_does_not_stop_the_others(tmp_path, toys, monkeypatch):
    def broken(self):
        raise RuntimeError("no such layer")

    monkeypatch.setattr(METHODS.get("echo"), "network", broken)
    pass_over(tmp_path, ["echo", "input"], 0)
    record, _ = measurement.read_cost_pass(tmp_path)
    assert record.counts["echo"].problem == "RuntimeError: no such layer"
    assert not record.counts["input"].problem


def test_the_size_of_the_file_of_weights_is_told(tmp_path, toys, monkeypatch):
    weights = tmp_path / "echo.some"
    weights.write_bytes(b"12345")
    kind = METHODS.get("echo")
    monkeypatch.setattr(kind, "checkpoints", {"some": str(weights)})
    monkeypatch.setattr(kind, "default_checkpoint", "some")
    monkeypatch.setattr(kind, "__init__", lambda self, *, checkpoint: None)
    assert measurement._count_method("echo", PictureSize(8, 8)).checkpoint_bytes == 5


@pytest.mark.parametrize(
    ("device", "cuda", "learned", "classical"),
    [
        ("auto", False, ["cpu"], ["cpu"]),
        ("auto", True, ["cpu", "cuda"], ["cpu"]),
        ("cuda", True, ["cuda"], ["cpu"]),
        ("cpu", True, ["cpu"], ["cpu"]),
    ],
)
def test_learned_methods_are_measured_on_both_devices(
    monkeypatch, device, cuda, learned, classical
):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    assert measurement._list_devices(device, uses_network=True) == learned
    assert measurement._list_devices(device, uses_network=False) == classical


def test_no_pass_and_a_damaged_one_are_told_apart(tmp_path):
    with pytest.raises(UsageError, match="--methods"):
        measurement.read_cost_pass(tmp_path)
    (tmp_path / measurement.RECORD_FILE).write_text("{}")
    with pytest.raises(DataError, match="run `cost` again"):
        measurement.read_cost_pass(tmp_path)


def test_other_weights_of_a_network_cost_the_same_and_other_networks_do_not():
    count = NetworkCount(1, 4, 0, 0, ((1, 3, 2, 2),), {}, 0, 0, {}, {})
    with_network = MethodCounts({"": count})
    counts = {
        "input": MethodCounts(),
        "theirs (2,": with_network,
        "gkmnet.sim": with_network,
        "gkmnet.small:scales=1": with_network,
    }
    record = CostRecord(PictureSize(2, 2), [], counts, [], {}, {})
    expected_ids = {
        "gkmnet.sim": "gkmnet.sim",
        "gkmnet.sim-noise": "gkmnet.sim",
        "gkmnet": "gkmnet.sim",
        "gkmnet.sim-26-0-one-scale:scales=1": "gkmnet.small:scales=1",
    }
    unknown = ("gkmnet.photo:decoder=resized", "srn.sim", "input.sim", "theirs (3,")
    assert record.find_counted_ids((*expected_ids, *unknown)) == expected_ids


# Published figures
# --------------------------------------------------------------------------------------------------


def test_every_published_figure_names_a_method_that_is_here():
    figures = published.read_published_costs()
    assert len({(f.method, f.model, f.quantity, f.source) for f in figures}) == len(figures) > 50
    for method in {figure.method for figure in figures}:
        create(METHODS, method)


def test_published_figures_are_as_printed():
    table = {(f.model, f.quantity): f.value for f in published.read_published_costs()}
    assert table["GKMNet", "operations"] == "603.5" and table["w/o Conv-LSTM", "size"] == "4.33"
    assert table["DPDNet-D", "operations"] == "4048.6" and table["EBDB", "cpu_seconds"] == "929.7"


@pytest.mark.parametrize(
    "line", ["a,A,operations,12,M,s,", "a,A,wishes,12,M,s,", "a,A,size,many,MB,s,", "a,A,size"]
)
def test_a_damaged_file_of_figures_is_refused(tmp_path, line):
    path = tmp_path / "cost.csv"
    path.write_text(f"method,model,quantity,value,unit,source,note\n{line}\n")
    with pytest.raises(DataError, match="columns"):
        published.read_published_costs(path)
    with pytest.raises(DataError, match="part of the checkout"):
        published.read_published_costs(tmp_path / "none.csv")


# The command
# --------------------------------------------------------------------------------------------------


def call(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmark", "cost", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_the_command_measures_and_writes_the_tables_again(tmp_path, toys):
    folder, words = (
        str(tmp_path / "made"),
        ["--size", "9x7", "--threads", "1", "--plugin", str(toys)],
    )
    process = call("--methods", "input,misbehave", "--rounds", "1", "--out", folder, *words)
    assert process.returncode == 1  # misbehave failed
    assert (
        "What a picture of 9x7 costs" in process.stdout
        and "it broke <b>badly</b>" in process.stdout
    )
    text = (tmp_path / "made" / "cost.md").read_text()
    (tmp_path / "made" / "cost.md").unlink()
    samples = (tmp_path / "made" / measurement.SAMPLES_FILE).read_text()
    again = call("--out", folder)
    assert again.returncode == 1 and again.stderr == ""
    assert (tmp_path / "made" / "cost.md").read_text() == text
    assert (tmp_path / "made" / measurement.SAMPLES_FILE).read_text() == samples
    assert [json.loads(line)["round"] for line in samples.splitlines()] == [0, 0, 1]


BROKEN_NETWORK = """
from benchmark.api import Method, MethodCard
from benchmark.registry import METHODS


@METHODS.register("broken-network")
class BrokenNetwork(Method):
    card = MethodCard(title="Broken network", family="baseline")

    def network(self):
        raise RuntimeError("no such layer")

    def restore(self, observation):
        return observation.image
"""


@pytest.mark.parametrize(
    ("methods", "code"),
    [("input", 0), ("broken-network,input", 1), ("input,broken-network", 1)],
)
def test_the_exit_code_says_that_one_of_the_methods_could_not_be_counted(tmp_path, methods, code):
    plugin = tmp_path / "broken.py"
    plugin.write_text(BROKEN_NETWORK)
    counting = ["--methods", methods, "--rounds", "0", "--size", "9x7", "--plugin", str(plugin)]
    done = call(*counting, "--out", str(tmp_path / "made"))
    assert done.returncode == code, done.stderr
    assert ("no such layer" in done.stdout) == (code == 1)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--size", "huge"], "expected WIDTHxHEIGHT"),
        (["--out", "nowhere"], "no cost pass here"),
        (["--methods", "nothing"], "nothing"),
    ],
)
def test_bad_usage_is_refused_with_exit_code_2(words, says):
    process = call(*words)
    assert process.returncode == 2 and says in process.stderr
