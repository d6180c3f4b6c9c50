"""Figures from runs: their lines and panels against second computations, honest gaps, the same
bytes twice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray

from benchmark import imageio
from benchmark.api import (
    DataError,
    Method,
    MethodCard,
    Mixture,
    Observation,
    Picture,
    Unavailable,
    UsageError,
)
from benchmark.cells import Cell, Outcome, Score
from benchmark.noise import Noise
from benchmark.optics import gkm
from benchmark.registry import DATASETS, METHODS, PROTOCOLS, create
from benchmark.reports import crops as close_ups
from benchmark.reports.figures import (
    coefficients,
    crops,
    figure_set,
    kernels,
    pareto,
    psf,
    radius,
    robustness,
    style,
)
from benchmark.reports.figures.figure_data import FigureData, FigureOptions
from benchmark.reports.psf_study import FITS_FILE
from benchmark.results import results_of
from benchmark.run_layout import output_file, output_picture, target_picture
from benchmark.source_digest import fingerprint_sample
from benchmark.stats import mean_interval
from benchmark.store import Store
from benchmark.stored_cards import describe_protocol
from benchmark.studies.cost import measurement
from benchmark.studies.cost.counting import NetworkCount
from benchmark.studies.cost.measurement import CostRecord, MethodCounts, PictureSize
from benchmark.studies.cost.timing import TimingSubject, Trial, TrialFile, TrialReading
from benchmark.studies.psf import BANK_SIZES, LARGE_NONNEGATIVE, PSF_MODELS, PsfModel
from tests.methods.random_weights import draw as draw_checkpoint
from tests.reports.scores import score

DATASET = "tiny:size=64"
SAMPLES = ("picture 0", "picture 1", "picture 2")
RULERS = {("quick", "psnr"): "1/1/-", ("quick", "mae"): "1/1/-"}
ORACLE = "echo:map=oracle"
METHODS_SHOWN = {"input": 20.0, "blurry": 19.0, "sharp": 23.0, ORACLE: 30.0}
Values = Mapping[tuple[str, str, float], float]


class Run:
    """A store made by hand."""

    def __init__(self, folder: Path, dataset: str = DATASET) -> None:
        self.store = Store(folder, create=True)
        self.dataset = dataset
        self.adapter = create(DATASETS, "tiny:size=64", root=folder)[0]
        cards = {
            name: MethodCard(
                title=name,
                family="baseline" if name == "input" else "classical",
                oracle=name == ORACLE,
            )
            for name in METHODS_SHOWN
        }
        self.store.put_cards(cards)
        self.store.put_cards({"quick": describe_protocol(PROTOCOLS.get("quick"))})
        self.number = self.store.start_run({"git": {"commit": "a" * 40, "dirty": False}})

    def cell(self, method: str, sample: str, sigma: float = 0.0) -> Cell:
        data = fingerprint_sample(self.adapter, sample) if sample in SAMPLES else sample
        plain = (method, method, None, "{}", "1", None, self.dataset, "tiny")
        return Cell(*plain, sample, data, "u8", Noise(sigma).canonical())

    def put(
        self,
        method: str,
        sample: str,
        value: float | None,
        sigma: float = 0.0,
        output: str | None = None,
        scene: str | None = None,
    ) -> None:
        reason = "no target" if value is None else None
        scores = [score("psnr", value, reason), score("mae", value and 1 / value, reason)]
        self.store.put(
            self.number,
            self.cell(method, sample, sigma),
            Outcome("ok", scene=scene, output=output, scores={"quick": scores}),
            RULERS,
        )

    def fail(self, method: str, sample: str, sigma: float = 0.0) -> None:
        self.store.put(
            self.number, self.cell(method, sample, sigma), Outcome("failed", reason="broke"), RULERS
        )

    def keep(
        self,
        method: str,
        sample: str,
        picture: Picture,
        target: Picture | None,
        value: float | None = 20,
    ) -> None:
        """Keep an output with its pictures, as a worker does."""
        cell = self.cell(method, sample)
        output = output_file(cell)
        for path in (output, output_picture(output), target_picture(cell)):
            (self.store.folder / path).parent.mkdir(parents=True, exist_ok=True)
        imageio.write_output(self.store.folder / output, picture)
        imageio.write(self.store.folder / output_picture(output), picture, 8)
        if target is not None:
            imageio.write(self.store.folder / target_picture(cell), target, 8)
        self.put(method, sample, value, output=output)


@pytest.fixture
def run(tmp_path: Path, toys: Path) -> Run:
    return Run(tmp_path / "run")


@pytest.fixture
def noisy(run: Run) -> Run:
    """Four methods on three pictures at three levels; each loses half its noise level in dB, times
    its rank.
    """
    for rank, (method, value) in enumerate(METHODS_SHOWN.items()):
        for sigma in (0.0, 1.0, 4.0):
            for index, sample in enumerate(SAMPLES):
                run.put(method, sample, value + index - sigma * rank * (0.5 + 0.1 * index), sigma)
    return run


@pytest.fixture
def shown(run: Run) -> Run:
    """Outputs and pictures of two methods on three pictures."""
    for index, sample in enumerate(SAMPLES):
        loaded = run.adapter.load(sample)
        assert loaded.target is not None
        run.keep("input", sample, loaded.image, loaded.target, 10.0)
        run.keep(
            "sharp", sample, loaded.target + np.float32(0.5 + 0.1 * index), loaded.target, 20.0
        )
    return run


def source(*runs: Run, **wanted: object) -> FigureData:
    return FigureData(results_of(*(run.store for run in runs)), FigureOptions(**wanted))  # type: ignore[arg-type]


def lines(figure: Figure, panel: int) -> dict[str, tuple[list[float], list[float]]]:
    """Label -> (x, y) of the curves and error bars of a panel."""
    axes = figure.axes[panel]
    found = {c.get_label(): c.lines[0] for c in axes.containers if hasattr(c, "lines")}
    found |= {
        line.get_label(): line
        for line in axes.get_lines()
        if not str(line.get_label()).startswith("_")
    }
    return {
        str(name): (list(line.get_xdata()), list(line.get_ydata())) for name, line in found.items()
    }


def bars(figure: Figure, panel: int, method: str) -> list[tuple[float, float]]:
    """Lower and upper ends of the error bars of a method."""
    [container] = [c for c in figure.axes[panel].containers if c.get_label() == method]
    return [tuple(segment[:, 1]) for segment in container.lines[2][0].get_segments()]  # type: ignore[attr-defined]


# FigureData
# --------------------------------------------------------------------------------------------------


def test_what_is_not_there_is_refused_by_name(noisy: Run) -> None:
    for wanted, words in (
        ({"dataset": "tiny:size=65"}, "tiny:size=65: not in the runs.*did you mean 'tiny:size=64'"),
        ({"methods": ["shrap"]}, "no method 'shrap'.*did you mean 'sharp'"),
        ({"samples": ["picture 9"]}, "no picture 'picture 9'.*hold: picture 0, picture 1"),
        ({"protocol": "gkmnet"}, "no protocol 'gkmnet'.*quick"),
    ):
        with pytest.raises(UsageError, match=f"(?i){words}"):
            source(noisy, **wanted)


def test_of_several_data_sets_one_must_be_chosen(noisy: Run, tmp_path: Path) -> None:
    other = Run(tmp_path / "other", "tiny:size=64,n=2")
    other.put("input", SAMPLES[0], 10.0)
    with pytest.raises(UsageError, match=r"several data sets.*--dataset"):
        source(noisy, other)
    assert source(noisy, other, dataset=other.dataset).levels == [Noise()]
    assert source(noisy, dataset="tiny").dataset == DATASET, "its registered name will do"


def test_an_empty_run_says_so(run: Run) -> None:
    with pytest.raises(UsageError, match="no cells"):
        source(run)


def test_runs_are_read_as_one(noisy: Run, tmp_path: Path) -> None:
    other = Run(tmp_path / "other")
    for sample in SAMPLES:
        other.put("late", sample, 25.0)
    both = source(noisy, other)
    values = both.comparable("psnr", [Noise()]).values
    assert {name for name, _ in values} == {*METHODS_SHOWN, "late"} and len(values) == 3
    assert any("From 2 runs" in line for line in both.describe(SAMPLES))


def test_figures_of_a_measure_with_an_ideal_show_the_distance_to_it(noisy: Run) -> None:
    card = describe_protocol(PROTOCOLS.get("quick"))
    ratio = dataclasses.replace(card.measures["psnr"], title="ratio", ideal=21.0)
    measures = {**card.measures, "psnr": ratio}
    noisy.store.put_cards({"quick": dataclasses.replace(card, measures=measures)})
    data = source(noisy)
    assert data.measures["psnr"].title == "ratio, distance from 21"
    values = data.comparable("psnr", [Noise()]).values
    assert values["sharp", Noise()].tolist() == pytest.approx([2, 3, 4])
    assert values["input", Noise()].tolist() == pytest.approx([1, 0, 1])


def test_methods_look_the_same_whichever_are_shown(noisy: Run) -> None:
    everyone = source(noisy).looks
    for methods in (["sharp"], ["sharp", "input"], ["blurry", ORACLE]):
        data = source(noisy, methods=methods)
        assert {name: data.looks[name] for name in methods} == {
            name: everyone[name] for name in methods
        }
    assert source(noisy, methods=["sharp", "input"]).methods == ["input", "sharp"]


def test_of_many_methods_the_best_are_drawn_and_the_choice_is_said(noisy: Run) -> None:
    for index in range(9):
        for sigma in (0.0, 1.0, 4.0):
            for sample in SAMPLES:
                noisy.put(f"m{index}", sample, 15.5 + index, sigma)
    data = source(noisy)
    assert sorted(data.methods) == sorted(["input", "m8", "sharp", "m7", "m6", "m5"])
    [note] = data.choice_notes
    assert "\n" not in note and "6 of 13 methods: input and the 5 best by gain in PSNR" in note
    assert "`--methods A,B,C` chooses others, at most 6" in note
    assert len({data.looks[name].colour for name in data.methods}) == 6
    assert ORACLE not in data.methods, "who was given the truth comes last"
    assert note in robustness.draw_robustness_figure(data).caption
    chosen = source(noisy, methods=["m0", "m1", "m6", "m7", ORACLE])
    assert chosen.methods == ["m0", "m1", "m6", "m7", ORACLE] and chosen.choice_notes == ()
    assert len({chosen.looks[name].colour for name in chosen.methods}) == 5
    kept = {name: data.looks[name].colour for name in ("m6", "m7")}
    assert {name: chosen.looks[name].colour for name in kept} == kept
    assert len(data.with_all_methods().methods) == 13


def test_without_the_input_six_others_are_drawn(noisy: Run) -> None:
    names = [f"m{index}" for index in range(8)]
    for index, name in enumerate(names):
        for sample in SAMPLES:
            noisy.put(name, sample, 30.0 - index)
    data = source(noisy, methods=names)
    assert data.methods == names[:6]
    assert "6 of 8 methods: the 6 best" in data.choice_notes[0]


def test_captions_say_where_numbers_are_from(noisy: Run) -> None:
    whole = " ".join(source(noisy).describe(SAMPLES))
    for fact in (
        f"Data: {DATASET}, 3 pictures, fingerprint ",
        "track u8",
        "Protocol: quick (two quick metrics)",
        "a" * 12,
    ):
        assert fact in whole
    assert "† given the true blur map" in whole
    part = source(noisy).describe(SAMPLES[:1])[0]
    assert "1 picture," in part and part.split("fingerprint")[1] != whole.split("fingerprint")[1]


def test_a_changed_data_set_is_noticed(noisy: Run) -> None:
    changed = dataclasses.replace(noisy.cell("input", SAMPLES[0]), data="other")
    noisy.store.put(noisy.store.start_run({}), changed, Outcome("ok"), {})
    made = source(noisy)
    with pytest.raises(Unavailable, match="not what it was"):
        made.read_sample(noisy.adapter, SAMPLES[0])
    assert made.read_sample(noisy.adapter, SAMPLES[1]).id == SAMPLES[1]


# Style
# --------------------------------------------------------------------------------------------------


def test_methods_that_are_drawn_differ_in_colour_and_in_marker() -> None:
    names = [f"m{index}" for index in range(20)]
    looks = style.choose_method_looks(["input", *names], unranked=["m3"])
    drawn = ["input", *names[: style.MOST_METHODS]]
    assert len({looks[name].colour for name in drawn}) == 7
    assert len({looks[name].marker for name in drawn}) == 7, "also in black and white"
    assert {looks[name].colour for name in names[6:]} == {style.GREY}
    assert looks["input"].colour == style.BLACK
    assert [name for name, look in looks.items() if not look.competes] == ["m3"]
    assert looks["m3"].point_style()["markerfacecolor"] == "white"


@given(st.sets(st.sampled_from([f"m{index}" for index in range(20)]), max_size=6))
def test_whichever_six_are_drawn_they_differ(drawn: set[str]) -> None:
    names = [f"m{index}" for index in range(20)]
    looks = style.choose_method_looks(names, drawn)
    assert len({looks[name].colour for name in drawn}) == len(drawn)
    assert len({looks[name].marker for name in drawn}) == len(drawn)


@pytest.mark.parametrize("deficiency", ["none", "protan", "deutan", "tritan"])
def test_colours_are_told_apart_by_the_colour_blind(deficiency: str) -> None:
    """Machado, Oliveira and Fernandes 2009, Table 1, severity 1.0, in linear light; CIE76 above
    10.
    """
    from matplotlib.colors import to_rgb
    from skimage.color import rgb2lab

    machado = {
        "none": np.eye(3),
        "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
        "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                   [-0.011820, 0.042940, 0.968881]],
        "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
    }  # fmt: skip
    looks = style.choose_method_looks(["input", *"abcdef"])
    colours = [look.colour for look in looks.values()]
    linear = np.array([to_rgb(colour) for colour in colours]) ** 2.2
    seen = np.clip(linear @ np.transpose(machado[deficiency]), 0, 1) ** (1 / 2.2)
    lab = rgb2lab(seen)
    distances = np.linalg.norm(lab[:, None] - lab, axis=2)
    assert distances[~np.eye(len(colours), dtype=bool)].min() > 10


def test_letters_are_dark_enough_to_be_read() -> None:
    """WCAG's contrast to white, 3 for large and 4.5 for small letters."""
    from matplotlib.colors import to_rgb

    for look in style.choose_method_looks(["input", *"abcdef"]).values():
        linear = np.array(to_rgb(style.darken(look.colour))) ** 2.2
        luminance = float(linear @ [0.2126, 0.7152, 0.0722])
        assert 1.05 / (luminance + 0.05) > 3.9, look.colour


def test_a_caption_speaks_of_the_methods_that_are_shown(noisy: Run) -> None:
    def source(**asked: object) -> list[str]:
        return FigureData(results_of(noisy.store), FigureOptions()).describe(SAMPLES, **asked)  # type: ignore[arg-type]

    assert any(text.startswith("† given the true blur map") for text in source())
    assert not any("†" in text for text in source(methods=["input", "sharp"]))
    assert any("Suite at commit aaaaaaaaaaaa." in text for text in source(methods=["input"]))


def test_a_caption_warns_of_a_method_that_learned_from_the_generator(noisy: Run) -> None:
    noisy.store.put_cards({DATASET: dataclasses.replace(noisy.adapter.card, generator="toys")})
    sharp = MethodCard(title="sharp", family="learned", generators=("toys",))
    noisy.store.put_cards({"sharp": sharp})
    data = source(noisy)
    warning = "§ trained or tuned on this generator (toys), which favours them: sharp."
    assert data.describe(SAMPLES).count(warning) == 1
    assert warning not in data.describe(SAMPLES, methods=["input"])


def test_labels_differ_and_keep_the_marks_that_captions_explain() -> None:
    start = "zhuo-sim:map=oracle,deconvolution=richardson-lucy,psf="
    titles = {
        name: f"{name}†" for name in (f"{start}disk,light=linear", f"{start}gkm,light=linear")
    }
    labels = style.method_labels({**titles, "input": "input"})
    assert labels["input"] == "input"
    assert len(set(labels.values())) == 3 and max(map(len, labels.values())) <= 80
    assert all(label.endswith("linear†") for name, label in labels.items() if name != "input")
    alike = {f"{'a' * 90}{middle}{'b' * 90}": f"{'a' * 90}{middle}{'b' * 90}" for middle in "xy"}
    assert style.method_labels(alike) == alike, "rather long than the same"


def test_a_legend_has_as_many_columns_as_fit() -> None:
    from matplotlib.figure import Figure

    def columns(width: float, labels: list[str]) -> int:
        figure = Figure(figsize=(width, 2))
        handles = {label: figure.subplots().plot([0, 1])[0] for label in labels}
        style.add_figure_legend(figure, handles)
        return int(figure.legends[0]._ncols)

    assert columns(style.COLUMN, ["input", "ebdb"]) >= 2
    assert columns(style.COLUMN, ["m" * 45, "input"]) == 1
    assert columns(0.1, ["input"]) == 1


@given(st.text(max_size=60), st.integers(4, 30), st.integers(1, 3))
def test_names_fit_their_place(text: str, width: int, most: int) -> None:
    made = style.wrap_name(text, width, most).split("\n")
    assert len(made) <= most and all(len(line) <= width for line in made)
    assert "\n" not in style.printable_name(text)


def test_names_break_at_punctuation() -> None:
    assert style.wrap_name("fixed-point:map=oracle†", 14) == "fixed-point:\nmap=oracle†"
    assert style.wrap_name("blur-posterior:map=oracle", 22) == "blur-posterior:\nmap=oracle"
    assert style.wrap_name("gkmnet.sim-noise", 12) == "gkmnet.sim-\nnoise"
    assert style.wrap_name("写真 <b>", 14) == "?? <b>"


# Robustness
# --------------------------------------------------------------------------------------------------


def test_robustness_shows_means_and_paired_changes(noisy: Run) -> None:
    figure = robustness.draw_robustness_figure(source(noisy)).figure
    quality, change = lines(figure, 0), lines(figure, 2)
    assert list(quality) == ["input", "blurry", "sharp", f"{ORACLE}†"]
    for rank, (method, value) in enumerate(METHODS_SHOWN.items()):
        title = f"{method}†" if method == ORACLE else method
        lost = [sigma * rank * 0.6 for sigma in (0, 1, 4)]
        assert quality[title][1] == pytest.approx([value + 1 - each for each in lost])
        assert change[title][1] == pytest.approx([-each for each in lost])
    scores = [23 + index - 4 * 2 * (0.5 + 0.1 * index) for index in range(3)]
    whole = mean_interval(scores)
    assert bars(figure, 0, "sharp")[2] == pytest.approx((whole.low, whole.high))
    paired = mean_interval([-4 * 2 * (0.5 + 0.1 * index) for index in range(3)])
    assert bars(figure, 2, "sharp")[2] == pytest.approx((paired.low, paired.high))
    assert [axes.get_ylabel().split(" (")[0] for axes in figure.axes] == [
        "PSNR",
        "MAE ↓",
        "change in PSNR",
        "change in MAE",
    ]


def test_curves_are_labelled_at_their_ends_and_no_label_is_over_another(noisy: Run) -> None:
    for index in range(9):
        for sigma in (0.0, 1.0, 4.0):
            for sample in SAMPLES:
                noisy.put(f"much-alike-{index}", sample, 25.0 + index / 100, sigma)
    data = source(noisy)
    with style.use_paper_style():
        figure = robustness.draw_robustness_figure(data).figure
        figure.draw_without_rendering()
    for axes in (figure.axes[1], figure.axes[3]):
        boxes = {text.get_text(): Text.get_window_extent(text) for text in axes.texts}
        assert {name.replace("\n", "") for name in boxes} == set(data.methods)
        assert len(boxes) == style.MOST_METHODS
        for one, other in combinations(boxes.values(), 2):
            assert not one.overlaps(other)
        colours = {text.get_text(): text.get_color() for text in axes.texts}
        for name, colour in colours.items():
            assert colour == style.darken(data.looks[name.replace("\n", "")].colour)
    assert len(lines(figure, 0)) == style.MOST_METHODS


def test_figures_average_the_pictures_of_a_scene_first(run: Run) -> None:
    scores = {"input": (20.0, 23.0, 25.0), "sharp": (21.0, 25.0, 28.0)}
    for method, values in scores.items():
        for sigma in (0.0, 2.0):
            for sample, scene, value in zip(SAMPLES, "aab", values, strict=True):
                run.put(method, sample, value - sigma * value / 20, sigma, scene=scene)
    made = robustness.draw_robustness_figure(source(run))
    means = np.array([(21 + 25) / 2, 28.0])
    assert lines(made.figure, 0)["sharp"][1] == pytest.approx([means.mean(), 0.9 * means.mean()])
    assert lines(made.figure, 2)["sharp"][1][1] == pytest.approx(-0.1 * means.mean())
    scene_means = source(run).comparable("psnr", [Noise()]).scene_means
    assert scene_means["input"].to_numpy().ravel().tolist() == [21.5, 25.0]
    assert "3 pictures of 2 scenes" in " ".join(made.caption)
    assert "a scene counts once" in " ".join(made.caption)


def test_robustness_compares_the_pictures_all_have_at_all_levels(noisy: Run) -> None:
    for sigma in (0.0, 4.0):
        for sample in SAMPLES[: 3 if sigma else 2]:
            noisy.put("late", sample, 50.0 + SAMPLES.index(sample), sigma)
    made = robustness.draw_robustness_figure(source(noisy))
    assert lines(made.figure, 0)["input"][1] == pytest.approx([20.5] * 3)
    sigmas, means = lines(made.figure, 0)["late"]
    assert sigmas == pytest.approx([0, 4], abs=0.2) and means == [50.5, 50.5]
    assert "Over the 2 of 3 pictures that all have." in made.caption


def test_a_failure_leaves_a_gap_and_is_told(noisy: Run) -> None:
    for sample in SAMPLES:
        noisy.put("fragile", sample, 40.0)
        noisy.fail("fragile", sample, 4.0)
    made = robustness.draw_robustness_figure(source(noisy))
    assert lines(made.figure, 0)["fragile"][1] == [40.0]
    assert lines(made.figure, 0)["input"][1] == pytest.approx([21.0] * 3)
    assert any(
        "fragile, noise 4: failed on 3 of 3 pictures (broke)" in line for line in made.caption
    )
    assert "Without scores at noise 4 (failed): fragile." in made.caption


def test_noise_of_another_kind_is_another_figure(noisy: Run) -> None:
    clipped = dataclasses.replace(noisy.cell("input", SAMPLES[0]), noise=Noise(9.0, clip=True))
    scores = [Score("psnr", 9.0, None), Score("mae", 0.1, None)]
    noisy.store.put(noisy.number, clipped, Outcome("ok", scores={"quick": scores}), RULERS)
    made = robustness.draw_robustness_figure(source(noisy))
    assert max(lines(made.figure, 0)["input"][0]) < 5
    assert "Noise of other kinds is not shown: 9 clipped." in made.caption


def test_one_level_is_no_robustness(run: Run) -> None:
    run.put("input", SAMPLES[0], 10.0)
    with pytest.raises(Unavailable, match=r"one noise level \(0\)"):
        robustness.draw_robustness_figure(source(run))


# Pareto
# --------------------------------------------------------------------------------------------------

POINTS = st.lists(
    st.builds(pareto.ParetoPoint, st.text(max_size=2), st.integers(0, 9), st.integers(0, 9)),
    max_size=12,
)


@given(POINTS, st.booleans())
def test_the_front_is_what_nothing_beats(points: list[pareto.ParetoPoint], higher: bool) -> None:
    def beats(one: pareto.ParetoPoint, other: pareto.ParetoPoint) -> bool:
        better = one.quality >= other.quality if higher else one.quality <= other.quality
        return one.cost <= other.cost and better and one[1:] != other[1:]

    found = pareto.pareto_front(points, higher_is_better=higher)
    assert {point[1:] for point in found} == {
        p[1:] for p in points if not any(beats(other, p) for other in points)
    }
    assert [point.cost for point in found] == sorted({point.cost for point in found})


@pytest.fixture
def cost(tmp_path: Path) -> Path:
    """A cost pass: seconds of four methods, of two rounds after the warm-up, and counts of a
    network.
    """
    folder = tmp_path / "cost"
    folder.mkdir()
    count = NetworkCount(
        2_000_000, 8_000_000, 0, 0, ((1, 3, 8, 8),), {"convolution": 5_000_000_000}, 0, 0, {}, {}
    )
    seconds = {"input": 0.001, "blurry": 0.1, "sharp": 1.0, ORACLE: 0.01}
    subjects = {
        name: TimingSubject(name, "1", None, "cpu", "8x8", "a CPU", None, 1, "torch", "0")
        for name in seconds
    }
    counts = {
        name: MethodCounts({"plain": count}) if name == "sharp" else MethodCounts()
        for name in seconds
    }
    kept = CostRecord(PictureSize(8, 8), list(subjects.values()), counts, [], {}, {})
    (folder / measurement.RECORD_FILE).write_bytes(measurement.RECORD_ADAPTER.dump_json(kept))
    for name, subject in subjects.items():
        for number, factor in enumerate((9.0, 0.5, 1.5)):
            reading = TrialReading(seconds[name] * factor, None, None, None)
            TrialFile(folder / measurement.SAMPLES_FILE).append(
                Trial(subject, number, "ok", None, reading, "")
            )
    return folder


def test_pareto_shows_gains_against_medians_and_a_front_of_competitors(
    noisy: Run, cost: Path
) -> None:
    made = pareto.draw_pareto_figure(source(noisy, cost=cost))
    time, parameters, macs = made.figure.axes
    assert time.get_ylabel() == "gain in PSNR (dB) over the input ↑"
    assert [axes.get_xlabel() for axes in made.figure.axes] == [
        "CPU time (s)",
        "parameters (M)",
        "MACs (G)",
    ]
    found = lines(made.figure, 0)
    assert found["sharp"] == ([1.0], [pytest.approx(3.0)]) and found["blurry"] == (
        [0.1],
        [pytest.approx(-1.0)],
    )
    assert found[f"{ORACLE}†"][0] == [0.01]
    assert found["front"][0] == [0.001, 1.0, 1.0, 1.0]
    assert found["front"][1] == pytest.approx([0.0, 0.0, 3.0, 3.0])
    assert lines(made.figure, 1)["sharp"][0] == [2.0] and lines(made.figure, 2)["sharp"][0] == [5.0]
    hollow = {c.get_label(): c.lines[0].get_markerfacecolor() for c in time.containers}  # type: ignore[attr-defined]
    assert [name for name, colour in hollow.items() if colour == "white"] == [f"{ORACLE}†"]
    assert "gain in PSNR over the input, whose mean is 21.00" in made.caption[0]
    assert f"parameters (M): none known of input, blurry, {ORACLE}." in made.caption
    assert f"MACs (G): none known of input, blurry, {ORACLE}." in made.caption
    assert any("a CPU" in line for line in made.caption)
    assert all(axes.get_xscale() == "log" for axes in (time, parameters, macs))


def test_pareto_without_the_input_shows_means(noisy: Run, cost: Path) -> None:
    made = pareto.draw_pareto_figure(source(noisy, cost=cost, methods=["sharp", "blurry"]))
    assert lines(made.figure, 0)["sharp"][1] == [pytest.approx(24.0)]


def test_pareto_averages_the_pictures_of_a_scene_first(run: Run, cost: Path) -> None:
    for method, values in {"input": (20.0, 23.0, 25.0), "sharp": (21.0, 25.0, 30.0)}.items():
        for sample, scene, value in zip(SAMPLES, "aab", values, strict=True):
            run.put(method, sample, value, scene=scene)
    made = pareto.draw_pareto_figure(source(run, cost=cost))
    assert lines(made.figure, 0)["sharp"][1] == [pytest.approx(((1 + 2) / 2 + 5) / 2)]


def test_there_is_no_front_of_oracles(noisy: Run, cost: Path) -> None:
    made = pareto.draw_pareto_figure(source(noisy, cost=cost, methods=[ORACLE]))
    assert list(lines(made.figure, 0)) == [f"{ORACLE}†"]


def test_pareto_wants_costs_of_these_methods(noisy: Run, cost: Path, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"no cost pass in .*--cost"):
        pareto.draw_pareto_figure(source(noisy, cost=tmp_path))
    (cost / measurement.SAMPLES_FILE).unlink()
    made = pareto.draw_pareto_figure(source(noisy, cost=cost))
    assert [axes.get_xlabel() for axes in made.figure.axes] == ["parameters (M)", "MACs (G)"]
    assert any(line.startswith("No seconds") for line in made.caption)
    with pytest.raises(Unavailable, match="no costs of blurry"):
        pareto.draw_pareto_figure(source(noisy, cost=cost, methods=["blurry"]))


# Radius
# --------------------------------------------------------------------------------------------------


@given(
    arrays(
        np.float32, (6, 7), elements=st.sampled_from(np.float32([0, 0.1, 0.25, 0.3, 1, 2.2, 8, 30]))
    ),
    arrays(np.float32, (6, 7, 3), elements=st.floats(-1, 2, width=32)),
)
def test_errors_are_summed_by_blur(
    blur_map: NDArray[np.float32], output: NDArray[np.float32]
) -> None:
    target = np.full((6, 7, 3), 0.5, np.float32)
    sums = radius.BlurSums()
    for _ in range(2):
        sums.add(blur_map, target, {"m": output})
    for index, (low, high) in enumerate(
        zip(radius.SIGMA_EDGES[:-1], radius.SIGMA_EDGES[1:], strict=True)
    ):
        inside = (blur_map > low) & (blur_map <= high) if index else blur_map <= high
        assert sums.pixels[index] == 2 * inside.sum() and sums.pictures[index] == 2 * inside.any()
        if inside.any():
            mse = np.mean((output.clip(0, 1)[inside].astype(float) - 0.5) ** 2)
            assert sums.psnr("m")[index] == pytest.approx(
                min(100, -10 * np.log10(mse)) if mse else 100
            )
            assert sums.middle()[index] == pytest.approx(blur_map[inside].mean(), rel=1e-5)
        else:
            assert np.isnan(sums.psnr("m")[index])


def test_radius_pools_the_outputs_of_all_pictures(shown: Run) -> None:
    made = radius.draw_radius_figure(source(shown))
    assert [axes.get_ylabel() for axes in made.figure.axes] == [
        "PSNR (dB) ↑",
        "gain over the\ninput (dB)",
        "pixels\n(thousand)",
    ]
    errors: dict[str, list[NDArray[np.float64]]] = {"input": [], "sharp": []}
    for index, sample in enumerate(SAMPLES):
        loaded = shown.adapter.load(sample)
        assert loaded.target is not None
        errors["input"].append(np.square(loaded.image.astype(float) - loaded.target))
        restored = np.clip(loaded.target + np.float32(0.5 + 0.1 * index), 0, 1)
        errors["sharp"].append(np.square(restored.astype(float) - loaded.target))
    expected = {name: -10 * np.log10(np.mean(some)) for name, some in errors.items()}
    top, below = lines(made.figure, 0), lines(made.figure, 1)
    assert top["sharp"] == ([1.0], [pytest.approx(expected["sharp"])])
    assert below["sharp"][1] == [pytest.approx(expected["sharp"] - expected["input"])]
    [bar] = made.figure.axes[2].patches
    assert bar.get_height() == pytest.approx(3 * 64 * 64 / 1000)  # type: ignore[attr-defined]
    assert [text.get_text() for text in made.figure.axes[2].texts] == ["3"]


def test_radius_compares_common_pictures_and_needs_the_data_set(shown: Run) -> None:
    loaded = shown.adapter.load(SAMPLES[0])
    shown.keep("late", SAMPLES[0], loaded.image, loaded.target)
    made = radius.draw_radius_figure(source(shown))
    assert "Over the 1 of 3 pictures that all have." in made.caption
    assert lines(made.figure, 0)["late"] == lines(made.figure, 0)["input"]


@pytest.mark.parametrize(("side", "lacks"), [("blur", "true blur map"), ("target", "target")])
def test_radius_needs_truth(tmp_path: Path, toys: Path, side: str, lacks: str) -> None:
    dataset = f"tiny:size=64,{side}=false"
    run = Run(tmp_path / "bare", dataset)
    run.adapter = create(DATASETS, dataset, root=tmp_path)[0]
    run.keep("input", SAMPLES[0], run.adapter.load(SAMPLES[0]).image, None)
    with pytest.raises(Unavailable, match=f"has no {lacks}"):
        radius.draw_radius_figure(source(run))


def test_a_handful_of_pixels_is_not_drawn(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = run.adapter.load(SAMPLES[0])
    run.keep("input", SAMPLES[0], loaded.image, loaded.target)
    monkeypatch.setattr(radius, "LEAST_PIXELS", 64 * 64 + 1)
    with pytest.raises(Unavailable, match="no bin of sigma has 4097 pixels"):
        radius.draw_radius_figure(source(run))


def test_radius_needs_outputs_of_the_pictures_size(run: Run) -> None:
    loaded = run.adapter.load(SAMPLES[0])
    run.keep("input", SAMPLES[0], loaded.image[:32], loaded.target)
    with pytest.raises(Unavailable, match="changes the size"):
        radius.draw_radius_figure(source(run))
    run.put("sharp", SAMPLES[0], 10.0)
    with pytest.raises(Unavailable, match="kept no outputs"):
        radius.draw_radius_figure(source(run, methods=["sharp"]))


def test_data_that_is_not_there_is_named(shown: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*args: object, **options: object) -> None:
        raise DataError("a long tree")

    monkeypatch.setattr("benchmark.reports.live.create", absent)
    with pytest.raises(Unavailable, match=r"needs tiny.*not found under here.*--data"):
        radius.draw_radius_figure(source(shown, root=Path("here")))


# Crops
# --------------------------------------------------------------------------------------------------


@given(arrays(np.float32, (9, 12, 3), elements=st.floats(0, 1, width=16)), st.integers(2, 9))
def test_the_closest_look_is_where_the_error_is_largest(
    seen: NDArray[np.float32], side: int
) -> None:
    target = np.zeros_like(seen)
    found = close_ups.find_crop_window(seen, target, side)
    assert found.cut(seen).shape == (side, side, 3)
    sums = [
        seen[t : t + side, x : x + side].sum(dtype=float)
        for t in range(10 - side)
        for x in range(13 - side)
    ]
    assert found.cut(seen).sum(dtype=float) == pytest.approx(max(sums), abs=1e-3)


def half_sharp(step: int) -> Picture:
    """Texture that is sharp to the left of column `step` and blurred to the right."""
    import cv2

    noise = np.random.default_rng(0).random((160, 400)).astype(np.float32)
    rough = cv2.GaussianBlur(noise, (0, 0), 1.5) * 3 - 1
    soft = cv2.GaussianBlur(rough, (0, 0), 3) * 2 - 0.5
    grey = np.where(np.arange(400) < step, rough, soft).clip(0, 1)
    return np.repeat(grey[..., None], 3, axis=2).astype(np.float32)


@pytest.mark.parametrize("step", [120, 280])
def test_without_a_target_the_closest_look_is_where_sharp_meets_blurred(step: int) -> None:
    found = close_ups.find_crop_window(half_sharp(step), None, 80)
    assert found.left < step < found.left + 80


@pytest.mark.parametrize("side", [80, 3, 500])
def test_without_texture_the_middle_is_shown(side: int) -> None:
    flat = np.full((101, 201, 3), 0.5, np.float32)
    found = close_ups.find_crop_window(flat, None, side)
    assert found == (
        (101 - found.height) // 2,
        (201 - found.width) // 2,
        min(side, 101),
        min(side, 201),
    )


def test_crops_are_the_boxes_of_all_methods_with_their_psnr(shown: Run) -> None:
    figure = crops.draw_crops_figure(source(shown)).figure
    blocks = [figure.axes[start : start + 4] for start in range(0, 12, 4)]
    for sample, (whole, *panels) in zip(SAMPLES, blocks, strict=True):
        assert whole.get_title() == sample
        names = ["input", "sharp", "target"] if sample == SAMPLES[0] else [""] * 3
        assert [axes.get_title() for axes in panels] == names, "names are not repeated"
        loaded = shown.adapter.load(sample)
        assert loaded.target is not None
        box = close_ups.find_crop_window(loaded.image, loaded.target, round(0.3 * 64))
        rim = whole.patches[-1]
        assert (rim.get_x(), rim.get_y(), rim.get_width()) == (
            box.left - 0.5,
            box.top - 0.5,
            box.width,
        )  # type: ignore[attr-defined]
        np.testing.assert_array_equal(
            panels[0].images[0].get_array(), np.rint(box.cut(loaded.image) * 255)
        )
        mse = np.mean((box.cut(loaded.image).astype(float) - box.cut(loaded.target)) ** 2)
        assert panels[0].get_xlabel() == f"{-10 * np.log10(mse):.2f} dB"
        assert panels[2].get_xlabel() == ""


def test_crops_without_targets_and_of_chosen_pictures(run: Run) -> None:
    for sample in SAMPLES:
        run.keep("input", sample, run.adapter.load(sample).image, None, None)
    made = crops.draw_crops_figure(source(run, samples=[SAMPLES[2]]))
    assert [axes.get_title() for axes in made.figure.axes] == [SAMPLES[2], "input"]
    assert [axes.get_xlabel() for axes in made.figure.axes] == ["", ""]
    assert any("Without a target" in line for line in made.caption) and any(
        "by hand" in line for line in made.caption
    )


def test_many_methods_go_on_in_further_lines(run: Run) -> None:
    loaded = run.adapter.load(SAMPLES[0])
    for index in range(12):
        run.keep(f"m{index:02d}", SAMPLES[0], loaded.image, loaded.target)
    everyone = [f"m{index:02d}" for index in range(12)]
    with style.use_paper_style():
        figure = crops.draw_crops_figure(source(run, methods=everyone)).figure
        figure.canvas.draw()
    panels = [axes for axes in figure.axes[1:] if axes.get_visible()]
    tops = {round(axes.get_position().y1, 3) for axes in panels}
    assert len(panels) == 13 and len(tops) == 2
    assert len(crops.draw_crops_figure(source(run)).figure.axes) == 1 + 6 + 1, "six unless asked"


BOXES = [close_ups.parse_box("4,8,16,12"), close_ups.parse_box("40,0,24,24")]


def test_boxes_are_drawn_where_they_are_and_crops_are_their_pixels(
    shown: Run, tmp_path: Path
) -> None:
    wanted = FigureOptions(samples=SAMPLES[:2], boxes=BOXES, crops=tmp_path / "single")
    [outcome] = figure_set.write_figures(
        results_of(shown.store), tmp_path / "out", ["crops"], wanted
    )
    assert f"12 single crops: {tmp_path / 'single'}" in outcome.notes
    files = sorted((tmp_path / "single").rglob("*.png"))
    assert len(files) == 2 * 2 * 3
    for sample in SAMPLES[:2]:
        [folder] = {file.parent for file in files if file.parent.name.startswith(
            sample.replace(" ", "-"))}  # fmt: skip
        stored = shown.store.folder / output_picture(output_file(shown.cell("sharp", sample)))
        for number, (left, top, width, height) in enumerate(((4, 8, 16, 12), (40, 0, 24, 24)), 1):
            crop = imageio.read(folder / f"sharp.{number}.png")[0]
            whole = imageio.read(stored)[0]
            np.testing.assert_array_equal(crop, whole[top : top + height, left : left + width])
    made = crops.draw_crops_figure(source(shown, samples=SAMPLES[:1], boxes=BOXES))
    rims = made.figure.axes[0].patches[1::2]
    assert [(rim.get_x(), rim.get_y(), rim.get_width(), rim.get_height()) for rim in rims] == [  # type: ignore[attr-defined]
        (3.5, 7.5, 16, 12),
        (39.5, -0.5, 24, 24),
    ]
    assert len({rim.get_edgecolor() for rim in rims}) == 2
    assert "Boxes were chosen by hand." in made.caption


@pytest.mark.parametrize("box", ["49,0,16,8", "0,60,8,5", "64,0,1,1", "0,0,65,64"])
def test_boxes_outside_the_picture_are_refused(shown: Run, tmp_path: Path, box: str) -> None:
    wanted = FigureOptions(boxes=[close_ups.parse_box(box)])
    with pytest.raises(UsageError, match=f"--box {box}: picture 0 is 64 x 64 pixels"):
        figure_set.write_figures(results_of(shown.store), tmp_path / "out", ["crops"], wanted)
    assert not (tmp_path / "out").exists()
    inside = FigureOptions(boxes=[close_ups.parse_box("0,0,64,64")])
    [made] = figure_set.write_figures(results_of(shown.store), tmp_path, ["crops"], inside)
    assert made.files


@pytest.mark.parametrize(
    "text", ["1,2,3", "1,2,3,4,5", "a,2,3,4", "-1,2,3,4", "1,2,0,4", "1.5,2,3,4"]
)
def test_what_is_no_box_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=f"--box {text}: "):
        close_ups.parse_box(text)


def test_boxes_are_for_crops(noisy: Run, tmp_path: Path) -> None:
    for wanted in (FigureOptions(boxes=BOXES), FigureOptions(crops=tmp_path)):
        with pytest.raises(UsageError, match="add --figure crops"):
            figure_set.write_figures(results_of(noisy.store), tmp_path, ["robustness"], wanted)


def test_the_best_crop_of_those_that_compete_is_bold(run: Run) -> None:
    loaded = run.adapter.load(SAMPLES[0])
    assert loaded.target is not None
    for method, share in (("input", 1.0), ("blurry", 0.5), ("sharp", 0.25), (ORACLE, 0.0)):
        picture = loaded.target + np.float32(share) * (loaded.image - loaded.target)
        run.keep(method, SAMPLES[0], picture, loaded.target)
    figure = crops.draw_crops_figure(source(run)).figure
    weights = {axes.get_title(): axes.xaxis.label.get_weight() for axes in figure.axes[1:]}
    assert [name for name, weight in weights.items() if weight == "bold"] == ["sharp"]


def test_runs_without_pictures_have_no_crops(noisy: Run, shown: Run) -> None:
    for path in (shown.store.folder / "pictures").rglob("*.png"):
        path.unlink()
    with pytest.raises(Unavailable, match="no longer there"):
        crops.draw_crops_figure(source(shown))


# Kernels
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bank", [gkm.paper_bank(), gkm.official_bank()], ids=lambda bank: bank.label
)
def test_predefined_kernels_are_fitted_exactly(bank: gkm.Bank) -> None:
    for sigma, kernel in zip(bank.sigmas, bank.kernels, strict=True):
        found = kernels.fit_gaussian(-3 * kernel)
        assert found.error == pytest.approx(0, abs=1e-4)
        if sigma > 0.25:  # a 3 x 3 kernel of sigma 0.25 is a delta to three digits
            assert found.sigma == pytest.approx(sigma, rel=1e-3)


@given(arrays(np.float64, (5, 5), elements=st.floats(-1, 1, width=16)))
def test_no_gaussian_fits_better_than_the_fitted_one(kernel: NDArray[np.float64]) -> None:
    found = kernels.fit_gaussian(kernel)
    offset = np.arange(5) - 2
    for sigma in (0.2, 0.5, 1.0, 2.0, 4.0):
        gaussian = np.exp(-(offset[:, None] ** 2 + offset**2) / (2 * sigma**2))
        height = np.vdot(kernel, gaussian) / np.vdot(gaussian, gaussian)
        error = np.linalg.norm(kernel - height * gaussian) / max(
            float(np.linalg.norm(kernel)), 1e-30
        )
        assert found.error <= error + 1e-3


def test_learned_kernels_stand_beside_the_predefined(
    noisy: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHMARK_CHECKPOINTS", str(tmp_path))
    monkeypatch.setattr("benchmark.checkpoints.SHIPPED_FOLDER", tmp_path / "none")
    draw_checkpoint(tmp_path, "gkmnet", "fixed")
    with pytest.raises(Unavailable, match=r"train gkmnet:kernels=gaussian"):
        kernels.draw_kernels_figure(source(noisy))
    draw_checkpoint(tmp_path, "gkmnet:kernels=gaussian", "start")
    draw_checkpoint(tmp_path, "gkmnet:kernels=xavier", "rand")
    made = kernels.draw_kernels_figure(source(noisy))
    panels = [axes for axes in made.figure.axes if axes.get_visible()]
    assert len(panels) == 3 * 21
    predefined, start = panels[:21], panels[42:]
    ladder = [float(axes.get_xlabel().split("\n")[0]) for axes in predefined]
    assert ladder == sorted(ladder) and ladder[-1] == 5.0
    for one, other in zip(predefined, start, strict=True):
        np.testing.assert_allclose(
            one.images[0].get_array(), other.images[0].get_array(), atol=1e-6
        )
    text = " ".join(made.caption)
    assert (
        "learned from Gaussians (gkmnet.start)" in text
        and "moved from where they started by 0.0%" in text
    )
    assert text.count("SHA-256") == 2 and "drawn at random for a test" in text


# Coefficients
# --------------------------------------------------------------------------------------------------


@given(arrays(np.float32, (3, 4, 5), elements=st.floats(-1, 1, width=16)))
def test_the_effective_sigma_is_a_weighted_mean(beta: NDArray[np.float32]) -> None:
    found = coefficients.effective_sigma(Mixture((0.0, 1.0, 3.0), beta))
    weights = np.abs(beta).astype(float)
    for place in np.ndindex(4, 5):
        own = weights[(slice(None), *place)]
        expected = np.average([0.0, 1.0, 3.0], weights=own) if own.any() else 0.0
        assert found[place] == pytest.approx(expected, rel=1e-5)


def test_the_effective_sigma_of_the_true_model_is_near_its_blur() -> None:
    blur_map = np.linspace(0, 4, 50, dtype=np.float32).reshape(5, 10)
    bank = gkm.paper_bank()
    found = coefficients.effective_sigma(
        Mixture(bank.sigmas, gkm.mixing_coefficients(blur_map, bank))
    )
    assert np.abs(found - blur_map).max() < 0.6
    gamma = coefficients.paper_gammas(Mixture(bank.sigmas, gkm.mixing_coefficients(blur_map, bank)))
    np.testing.assert_allclose(gamma.sum(axis=0), 0, atol=1e-6)
    assert not gamma[:, 0, 0].any(), "a sharp pixel is left as it is"


class Mixing(Method):
    """Mixes a delta and one Gaussian, by how bright the picture is."""

    card = MethodCard(title="Mixing", family="classical", paper="none")

    def restore(self, observation: Observation) -> Picture:
        return observation.image

    def mixture(self, observation: Observation) -> Mixture:
        light = observation.image.mean(axis=2)
        return Mixture((0.0, 2.0), np.stack([1 - light, light]))


class Broken(Mixing):
    def mixture(self, observation: Observation) -> Mixture:
        raise RuntimeError("no mixture today")


@pytest.fixture
def mixing() -> Iterator[None]:
    with METHODS.temporarily({"mixing": Mixing, "mixing-broken": Broken}):
        yield


def test_coefficients_are_those_of_the_method(shown: Run, mixing: None) -> None:
    for method in ("mixing", "mixing-broken"):
        shown.put(method, SAMPLES[0], 10.0)
    made = coefficients.draw_coefficients_figure(source(shown))
    light = shown.adapter.load(SAMPLES[0]).image.mean(axis=2)
    named = {
        axes.get_title(): axes.images[0].get_array() for axes in made.figure.axes if axes.images
    }
    effective = "effective sigma:\nmixing"
    assert list(named) == ["input", "true blur", effective, "sigma 0", "sigma 2"]
    np.testing.assert_allclose(named[effective], 2 * light, rtol=1e-5)
    np.testing.assert_allclose(named["sigma 0"], light, atol=1e-6)
    np.testing.assert_allclose(named["sigma 2"], -light, atol=1e-6)
    made.figure.draw_without_rendering()
    sizes = {
        axes.get_title(): axes.get_window_extent().width for axes in made.figure.axes if axes.images
    }
    assert 1 / 3 < sizes["sigma 0"] / sizes["input"] < 1, "two maps take the room of four"
    assert any("mixing-broken: RuntimeError: no mixture today" in line for line in made.caption)


@given(arrays(np.float32, (9, 3, 4), elements=st.floats(-1, 1, width=16)))
def test_maps_are_of_the_strongest_kernels(gammas: NDArray[np.float32]) -> None:
    found = coefficients.strongest_kernels(gammas)
    strengths = [float(np.abs(plane.astype(float)).sum()) for plane in gammas]
    assert found == sorted(set(found)) and 1 <= len(found) <= 6
    weakest = min(strengths[kernel] for kernel in found)
    left_out = [strengths[kernel] for kernel in range(9) if kernel not in found]
    assert max(left_out, default=0) <= weakest + 1e-9
    if len(found) < 6:
        assert max(left_out) < 0.1 * max(strengths) + 1e-9


def test_methods_without_mixture_or_weights_are_told(
    shown: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.checkpoints.SHIPPED_FOLDER", tmp_path)
    with pytest.raises(Unavailable, match="no method of the runs mixes"):
        coefficients.draw_coefficients_figure(source(shown, methods=["input"]))
    shown.put("gkmnet", SAMPLES[0], 10.0)
    with pytest.raises(Unavailable, match="gkmnet: no weights"):
        coefficients.draw_coefficients_figure(source(shown, methods=["input", "gkmnet"]))


@pytest.mark.slow
def test_the_true_model_stands_beside_the_network(
    tmp_path: Path, toys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHMARK_CHECKPOINTS", str(tmp_path))
    draw_checkpoint(tmp_path, "gkmnet", "drawn")
    run = Run(tmp_path / "gkm", "simulated:psf=gkm,size=32")
    adapter = create(DATASETS, run.dataset, root=tmp_path)[0]
    cell = run.cell("gkmnet.drawn", "coffee")
    fingerprint = adapter.fingerprint("coffee")
    cell = dataclasses.replace(
        cell, method_name="gkmnet", dataset_name="simulated", data=fingerprint
    )
    run.store.put(
        1,
        cell,
        Outcome("ok", scores={"quick": [Score("psnr", 9.0, None), Score("mae", 1.0, None)]}),
        RULERS,
    )
    figure = coefficients.draw_coefficients_figure(source(run)).figure
    titles = [axes.get_title() for axes in figure.axes if axes.images and axes.get_visible()]
    assert titles[:4] == [
        "input",
        "true blur",
        "effective sigma:\ntrue model",
        "effective sigma:\ngkmnet.drawn",
    ]
    known = [f"sigma {sigma:g}" for sigma in gkm.paper_bank().sigmas]
    assert 2 <= len(titles[4:]) <= 12 and set(titles[4:]) <= set(known)
    bars = [axes for axes in figure.axes if axes.get_ylabel() == "mean |gamma|"]
    assert [len(axes.patches) for axes in bars] == [21, 21], "no kernel is left out there"
    scales = [axes for axes in figure.axes if axes.get_xlabel() == "px"]
    assert len(scales) == 3
    assert all(len(axes.get_xticks()) <= 5 for axes in scales)


# PSFs
# --------------------------------------------------------------------------------------------------


@pytest.fixture
def study(tmp_path: Path) -> Path:
    rows = [
        {
            "kind": kind,
            "group": group,
            "name": f"{index:02d}",
            "sigma": index + 1.0,
            "model": model.label,
            "l2": error,
        }
        for kind, group in (("aperture", "disk"), ("aperture", "hexagon"), ("measured", "lens"))
        for place, model in enumerate(PSF_MODELS)
        for index, error in enumerate((0.0, 0.1 + place / 10, 0.3 + place / 10))
    ]
    (tmp_path / FITS_FILE).write_text(pd.DataFrame(rows).to_csv(index=False))
    return tmp_path


def test_psf_fits_are_read_and_drawn(noisy: Run, study: Path) -> None:
    made = psf.draw_psf_figure(source(noisy, psf=study))
    disk = lines(made.figure, 0)
    drawn = [model.label for model in PSF_MODELS if model != LARGE_NONNEGATIVE]
    assert list(disk) == drawn
    assert "GKM nonneg., M = 61 is not drawn" in made.caption[0]
    assert disk["disk"] == ([1.0, 2.0, 3.0], [1e-3, pytest.approx(0.2), pytest.approx(0.4)])
    assert [axes.get_title() for axes in made.figure.axes[:2]] == ["disk", "hexagon"]
    boxes = made.figure.axes[-1]
    medians = [line.get_ydata()[0] for line in boxes.get_lines()[5::6]]  # after box, whiskers, caps
    assert medians == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.7])
    assert sorted(text.get_text() for text in boxes.texts) == sorted(drawn)
    assert [label.get_text() for label in boxes.get_xticklabels()] == ["lens"]
    assert any("lens: n = 3" in line for line in made.caption)


def test_no_two_lines_of_a_psf_panel_share_a_colour_or_a_marker() -> None:
    models = dict.fromkeys([*PSF_MODELS, *(PsfModel("gkm", size) for size in BANK_SIZES)])
    rows = [
        {"kind": "aperture", "group": "disk", "model": model.label, "sigma": sigma, "l2": 0.1}
        for model in models
        for sigma in (1.0, 2.0)
    ]
    figure = psf.draw_psf_errors(pd.DataFrame(rows))
    panels = [axes for axes in figure.axes if axes.get_lines()]
    assert len(panels) == 2
    for axes in panels:
        drawn = axes.get_lines()
        assert len(drawn) >= 5
        assert len({line.get_color() for line in drawn}) == len(drawn)
        assert len({line.get_marker() for line in drawn}) == len(drawn)


def test_a_psf_study_that_is_missing_or_damaged_is_named(
    noisy: Run, study: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="python -m benchmark psf"):
        psf.draw_psf_figure(source(noisy, psf=tmp_path / "nowhere"))
    (study / FITS_FILE).write_text("kind,group,name,sigma\nmeasured,a,b,c\n")
    with pytest.raises(DataError, match=r"psf_fits.csv: damaged"):
        psf.draw_psf_figure(source(noisy, psf=study))


# Writing
# --------------------------------------------------------------------------------------------------


def test_what_can_be_made_is_written_and_the_rest_says_why(shown: Run, tmp_path: Path) -> None:
    wanted = FigureOptions(samples=SAMPLES[:1], cost=tmp_path)
    made = {
        each.name: each
        for each in figure_set.write_figures(
            results_of(shown.store), tmp_path / "new" / "out", options=wanted
        )
    }
    assert list(made) == list(figure_set.FIGURES)
    for name, each in made.items():
        assert bool(each.files) != bool(each.reason)
        assert "\n" not in each.reason
        assert [path.name for path in each.files] == (
            [f"{name}.pdf", f"{name}.png", f"{name}.md"] if each.files else []
        )
    assert {name for name, each in made.items() if each.files} >= {"crops", "radius"}
    assert (
        "one noise level" in made["robustness"].reason and "no cost pass" in made["pareto"].reason
    )
    with pytest.raises(UsageError, match=r"no figure is called 'corps'. Known: crops"):
        figure_set.write_figures(results_of(shown.store), tmp_path, ["corps"])


def test_figures_are_the_same_bytes_each_time_and_carry_no_date(
    shown: Run, cost: Path, tmp_path: Path
) -> None:
    names, wanted = ["crops", "pareto"], FigureOptions(cost=cost, samples=SAMPLES[:1])
    first, second = (
        figure_set.write_figures(results_of(shown.store), tmp_path / name, names, wanted)
        for name in ("one", "two")
    )
    for one, other in zip(first, second, strict=True):
        assert one.files, one.reason
        for path, again in zip(one.files, other.files, strict=True):
            assert path.read_bytes() == again.read_bytes(), path.name
            assert (
                b"CreationDate" not in path.read_bytes()
                and b"matplotlib version" not in path.read_bytes()
            )


def test_hostile_names_do_no_harm(tmp_path: Path, toys: Path) -> None:
    run = Run(tmp_path / "hostile", "<script>$x$ | 写真\\")
    loaded = run.adapter.load(SAMPLES[0])
    for sample in ("$a_b$ 写真 'x' <b>", "../../x" + "a" * 300):
        run.keep("m:$k=^_{}", sample, loaded.image, loaded.target)
        run.put("m:$k=^_{}", sample, 3.0, 2.0)
    made = figure_set.write_figures(
        results_of(run.store), tmp_path / "out", ["crops", "robustness"]
    )
    assert all(each.files for each in made)
    caption = (tmp_path / "out" / "crops.md").read_text(encoding="utf-8")
    assert "<script>" not in caption and r"\<script\>" in caption
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        f"{name}.{suffix}" for name in ("crops", "robustness") for suffix in ("md", "pdf", "png")
    )
