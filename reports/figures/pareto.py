"""Quality against cost: who is not beaten by anything cheaper."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from benchmark.api import Unavailable
from benchmark.cost import measurement
from benchmark.cost.measurement import CostRecord, MethodCounts
from benchmark.cost.timing import Trial
from benchmark.metrics.protocol_cards import MeasureCard
from benchmark.reports import cost, tables
from benchmark.reports.figures import style
from benchmark.reports.figures.figure_data import FigureData
from benchmark.reports.figures.style import CaptionedFigure
from benchmark.reports.paper.cost import find_cost_folder
from benchmark.stats import Interval, mean_interval

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


class _CostPanel(NamedTuple):
    """A kind of cost: the label of its axis, and method -> cost."""

    label: str
    costs: Mapping[str, float]


class ParetoPoint(NamedTuple):
    """A method: what it costs and how good it is."""

    method: str
    cost: float
    quality: float


def draw_pareto_figure(data: FigureData) -> CaptionedFigure:
    """Draw the protocol's first measure at the lowest noise level against seconds, parameters and
    MACs.

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
    measure = next(iter(data.measures))
    card = data.measures[measure]
    level = data.levels[0]
    scores = data.comparable(measure, [level])
    quality, label, explanation = _mean_quality(scores.scene_means, card)
    panels, missing = _cost_panels(record, trials, list(quality))
    if not panels:
        raise Unavailable(f"{folder}: no costs of {', '.join(quality)}; measure them with `cost`")
    figure = Figure(figsize=(style.PAGE, 2.9), layout="constrained")
    row = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    handles: dict[str, Any] = {}
    for axes, panel in zip(row, panels, strict=True):
        _draw_pareto_panel(axes, data, quality, panel, card.higher_is_better)
        panel_handles, panel_labels = axes.get_legend_handles_labels()
        handles.update(zip(panel_labels, panel_handles, strict=True))
    row[0].set_ylabel(label)
    style.add_figure_legend(figure, handles)
    caption = [
        f"Quality on {data.dataset} at noise {level} against cost: {explanation} Bars: 95 % "
        "intervals of the mean. Line: the front, the best that can be had at a "
        "cost, from means alone; hollow points do not compete. Costs are for a picture of "
        f"{record.size}, whatever the pictures that quality was measured on; MACs are those of a "
        "network's plain form.",
        *missing,
        *scores.notes,
        *_machine_note(record, trials),
        *data.describe(scores.values.index),
    ]
    return CaptionedFigure(figure, caption)


def _mean_quality(
    scene_means: pd.DataFrame, card: MeasureCard
) -> tuple[dict[str, Interval], str, str]:
    """Return the mean of each method, the label of the axis, and a sentence for the caption.

    Where the input is among the methods, it is the mean difference to it: its interval leaves out
    how scenes differ.
    """
    name = tables.measure_heading(card)
    columns = scene_means.droplevel(1, axis=1)
    scores_by_method = {str(method): values for method, values in columns.items()}
    if "input" not in scores_by_method:
        means = {
            method: mean_interval(values.tolist()) for method, values in scores_by_method.items()
        }
        return means, name, f"mean {name}."
    input_scores = scores_by_method["input"]
    changes = {
        method: mean_interval((values - input_scores).tolist())
        for method, values in scores_by_method.items()
    }
    input_mean = f"{input_scores.mean():.{card.digits}f}"
    explanation = f"mean change from the input's {name} (mean {input_mean})."
    return changes, f"{name}, change from input", explanation


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


def _cost_panels(
    record: CostRecord, trials: Sequence[Trial], methods: Sequence[str]
) -> tuple[list[_CostPanel], list[str]]:
    """Return the kinds of cost that are known of some of the methods, and a line on each that is
    not of all.
    """
    panels = []
    for device, name in _DEVICES.items():
        seconds = _median_seconds(record, trials, methods, device)
        panels.append(_CostPanel(f"{name} time (s)", seconds))
    for label, read_count in _COUNTS.items():
        panels.append(_CostPanel(label, _network_counts(record, methods, read_count)))
    panels = [panel for panel in panels if panel.costs]
    notes = []
    for panel in panels:
        methods_without_costs = [name for name in methods if name not in panel.costs]
        if methods_without_costs:
            notes.append(
                f"{panel.label}: not known of, or none: {', '.join(methods_without_costs)}."
            )
    if not any(panel.label.endswith("(s)") for panel in panels):
        notes.append("No seconds: the cost pass holds no timed rounds of these methods.")
    return panels, notes


_DEVICES: Final = {"cpu": "CPU", "cuda": "GPU"}
_COUNTS: Final[Mapping[str, Callable[[MethodCounts], float]]] = {
    "parameters (M)": lambda counts: next(iter(counts.forms.values())).parameters / 1e6,
    "MACs (G)": lambda counts: next(iter(counts.forms.values())).macs / 1e9,
}


def _median_seconds(
    record: CostRecord, trials: Sequence[Trial], methods: Sequence[str], device: str
) -> dict[str, float]:
    from statistics import median

    medians = {}
    for subject in record.subjects:
        if subject.method in methods and subject.device == device:
            own_trials = [trial for trial in trials if trial.subject == subject]
            seconds = cost.summarise_trials(own_trials).seconds
            if seconds:
                medians[subject.method] = median(seconds)
    return medians


def _network_counts(
    record: CostRecord, methods: Sequence[str], read_count: Callable[[MethodCounts], float]
) -> dict[str, float]:
    return {
        name: read_count(record.counts[name])
        for name in methods
        if name in record.counts and record.counts[name].forms
    }


def _draw_pareto_panel(
    axes: Axes, data: FigureData, quality: Mapping[str, Interval], panel: _CostPanel, higher: bool
) -> None:
    for method, method_cost in panel.costs.items():
        interval = quality[method]
        below, above = style.error_bar_lengths(interval)
        _, _, bars = axes.errorbar(
            method_cost,
            interval.mean,
            [[below], [above]],
            label=data.title(method),
            elinewidth=0.7,
            linestyle="none",
            **data.looks[method].point_style(),
        )
        for bar in bars:
            bar.set_alpha(0.5)
    competing = [
        ParetoPoint(method, method_cost, quality[method].mean)
        for method, method_cost in panel.costs.items()
        if data.looks[method].competes
    ]
    front = pareto_front(competing, higher_is_better=higher)
    if front:
        costs = [*(point.cost for point in front), max(panel.costs.values())]
        means = [*(point.quality for point in front), front[-1].quality]
        axes.step(costs, means, where="post", color="#888888", zorder=0, label="front")
    style.set_logarithmic_axis(axes, panel.label)


def _machine_note(record: CostRecord, trials: Sequence[Trial]) -> list[str]:
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
