"""Quality against cost: who is not beaten by anything cheaper."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from benchmark.api import Unavailable
from benchmark.metrics.protocol_cards import MeasureCard
from benchmark.reports import cost, tables
from benchmark.reports.figures import style
from benchmark.reports.figures.figure_data import FigureData
from benchmark.reports.figures.labels import LABEL_WIDTH, PointLabel, label_points
from benchmark.reports.figures.style import CaptionedFigure
from benchmark.reports.paper.cost import find_cost_folder
from benchmark.results.significance import INPUT
from benchmark.stats import Interval, difference_interval, mean_interval
from benchmark.studies.cost import measurement
from benchmark.studies.cost.measurement import CostRecord, MethodCounts
from benchmark.studies.cost.timing import Trial

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


class CostPanel(NamedTuple):
    """A kind of cost: the label of its axis, and method -> cost."""

    label: str
    costs: Mapping[str, float]


class ParetoPoint(NamedTuple):
    """A method: what it costs and how good it is."""

    method: str
    cost: float
    quality: float


class _QualityAxis(NamedTuple):
    """What quality is: the label of its axis, a sentence for the caption, and its direction."""

    label: str
    explanation: str
    higher_is_better: bool


def draw_pareto_figure(data: FigureData) -> CaptionedFigure:
    """Draw the gain of all methods in the protocol's first measure at the lowest noise level
    against seconds, parameters and MACs.

    Raises:
        Unavailable: without a cost pass, or if it has none of these methods, or if there is nothing
            to compare.
        DataError: if its files are damaged.
    """
    from matplotlib.figure import Figure

    folder = find_cost_folder(data.results.paths, data.options.cost)
    if folder is None or not (folder / measurement.RECORD_FILE).is_file():
        location = f" in {folder}" if folder else ""
        raise Unavailable(
            f"no cost pass{location}; measure one with `cost` and name its folder by --cost"
        )
    record, trials = measurement.read_cost_pass(folder)
    complete = data.with_all_methods()
    measure = next(iter(complete.measures))
    card = complete.measures[measure]
    level = complete.levels[0]
    scores = complete.comparable(measure, [level])
    quality, quality_axis = _mean_quality(scores.scene_means, card)
    panels, missing = list_cost_panels(record, trials, list(quality))
    if not panels:
        raise Unavailable(f"{folder}: no costs of {', '.join(quality)}; measure them with `cost`")
    figure = Figure(figsize=(style.PAGE, 3.0), layout="constrained")
    row = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    labels = {}
    for axes, panel in zip(row, panels, strict=True):
        labels[axes] = _draw_pareto_panel(axes, data, quality, panel, quality_axis)
    row[0].set_ylabel(quality_axis.label)
    caption = [
        f"Quality on {data.dataset} at noise {level} against cost: {quality_axis.explanation} "
        "Bars: 95 % intervals of the mean. Line and rings: the front, the best that can be had at "
        "a cost, from means alone; hollow points do not compete. In colour are the methods that "
        "the other figures of these runs draw. Costs are for a picture of "
        f"{record.size}, whatever the pictures that quality was measured on; MACs are those of a "
        "network's plain form.",
        *missing,
        *_name_unlabelled(panels, label_points(figure, labels)),
        *scores.notes,
        *describe_timing(record, trials),
        *complete.describe(scores.values.index),
    ]
    return CaptionedFigure(figure, caption)


def _name_unlabelled(
    panels: Sequence[CostPanel], points: Mapping[Axes, Sequence[PointLabel]]
) -> list[str]:
    """Return a line on each panel that has no room for the labels of some points."""
    lines = []
    for panel, left_out in zip(panels, points.values(), strict=True):
        if left_out:
            names = ", ".join(point.text.replace("\n", "") for point in left_out)
            lines.append(f"{panel.label}: no room for the labels of {names}.")
    return lines


def _mean_quality(
    scene_means: pd.DataFrame, card: MeasureCard
) -> tuple[dict[str, Interval], _QualityAxis]:
    """Return the mean of each method, and what it is of.

    Where the input is among the methods, it is the mean gain over it, as tables have it: its
    interval leaves out how scenes differ.
    """
    name = tables.measure_heading(card)
    columns = scene_means.droplevel(1, axis=1)
    scores_by_method = {str(method): values for method, values in columns.items()}
    if INPUT not in scores_by_method:
        means = {
            method: mean_interval(values.tolist(), limits=card.limits)
            for method, values in scores_by_method.items()
        }
        return means, _QualityAxis(name, f"mean {name}.", card.higher_is_better)
    input_scores = scores_by_method[INPUT]
    sign = 1 if card.higher_is_better else -1
    gains = {
        method: difference_interval((sign * (values - input_scores)).tolist())
        for method, values in scores_by_method.items()
    }
    label = f"gain in {card.title}{card.unit_in_brackets} over the input ↑"
    input_mean = f"{input_scores.mean():.{card.digits}f}"
    explanation = f"mean gain in {card.title} over the input, whose mean is {input_mean}."
    return gains, _QualityAxis(label, explanation, higher_is_better=True)


def pareto_front(
    points: Sequence[ParetoPoint], *, higher_is_better: bool = True
) -> list[ParetoPoint]:
    """Return the points that nothing of equal or lower cost equals or beats, by rising cost."""
    sign = 1 if higher_is_better else -1
    best: list[ParetoPoint] = []
    for point in sorted(points, key=lambda each: (each.cost, -sign * each.quality)):
        if not best or sign * point.quality > sign * best[-1].quality:
            best.append(point)
    return best


def list_cost_panels(
    record: CostRecord,
    trials: Sequence[Trial],
    methods: Sequence[str],
) -> tuple[list[CostPanel], list[str]]:
    """Return the kinds of cost that are known of some of the methods, and a line on each that is
    not of all.
    """
    costs_by_label: dict[str, Mapping[str, float]] = {
        f"{name} time (s)": _median_seconds(record, trials, device)
        for device, name in _DEVICES.items()
    }
    for label, read_count in _COUNTS.items():
        costs_by_label[label] = _network_counts(record, read_count)
    counted_ids = record.find_counted_ids(methods)
    panels = []
    for label, costs in costs_by_label.items():
        own_costs = {name: costs[id_] for name, id_ in counted_ids.items() if id_ in costs}
        if own_costs:
            panels.append(CostPanel(label, own_costs))
    unknown = [name for name in methods if name not in counted_ids]
    notes = []
    if unknown:
        notes.append(f"Not in the cost pass, `cost` measures them: {', '.join(unknown)}.")
    for panel in panels:
        without = [name for name in methods if name not in panel.costs and name not in unknown]
        if without:
            notes.append(f"{panel.label}: none known of {', '.join(without)}.")
    if not any(panel.label.endswith("(s)") for panel in panels):
        notes.append("No seconds: the cost pass holds no timed rounds of these methods.")
    return panels, notes


_DEVICES: Final = {"cpu": "CPU", "cuda": "GPU"}
_COUNTS: Final[Mapping[str, Callable[[MethodCounts], float]]] = {
    "parameters (M)": lambda counts: next(iter(counts.forms.values())).parameters / 1e6,
    "MACs (G)": lambda counts: next(iter(counts.forms.values())).macs / 1e9,
}


def _median_seconds(record: CostRecord, trials: Sequence[Trial], device: str) -> dict[str, float]:
    from statistics import median

    medians = {}
    for subject in record.subjects:
        own_trials = [trial for trial in trials if trial.subject == subject]
        seconds = cost.summarise_trials(own_trials).seconds
        if subject.device == device and seconds:
            medians[subject.method] = median(seconds)
    return medians


def _network_counts(
    record: CostRecord, read_count: Callable[[MethodCounts], float]
) -> dict[str, float]:
    return {name: read_count(counts) for name, counts in record.counts.items() if counts.forms}


def _draw_pareto_panel(
    axes: Axes,
    data: FigureData,
    quality: Mapping[str, Interval],
    panel: CostPanel,
    quality_axis: _QualityAxis,
) -> list[PointLabel]:
    """Draw a panel and return its labels: of the front first, then of what has a colour."""
    points = [
        ParetoPoint(method, method_cost, quality[method].mean)
        for method, method_cost in panel.costs.items()
    ]
    competitors = [point for point in points if data.looks[point.method].competes]
    front = pareto_front(competitors, higher_is_better=quality_axis.higher_is_better)
    for point in points:
        _draw_point(axes, data, point, quality[point.method], in_front=point in front)
    _draw_front(axes, front, max(panel.costs.values()))
    if INPUT in quality:
        axes.axhline(0, color=style.BLACK, linewidth=0.6, zorder=0)
    axes.margins(y=0.12)
    style.set_logarithmic_axis(axes, panel.label)
    coloured = set(data.methods)
    points.sort(key=lambda point: (point not in front, point.method not in coloured))
    return [_label_of_point(data, point) for point in points]


def _draw_front(axes: Axes, front: Sequence[ParetoPoint], highest_cost: float) -> None:
    """Draw the front as steps: what is best stays the best until something better is paid for."""
    corners: list[tuple[float, float]] = []
    for point in front:
        if corners:
            corners.append((point.cost, corners[-1][1]))
        corners.append((point.cost, point.quality))
    if corners:
        corners.append((highest_cost, corners[-1][1]))
        axes.plot(*zip(*corners, strict=True), color="#aaaaaa", zorder=0, label="front")


def _label_of_point(data: FigureData, point: ParetoPoint) -> PointLabel:
    text = style.wrap_name(data.title(point.method), LABEL_WIDTH, 4)
    return PointLabel(point.cost, point.quality, text, data.looks[point.method].colour)


def _draw_point(
    axes: Axes, data: FigureData, point: ParetoPoint, interval: Interval, *, in_front: bool
) -> None:
    below, above = style.error_bar_lengths(interval)
    look = data.looks[point.method]
    _, _, bars = axes.errorbar(
        point.cost,
        point.quality,
        [[below], [above]],
        label=data.title(point.method),
        elinewidth=0.7,
        linestyle="none",
        **look.point_style(),
    )
    for bar in bars:
        bar.set_alpha(0.4)
    if in_front:
        ring: dict[str, Any] = {"marker": "o", "markersize": 7.5, "markerfacecolor": "none"}
        axes.plot(point.cost, point.quality, color=style.BLACK, markeredgewidth=0.7, **ring)


def describe_timing(record: CostRecord, trials: Sequence[Trial]) -> list[str]:
    """Return what seconds were measured on, if any were."""
    if not any(trial.reading for trial in trials):
        return []
    subject = record.subjects[0]
    gpus = sorted({each.gpu for each in record.subjects if each.gpu})
    processors = ", ".join([subject.processor, *gpus])
    return [
        f"Seconds: median of the rounds, measured on {processors}; threads: {subject.threads}; "
        f"suite {subject.suite}."
    ]
