"""What methods cost, as tables: costs, the operations behind them, and the figures that papers
print.

Counted, measured and published numbers never share a column. A published figure stands beside the
way of counting that reproduces it, if there is one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmark.cost.counting import NetworkCount
from benchmark.cost.measurement import CostRecord, MethodCounts
from benchmark.cost.published import PUBLISHED_SIZE, QUANTITY_UNITS, PublishedCost
from benchmark.cost.timing import TimingSubject, Trial
from benchmark.files import replace_file
from benchmark.reports import grid, tables
from benchmark.reports.grid import Grid

if TYPE_CHECKING:
    import pandas as pd

TOLERANCE = 0.005
"""A way of counting reproduces a published figure if the two differ by at most this part of it."""
ADAM = 3
"""Numbers that a training file of Adam holds per parameter: itself and two moments."""
_LABEL_COLUMNS = (
    "method",
    "picture",
    "not counted",
    "model",
    "quantity",
    "reproduced by",
    "source",
)


@dataclass(frozen=True, slots=True)
class CostReportTable:
    """One table.

    Attributes:
        name: for its file.
        title: for people.
        numbers: one column per quantity, in the unit that the column's name gives.
        texts: the same rows as they are shown.
        notes: what a reader must know beside it.
    """

    name: str
    title: str
    numbers: pd.DataFrame
    texts: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def grid(self) -> Grid:
        """The table for people."""
        return grid.grid_from_frame(self.title, self.texts, _LABEL_COLUMNS, self.notes)


def build_cost_tables(kept: CostRecord, trials: Sequence[Trial]) -> list[CostReportTable]:
    """Return the tables of a cost pass: costs always, the others where there is something to show.

    Args:
        kept, trials: as `benchmark.cost.measurement.read_cost_pass` gives them.
    """
    made = [
        _cost_table(kept, trials),
        _operations_table(kept),
        _published_table(kept),
        _published_seconds_table(kept),
    ]
    return [table for table in made if len(table.numbers) or table.name == "cost"]


def write_cost_tables(
    made: Sequence[CostReportTable], folder: Path, form: tables.Format
) -> list[Path]:
    """Write the tables of a cost pass into its folder; return the files.

    Args:
        made: as `build_cost_tables` gives them.
        folder: that of `benchmark.cost.measurement.measure_costs`.
        form: `markdown` writes `cost.md` and `latex` `cost.tex`; `csv` writes the numbers, one file
            a table.
    """
    if form == "csv":
        contents = {
            folder / f"{table.name}.csv": table.numbers.to_csv(index=False) for table in made
        }
    else:
        ending = {"markdown": "md", "latex": "tex"}[form]
        contents = {
            folder / f"cost.{ending}": grid.format_grids([table.grid for table in made], form)
        }
    for path, content in contents.items():
        with replace_file(path) as file:
            file.write(content.encode())
    return list(contents)


# Costs
# --------------------------------------------------------------------------------------------------


class SubjectTotals(NamedTuple):
    """What the raw samples of a method on a device come to.

    Attributes:
        seconds: of every round but the warm-up.
        working: most bytes that a restoration took beside what the prepared process held before it.
        peak: largest memory of the whole process during a restoration, in bytes.
        gpu_peak: the same for tensors on the GPU.
        trouble: what went wrong last, with the reason; empty if nothing did.
    """

    seconds: list[float]
    working: int | None
    peak: int | None
    gpu_peak: int | None
    trouble: str


_NO_TRIALS = SubjectTotals([], None, None, None, "")


def summarise_trials(trials: Iterable[Trial]) -> SubjectTotals:
    """Return what raw samples of one subject come to."""
    some = list(trials)
    readings = [trial.reading for trial in some if trial.reading is not None]
    lost = some[-1] if some and some[-1].status != "ok" else None
    return SubjectTotals(
        seconds=[
            trial.reading.seconds for trial in some if trial.reading is not None and trial.round > 0
        ],
        working=_largest_or_none(
            r.peak - r.before for r in readings if r.peak is not None and r.before is not None
        ),
        peak=_largest_or_none(r.peak for r in readings if r.peak is not None),
        gpu_peak=_largest_or_none(r.gpu_peak for r in readings if r.gpu_peak is not None),
        trouble="" if lost is None else f"{lost.status}: {lost.reason}",
    )


def _largest_or_none(values: Iterable[int]) -> int | None:
    return max(values, default=None)


def _cost_table(kept: CostRecord, trials: Sequence[Trial]) -> CostReportTable:
    import pandas as pd

    found = {
        subject: summarise_trials(trial for trial in trials if trial.subject == subject)
        for subject in kept.subjects
    }
    lines = [
        line
        for method, counted in kept.counts.items()
        for line in _cost_lines(method, counted, _totals_by_device(method, found))
    ]
    numbers = pd.DataFrame(lines, columns=["method", *_COUNT_COLUMNS, *_TIME_COLUMNS])
    notes = (*_timing_notes(kept, found.values()), *_COST_NOTES, *_failure_notes(kept, found))
    return CostReportTable(
        "cost", f"What a picture of {kept.size} costs", numbers, _format_costs(numbers), notes
    )


def _totals_by_device(
    method: str, found: Mapping[TimingSubject, SubjectTotals]
) -> dict[str, SubjectTotals]:
    return {subject.device: what for subject, what in found.items() if subject.method == method}


def _cost_lines(
    method: str, counted: MethodCounts, own: Mapping[str, SubjectTotals]
) -> Iterator[dict[str, float | str | None]]:
    """Yield a line for every form of a network; what was measured is the method's, and stands in
    the first.
    """
    file = {"file (MB)": counted.checkpoint_bytes and counted.checkpoint_bytes / 1e6}
    if not counted.forms:
        yield {"method": method, **_time_columns(own)}
    for number, (form, count) in enumerate(counted.forms.items()):
        yield {
            "method": _name_form(method, form),
            **file,
            **_count_columns(count),
            **_time_columns({} if number else own),
        }


_COUNT_COLUMNS = (
    "parameters (M)",
    "weights (MB)",
    "file (MB)",
    "MACs (G)",
    "FLOPs (G)",
    "thop-style (G)",
)
_TIME_COLUMNS = (
    "CPU "
    "(s)", "CPU lowest "
           "(s)", "CPU highest (s)", "CPU rounds", "working memory (MB)", "peak memory (MB)",
    "GPU (s)", "GPU lowest (s)", "GPU highest (s)", "GPU rounds", "GPU memory (MB)",
)  # fmt: skip


def _count_columns(count: NetworkCount) -> dict[str, float]:
    return {
        "parameters (M)": count.parameters / 1e6,
        "weights (MB)": count.weight_bytes / 1e6,
        "MACs (G)": count.macs / 1e9,
        "FLOPs (G)": 2 * count.macs / 1e9,
        "thop-style (G)": count.thop / 1e9,
    }


def _time_columns(own: Mapping[str, SubjectTotals]) -> dict[str, float | None]:
    cpu, gpu = own.get("cpu", _NO_TRIALS), own.get("cuda", _NO_TRIALS)
    line: dict[str, float | None] = {
        "working memory (MB)": cpu.working and cpu.working / 1e6,
        "peak memory (MB)": cpu.peak and cpu.peak / 1e6,
        "GPU memory (MB)": gpu.gpu_peak and gpu.gpu_peak / 1e6,
    }
    for name, seconds in (("CPU", cpu.seconds), ("GPU", gpu.seconds)):
        line[f"{name} (s)"] = median(seconds) if seconds else None
        line[f"{name} lowest (s)"] = min(seconds, default=None)
        line[f"{name} highest (s)"] = max(seconds, default=None)
        line[f"{name} rounds"] = len(seconds)
    return line


def _format_costs(numbers: pd.DataFrame) -> pd.DataFrame:
    texts = numbers.map(_format_number)
    for name in ("CPU", "GPU"):
        spread = [f"{name} lowest (s)", f"{name} highest (s)"]
        several = numbers[f"{name} rounds"] > 1
        brackets = " [" + texts[spread[0]] + ", " + texts[spread[1]] + "]"
        texts[f"{name} (s)"] = texts[f"{name} (s)"].where(~several, texts[f"{name} (s)"] + brackets)
        texts = texts.drop(columns=[*spread, f"{name} rounds"])
    optional = ["file (MB)", "GPU (s)", "GPU memory (MB)"]
    return texts.drop(columns=[name for name in optional if (texts[name] == _NO_VALUE).all()])


_NO_VALUE = "–"


def _format_number(value: Any) -> str:
    """Return a number with four digits, and all digits before the point."""
    if isinstance(value, str):
        return value
    if value is None or math.isnan(value):
        return _NO_VALUE
    return f"{value:.0f}" if value >= 1000 else f"{value:.4g}"


def _format_ratio(value: float | None) -> str:
    return _NO_VALUE if value is None or math.isnan(value) else f"{value:.4f}"


def _name_form(method: str, form: str) -> str:
    return f"{method} ({form})" if form else method


_COST_NOTES = (
    "MACs: multiply-accumulates of all convolutions and matrix products, whether modules or "
    "functional calls, of the "
    "padded picture; FLOPs are 2 x MACs.",
    "thop-style: what the tool thop of 2020 prints as FLOPs. It is blind to functional calls, "
    "counts a transposed "
    "convolution stride^2 times too high, and adds biases and 2 per element of a BatchNorm.",
    "Weights: float32 parameters, 1 MB = 10^6 bytes.",
    "Working memory: the most that a restoration took beside what the prepared process "
    "(libraries, weights) held; "
    "peak memory: the whole process.",
    "A method whose network has several forms has a row for each; seconds and memory stand in the "
    "first and are those "
    "of its own program, which may take any form.",
)


def _timing_notes(kept: CostRecord, found: Iterable[SubjectTotals]) -> Iterator[str]:
    counts = sorted({len(what.seconds) for what in found if what.seconds})
    if not counts:
        yield "Nothing was timed."
        return
    subject = kept.subjects[0]
    gpus = {subject.gpu for subject in kept.subjects if subject.gpu}
    rounds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    yield (
        f"Seconds: median [lowest, highest] of {rounds} rounds, one method after the other in "
        f"turn, warm; preparing is "
        "not timed, copies to a GPU and back are."
    )
    yield (
        f"Measured on {', '.join([subject.processor, *sorted(gpus)])}; threads: {subject.threads}; "
        f"{subject.libraries}; suite {subject.suite}."
    )


def _failure_notes(kept: CostRecord, found: Mapping[TimingSubject, SubjectTotals]) -> Iterator[str]:
    yield from _group_remarks(
        (what.problem, name, "cannot be counted") for name, what in kept.counts.items()
    )
    yield from _group_remarks(
        (what.trouble, subject.method, f"on {subject.device}") for subject, what in found.items()
    )


def _group_remarks(remarks: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    """Yield "names, what: text" once for every (text, what) of (text, name, what); an empty text
    says nothing.
    """
    names: dict[tuple[str, str], list[str]] = {}
    for text, name, what in remarks:
        if text:
            names.setdefault((text, what), []).append(name)
    for (text, what), some in names.items():
        yield f"{', '.join(dict.fromkeys(some))} {what}: {text}"


def is_cost_incomplete(kept: CostRecord, trials: Sequence[Trial]) -> bool:
    """Return whether a method could not be counted, or failed or took too long when it was tried
    last.
    """
    last = {trial.subject: trial.status for trial in trials}
    return any(counted.problem for counted in kept.counts.values()) or bool(
        {"failed", "timeout"} & set(last.values())
    )


# Operations
# --------------------------------------------------------------------------------------------------


def _operations_table(kept: CostRecord) -> CostReportTable:
    import pandas as pd

    counts = {
        _name_form(method, form): count
        for method, counted in kept.counts.items()
        for form, count in counted.forms.items()
    }
    numbers = pd.DataFrame(
        [{"method": name, **_operation_line(count)} for name, count in counts.items()]
    )
    notes = [
        "Buffers: what a checkpoint holds beside the weights, such as statistics of normalisation.",
        "Picture: what the network is fed, padding included. Products: of two tensors, element by "
        "element; not MACs.",
        "torch / ours: MACs by torch's FlopCounterMode beside ours; fvcore / ours: by fvcore, for "
        "a small picture, as "
        "fvcore needs a real run.",
        "Not counted: operations whose MACs are not known, with how often they were called.",
        *(
            f"{name}, {counter}: {check.difference}"
            for name, count in counts.items()
            for counter, check in count.checks.items()
            if check.difference
        ),
    ]
    texts = numbers.map(_format_number)
    for name in ("torch / ours", "fvcore / ours") if counts else ():
        texts[name] = numbers[name].map(_format_ratio)
    return CostReportTable("operations", "The networks behind it", numbers, texts, tuple(notes))


def _operation_line(count: NetworkCount) -> dict[str, float | str | None]:
    convolutions = count.operations.get("convolution", 0)
    return {
        "buffers (MB)": count.buffer_bytes / 1e6,
        "picture": " + ".join("x".join(map(str, shape)) for shape in count.inputs),
        "convolutions (G MACs)": convolutions / 1e9,
        "matrix products (G MACs)": (count.macs - convolutions) / 1e9,
        "products (G)": count.products / 1e9,
        "torch / ours": count.checks["torch"].ratio,
        "fvcore / ours": count.checks["fvcore"].ratio,
        "not counted": ", ".join(f"{name} x {calls}" for name, calls in count.uncounted.items())
        or "nothing",
    }


# Published
# --------------------------------------------------------------------------------------------------


def counting_conventions(quantity: str, counted: MethodCounts) -> dict[str, float]:
    """Return what a published quantity may have meant: way of counting -> value in the published
    unit.

    A way names the form of the network unless that is the first. Seconds are no matter of counting:
    a KeyError.
    """
    found: dict[str, float] = {}
    for number, (form, count) in enumerate(counted.forms.items()):
        for way, value in _CONVENTIONS_BY_QUANTITY[quantity](count).items():
            if value not in found.values():  # forms that agree are one way
                found[_name_form(way, form) if number else way] = value
    return found


_CONVENTIONS_BY_QUANTITY: Mapping[str, Callable[[NetworkCount], Mapping[str, float]]] = {
    "parameters": lambda count: {"parameters": count.parameters / 1e6},
    "operations": lambda count: {
        "MACs": count.macs / 1e9, "FLOPs = 2 x "
                                  "MACs": 2 * count.macs / 1e9, "thop-style": count.thop / 1e9,
    },
    "size": lambda count: {
        "float32 weights": count.weight_bytes / 1e6,
        "float32 weights in MiB": count.weight_bytes / 2**20,
        "file of torch.save": count.saved_bytes / 1e6,
        "weights and Adam's moments in MiB": ADAM * count.weight_bytes / 2**20,
    },
}  # fmt: skip


def _published_table(kept: CostRecord) -> CostReportTable:
    import pandas as pd

    figures = [figure for figure in kept.published if figure.quantity in _CONVENTIONS_BY_QUANTITY]
    numbers = pd.DataFrame(
        [_published_line(figure, kept.references[figure.method]) for figure in figures]
    )
    notes = (
        f"Published: as printed, for a picture of {PUBLISHED_SIZE[0]}x{PUBLISHED_SIZE[1]}. "
        f"A convention reproduces a figure if it comes "
        f"within {100 * TOLERANCE:g} %. What a paper calls FLOPs is often something else.",
        *_group_remarks((figure.note, figure.model, f"({figure.quantity})") for figure in figures),
        *_group_remarks(
            (what.problem, name, "cannot be counted") for name, what in kept.references.items()
        ),
    )
    texts = numbers.map(_format_number)
    if figures:
        texts["computed / published"] = numbers["computed / published"].map(_format_ratio)
    return CostReportTable(
        "published", "Figures that papers print, and what they are", numbers, texts, notes
    )


def _published_line(figure: PublishedCost, counted: MethodCounts) -> dict[str, float | str | None]:
    value = float(figure.value)
    found = counting_conventions(figure.quantity, counted)
    nearest = min(found, key=lambda way: abs(found[way] - value), default=None)
    verdict, computed = "not counted here", None
    if nearest is not None:
        computed = found[nearest]
        reproduced = abs(computed - value) <= TOLERANCE * value
        verdict = nearest if reproduced else f"no convention; nearest: {nearest}"
    return {
        "model": figure.model,
        "method": figure.method,
        "quantity": f"{figure.quantity} ({QUANTITY_UNITS[figure.quantity]})",
        "published": figure.value,
        "reproduced by": verdict,
        "computed": computed,
        "computed / published": computed and computed / value,
        "source": figure.source,
    }


def _published_seconds_table(kept: CostRecord) -> CostReportTable:
    import pandas as pd

    figures = [figure for figure in kept.published if figure.quantity in _SECONDS_COLUMNS]
    lines: dict[tuple[str, str, str], dict[str, str]] = {}
    for figure in figures:
        line = lines.setdefault(
            (figure.model, figure.method, figure.source),
            dict.fromkeys(_SECONDS_COLUMNS.values(), _NO_VALUE),
        )
        line[_SECONDS_COLUMNS[figure.quantity]] = figure.value
    rows = [
        {"model": model, "method": method, **seconds, "source": source}
        for (model, method, source), seconds in lines.items()
    ]
    numbers = pd.DataFrame(rows)
    remarks = _group_remarks(
        (figure.note, figure.model, f"({_SECONDS_COLUMNS[figure.quantity]})") for figure in figures
    )
    notes = ("On other machines than ours: not comparable with what is measured here.", *remarks)
    return CostReportTable(
        "published-seconds", "Seconds that papers print", numbers, numbers, notes
    )


_SECONDS_COLUMNS = {"cpu_seconds": "published CPU (s)", "gpu_seconds": "published GPU (s)"}
