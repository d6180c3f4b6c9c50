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

from benchmark.files import replace_file
from benchmark.reports import grid, tables
from benchmark.reports.grid import Grid
from benchmark.studies.cost.counting import NetworkCount
from benchmark.studies.cost.measurement import CostRecord, MethodCounts
from benchmark.studies.cost.published import PUBLISHED_SIZE, QUANTITY_UNITS, PublishedCost
from benchmark.studies.cost.timing import TimingSubject, Trial

if TYPE_CHECKING:
    import pandas as pd

TOLERANCE = 0.005
"""A way of counting reproduces a published figure if the two differ by at most this part of it."""
ADAM = 3
"""Numbers that a training file of Adam holds per parameter: itself and two moments."""
CostLine = dict[str, float | str | None]
"""One line of a table: column -> number or text."""
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
        methods: id of the method of each row, where rows are forms of networks.
    """

    name: str
    title: str
    numbers: pd.DataFrame
    texts: pd.DataFrame
    notes: tuple[str, ...]
    methods: tuple[str, ...] = ()

    @property
    def grid(self) -> Grid:
        """The table for people."""
        return grid.grid_from_frame(self.title, self.texts, _LABEL_COLUMNS, self.notes)


def build_cost_tables(record: CostRecord, trials: Sequence[Trial]) -> list[CostReportTable]:
    """Return the tables of a cost pass: costs always, the others where there is something to show.

    Args:
        record, trials: as `benchmark.studies.cost.measurement.read_cost_pass` gives them.
    """
    tables_of_pass = [
        _cost_table(record, trials),
        _operations_table(record),
        _published_table(record),
        _published_seconds_table(record),
    ]
    return [table for table in tables_of_pass if len(table.numbers) or table.name == "cost"]


def write_cost_tables(
    cost_tables: Sequence[CostReportTable], folder: Path, form: tables.Format
) -> list[Path]:
    """Write the tables of a cost pass into its folder; return the files.

    Args:
        cost_tables: as `build_cost_tables` gives them.
        folder: that of `benchmark.studies.cost.measurement.measure_costs`.
        form: `markdown` writes `cost.md` and `latex` `cost.tex`; `csv` writes the numbers, one file
            a table.
    """
    contents = {}
    if form == "csv":
        for table in cost_tables:
            contents[folder / f"{table.name}.csv"] = table.numbers.to_csv(index=False)
    else:
        ending = {"markdown": "md", "latex": "tex"}[form]
        grids = [table.grid for table in cost_tables]
        contents[folder / f"cost.{ending}"] = grid.format_grids(grids, form)
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
        start: shortest part of them that every restoration begins with; None for nothing.
        trouble: what went wrong last, with the reason; empty if nothing did.
    """

    seconds: list[float]
    working: int | None
    peak: int | None
    gpu_peak: int | None
    start: float | None
    trouble: str


_NO_TRIALS = SubjectTotals([], None, None, None, None, "")


def summarise_trials(trials: Iterable[Trial]) -> SubjectTotals:
    """Return what raw samples of one subject come to."""
    subject_trials = list(trials)
    seconds: list[float] = []
    working: list[int] = []
    peaks: list[int] = []
    gpu_peaks: list[int] = []
    starts: list[float] = []
    for trial in subject_trials:
        reading = trial.reading
        if reading is None:
            continue
        if trial.round > 0:
            seconds.append(reading.seconds)
        if reading.peak is not None:
            peaks.append(reading.peak)
            if reading.before is not None:
                working.append(reading.peak - reading.before)
        if reading.gpu_peak is not None:
            gpu_peaks.append(reading.gpu_peak)
        if reading.start is not None:
            starts.append(reading.start)
    failure = ""
    if subject_trials and subject_trials[-1].status != "ok":
        failure = f"{subject_trials[-1].status}: {subject_trials[-1].reason}"
    return SubjectTotals(
        seconds=seconds,
        working=max(working, default=None),
        peak=max(peaks, default=None),
        gpu_peak=max(gpu_peaks, default=None),
        start=min(starts, default=None),
        trouble=failure,
    )


def _cost_table(record: CostRecord, trials: Sequence[Trial]) -> CostReportTable:
    import pandas as pd

    totals = {}
    for subject in record.subjects:
        totals[subject] = summarise_trials(trial for trial in trials if trial.subject == subject)
    lines: list[CostLine] = []
    methods: list[str] = []
    for method, counts in record.counts.items():
        method_lines = list(_cost_lines(method, counts, _totals_by_device(method, totals)))
        lines += method_lines
        methods += [method] * len(method_lines)
    numbers = pd.DataFrame(lines, columns=["method", *_COUNT_COLUMNS, *_TIME_COLUMNS])
    notes = (
        *_timing_notes(record, totals.values()),
        *_COST_NOTES,
        *_start_notes(totals),
        *_failure_notes(record, totals),
    )
    title = f"What a picture of {record.size} costs"
    texts = _format_costs(numbers)
    return CostReportTable("cost", title, numbers, texts, notes, tuple(methods))


def _totals_by_device(
    method: str, totals: Mapping[TimingSubject, SubjectTotals]
) -> dict[str, SubjectTotals]:
    return {
        subject.device: subject_totals
        for subject, subject_totals in totals.items()
        if subject.method == method
    }


def _cost_lines(
    method: str, counts: MethodCounts, totals: Mapping[str, SubjectTotals]
) -> Iterator[CostLine]:
    """Yield a line for every form of a network; what was measured is the method's, and stands in
    the first.

    Args:
        method: its id.
        counts: of its network.
        totals: device -> what its trials come to.
    """
    if not counts.forms:
        yield {"method": method, **_time_columns(totals)}
    for number, (form, count) in enumerate(counts.forms.items()):
        form_totals = {} if number else totals
        yield {
            "method": _name_form(method, form),
            "file (MB)": _in_megabytes(counts.checkpoint_bytes),
            **_count_columns(count),
            **_time_columns(form_totals),
        }


def _in_megabytes(count: int | None) -> float | None:
    """Return bytes in MB; no bytes, and an unknown number of them, stay as they are."""
    return count / 1e6 if count else count


_COUNT_COLUMNS = (
    "parameters (M)",
    "weights (MB)",
    "file (MB)",
    "MACs (G)",
    "FLOPs (G)",
    "thop-style (G)",
)
_TIME_COLUMNS = (
    "CPU (s)",
    "CPU lowest (s)",
    "CPU highest (s)",
    "CPU rounds",
    "working memory (MB)",
    "peak memory (MB)",
    "GPU (s)",
    "GPU lowest (s)",
    "GPU highest (s)",
    "GPU rounds",
    "GPU memory (MB)",
)


def _count_columns(count: NetworkCount) -> dict[str, float]:
    return {
        "parameters (M)": count.parameters / 1e6,
        "weights (MB)": count.weight_bytes / 1e6,
        "MACs (G)": count.macs / 1e9,
        "FLOPs (G)": 2 * count.macs / 1e9,
        "thop-style (G)": count.thop / 1e9,
    }


def _time_columns(totals: Mapping[str, SubjectTotals]) -> dict[str, float | None]:
    """Return seconds and memory of a method as columns.

    Args:
        totals: device -> what its trials come to.
    """
    cpu = totals.get("cpu", _NO_TRIALS)
    gpu = totals.get("cuda", _NO_TRIALS)
    line: dict[str, float | None] = {
        "working memory (MB)": _in_megabytes(cpu.working),
        "peak memory (MB)": _in_megabytes(cpu.peak),
        "GPU memory (MB)": _in_megabytes(gpu.gpu_peak),
    }
    for device, seconds in (("CPU", cpu.seconds), ("GPU", gpu.seconds)):
        line[f"{device} (s)"] = median(seconds) if seconds else None
        line[f"{device} lowest (s)"] = min(seconds, default=None)
        line[f"{device} highest (s)"] = max(seconds, default=None)
        line[f"{device} rounds"] = len(seconds)
    return line


def _format_costs(numbers: pd.DataFrame) -> pd.DataFrame:
    texts = numbers.map(_format_number)
    for device in ("CPU", "GPU"):
        seconds = f"{device} (s)"
        lowest = f"{device} lowest (s)"
        highest = f"{device} highest (s)"
        rounds = f"{device} rounds"
        has_several_rounds = numbers[rounds] > 1
        brackets = " [" + texts[lowest] + ", " + texts[highest] + "]"
        texts[seconds] = texts[seconds].where(~has_several_rounds, texts[seconds] + brackets)
        texts = texts.drop(columns=[lowest, highest, rounds])
    optional = ["file (MB)", "GPU (s)", "GPU memory (MB)"]
    empty = [name for name in optional if (texts[name] == _NO_VALUE).all()]
    return texts.drop(columns=empty)


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
    "functional calls, of the padded picture; FLOPs are 2 x MACs.",
    "thop-style: what the tool thop of 2020 prints as FLOPs. It is blind to functional calls, "
    "counts a transposed convolution stride^2 times too high, and adds biases and 2 per element "
    "of a BatchNorm.",
    "Weights: float32 parameters, 1 MB = 10^6 bytes.",
    "Working memory: the most that a restoration took beside what the prepared process "
    "(libraries, weights) held; peak memory: the whole process.",
    "A method whose network has several forms has a row for each; seconds and memory stand in "
    "the first and are those of its own program, which may take any form.",
)


def _timing_notes(record: CostRecord, totals: Iterable[SubjectTotals]) -> Iterator[str]:
    counts = sorted({len(subject.seconds) for subject in totals if subject.seconds})
    if not counts:
        yield "Nothing was timed."
        return
    first = record.subjects[0]
    gpus = {subject.gpu for subject in record.subjects if subject.gpu}
    rounds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    yield (
        f"Seconds: median [lowest, highest] of {rounds} rounds, one method after the other in "
        "turn, warm; preparing is not timed, copies to a GPU and back are."
    )
    yield (
        f"Measured on {', '.join([first.processor, *sorted(gpus)])}; threads: {first.threads}; "
        f"{first.libraries}; suite {first.suite}."
    )


def _start_notes(totals: Mapping[TimingSubject, SubjectTotals]) -> Iterator[str]:
    for subject, subject_totals in totals.items():
        if subject_totals.start is not None:
            yield (
                f"{subject.method}: {subject_totals.start:.2g} s of its seconds are the start of "
                "its program, anew for each picture; memory of another process is not measured."
            )


def _failure_notes(
    record: CostRecord, totals: Mapping[TimingSubject, SubjectTotals]
) -> Iterator[str]:
    yield from _group_notes(
        (counts.problem, method, "cannot be counted") for method, counts in record.counts.items()
    )
    yield from _group_notes(
        (subject_totals.trouble, subject.method, f"on {subject.device}")
        for subject, subject_totals in totals.items()
    )


def _group_notes(subject_notes: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    """Yield "names, what: text" once for every (text, what) of (text, name, what); an empty text
    says nothing.
    """
    names_by_note: dict[tuple[str, str], list[str]] = {}
    for text, name, context in subject_notes:
        if text:
            names_by_note.setdefault((text, context), []).append(name)
    for (text, context), names in names_by_note.items():
        yield f"{', '.join(dict.fromkeys(names))} {context}: {text}"


def is_cost_incomplete(record: CostRecord, trials: Sequence[Trial]) -> bool:
    """Return whether a method could not be counted, or failed or took too long when it was tried
    last.
    """
    if any(counts.problem for counts in record.counts.values()):
        return True
    last_status = {trial.subject: trial.status for trial in trials}
    return not {"failed", "timeout"}.isdisjoint(last_status.values())


# Operations
# --------------------------------------------------------------------------------------------------


def _operations_table(record: CostRecord) -> CostReportTable:
    import pandas as pd

    counts = {}
    for method, method_counts in record.counts.items():
        for form, count in method_counts.forms.items():
            counts[_name_form(method, form)] = count
    lines = [{"method": name, **_operation_line(count)} for name, count in counts.items()]
    numbers = pd.DataFrame(lines)
    texts = numbers.map(_format_number)
    if counts:
        for name in ("torch / ours", "fvcore / ours"):
            texts[name] = numbers[name].map(_format_ratio)
    notes = (*_OPERATIONS_NOTES, *_difference_notes(counts))
    return CostReportTable("operations", "The networks behind it", numbers, texts, notes)


_OPERATIONS_NOTES = (
    "Buffers: what a checkpoint holds beside the weights, such as statistics of normalisation.",
    "Picture: what the network is fed, padding included. Products: of two tensors, element by "
    "element; not MACs.",
    "torch / ours: MACs by torch's FlopCounterMode beside ours; fvcore / ours: by fvcore, for a "
    "small picture, as fvcore needs a real run.",
    "Not counted: operations whose MACs are not known, with how often they were called.",
)


def _difference_notes(counts: Mapping[str, NetworkCount]) -> Iterator[str]:
    """Yield what explains a difference between our count and another counter's."""
    for name, count in counts.items():
        for counter, check in count.checks.items():
            if check.difference:
                yield f"{name}, {counter}: {check.difference}"


def _operation_line(count: NetworkCount) -> CostLine:
    convolutions = count.operations.get("convolution", 0)
    shapes = ["x".join(map(str, shape)) for shape in count.inputs]
    uncounted = [f"{name} x {calls}" for name, calls in count.uncounted.items()]
    return {
        "buffers (MB)": count.buffer_bytes / 1e6,
        "picture": " + ".join(shapes),
        "convolutions (G MACs)": convolutions / 1e9,
        "matrix products (G MACs)": (count.macs - convolutions) / 1e9,
        "products (G)": count.products / 1e9,
        "torch / ours": count.checks["torch"].ratio,
        "fvcore / ours": count.checks["fvcore"].ratio,
        "not counted": ", ".join(uncounted) or "nothing",
    }


# Published
# --------------------------------------------------------------------------------------------------


def counting_conventions(quantity: str, counts: MethodCounts) -> dict[str, float]:
    """Return what a published quantity may have meant: way of counting -> value in the published
    unit.

    A way names the form of the network unless that is the first. Seconds are no matter of counting:
    a KeyError.
    """
    values: dict[str, float] = {}
    for number, (form, count) in enumerate(counts.forms.items()):
        for convention, value in _CONVENTIONS_BY_QUANTITY[quantity](count).items():
            if value not in values.values():  # forms that agree are one way
                name = _name_form(convention, form) if number else convention
                values[name] = value
    return values


_CONVENTIONS_BY_QUANTITY: Mapping[str, Callable[[NetworkCount], Mapping[str, float]]] = {
    "parameters": lambda count: {"parameters": count.parameters / 1e6},
    "operations": lambda count: {
        "MACs": count.macs / 1e9,
        "FLOPs = 2 x MACs": 2 * count.macs / 1e9,
        "thop-style": count.thop / 1e9,
    },
    "size": lambda count: {
        "float32 weights": count.weight_bytes / 1e6,
        "float32 weights in MiB": count.weight_bytes / 2**20,
        "file of torch.save": count.saved_bytes / 1e6,
        "weights and Adam's moments in MiB": ADAM * count.weight_bytes / 2**20,
    },
}


def _published_table(record: CostRecord) -> CostReportTable:
    import pandas as pd

    figures = [figure for figure in record.published if figure.quantity in _CONVENTIONS_BY_QUANTITY]
    lines = [_published_line(figure, record.references[figure.method]) for figure in figures]
    numbers = pd.DataFrame(lines)
    width, height = PUBLISHED_SIZE
    notes = (
        f"Published: as printed, for a picture of {width}x{height}. A convention reproduces a "
        f"figure if it comes within {100 * TOLERANCE:g} %. What a paper calls FLOPs is often "
        "something else.",
        *_group_notes((figure.note, figure.model, f"({figure.quantity})") for figure in figures),
        *_group_notes(
            (counts.problem, name, "cannot be counted")
            for name, counts in record.references.items()
        ),
    )
    texts = numbers.map(_format_number)
    if figures:
        texts["computed / published"] = numbers["computed / published"].map(_format_ratio)
    title = "Figures that papers print, and what they are"
    return CostReportTable("published", title, numbers, texts, notes)


def _published_line(figure: PublishedCost, counts: MethodCounts) -> CostLine:
    value = float(figure.value)
    conventions = counting_conventions(figure.quantity, counts)
    nearest = min(conventions, key=lambda name: abs(conventions[name] - value), default=None)
    line: CostLine = {
        "model": figure.model,
        "method": figure.method,
        "quantity": f"{figure.quantity} ({QUANTITY_UNITS[figure.quantity]})",
        "published": figure.value,
        "reproduced by": "not counted here",
        "computed": None,
        "computed / published": None,
        "source": figure.source,
    }
    if nearest is not None:
        computed_value = conventions[nearest]
        agrees = abs(computed_value - value) <= TOLERANCE * value
        line["reproduced by"] = nearest if agrees else f"no convention; nearest: {nearest}"
        line["computed"] = computed_value
        line["computed / published"] = computed_value / value
    return line


def _published_seconds_table(record: CostRecord) -> CostReportTable:
    import pandas as pd

    figures = [figure for figure in record.published if figure.quantity in _SECONDS_COLUMNS]
    lines: dict[tuple[str, str, str], dict[str, str]] = {}
    for figure in figures:
        key = (figure.model, figure.method, figure.source)
        no_seconds = dict.fromkeys(_SECONDS_COLUMNS.values(), _NO_VALUE)
        lines.setdefault(key, no_seconds)[_SECONDS_COLUMNS[figure.quantity]] = figure.value
    rows = [
        {"model": model, "method": method, **seconds, "source": source}
        for (model, method, source), seconds in lines.items()
    ]
    numbers = pd.DataFrame(rows)
    source_notes = _group_notes(
        (figure.note, figure.model, f"({_SECONDS_COLUMNS[figure.quantity]})") for figure in figures
    )
    notes = (
        "On other machines than ours: not comparable with what is measured here.",
        *source_notes,
    )
    title = "Seconds that papers print"
    return CostReportTable("published-seconds", title, numbers, numbers, notes)


_SECONDS_COLUMNS = {"cpu_seconds": "published CPU (s)", "gpu_seconds": "published GPU (s)"}
