"""What the paper claims, one claim a line: the printed effect, the effect measured at an equal
budget over seeds and pictures, and whether that budget can tell.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmark.api import MethodCard
from benchmark.reports import published
from benchmark.reports.grid import Grid, TableCell, TableColumn
from benchmark.reports.paired_tests import format_p
from benchmark.reports.paper.layout import choose_protocols
from benchmark.reports.published import PaperRow, TableNumber
from benchmark.results import Results
from benchmark.results.notes import Note, name_suite
from benchmark.results.scene_means import average_scenes
from benchmark.results.selection import ScoreColumn, Selection
from benchmark.results.significance import Mark
from benchmark.seed_stats import (
    FEWEST_SCENES,
    FEWEST_SEEDS,
    SeedComparison,
    compare_over_seeds,
)
from benchmark.spec import parse_id
from benchmark.stats import ALPHA, POWER, adjust_p_values
from benchmark.studies.cost import measurement
from benchmark.studies.cost.measurement import CostRecord

if TYPE_CHECKING:
    import pandas as pd

_MEASURE = "psnr"
_DIGITS = 3
_BACKWARD = 3
"""A step of a training has about three times the operations of a restoration: it goes forward, back
to the features, and back to the weights.
"""
_CANNOT_TELL = "cannot be told at this budget"
_TOO_FEW = "too few trainings or scenes: cannot be told"


class Claim(NamedTuple):
    """Something that the paper says of GKMNet and another row of one of its tables.

    Attributes:
        text: in words.
        table: number of the table.
        model: the row that GKMNet is compared with, as printed.
    """

    text: str
    table: TableNumber
    model: str


CLAIMS = (
    Claim("the GKM makes the network", "4", "SRAM*"),
    Claim("three scales beat one", "4", "GKMNet(1)"),
    Claim("the ConvLSTM helps", "4", "w/o Conv-LSTM"),
    Claim("fixed kernels, or learned from random ones", "4", "Learned GCM (Rand)"),
    Claim("fixed kernels, or learned from Gaussians", "4", "Learned GCM (GKM)"),
    Claim("better than SRN", "1", "SRN"),
    Claim("better than DPDNet-S", "1", "DPDNet-S"),
    Claim("better than DPDNet-D, which sees both views", "1", "DPDNet-D"),
    Claim("better than AttNet (here its stand-in)", "1", "AttNet"),
)
_GKMNET = "GKMNet"


class _Training(NamedTuple):
    """Weights of a comparison at an equal budget.

    Attributes:
        series: the budget and what else trainings of a comparison share: what their tags have
            before the seed.
        family: what trainings share that differ in the seed alone.
        seed: which.
        megapixels: length.
        hours: the same, None where the card does not say it.
    """

    series: str
    family: str
    seed: int
    megapixels: float
    hours: float | None


@dataclass(frozen=True, slots=True)
class _Side:
    """One side of a comparison: trainings of one network that differ in the seed.

    Attributes:
        methods: ids, by seed.
        megapixels: of each training.
        hours: the mean of them, None where no card says it.
        operations: of one training, in multiply-accumulates; None where nothing was counted.
    """

    methods: tuple[str, ...]
    megapixels: float
    hours: float | None
    operations: float | None


@dataclass(frozen=True, slots=True)
class _Line:
    """One claim under one comparison.

    Attributes:
        claim: which.
        printed: the printed effect in dB, GKMNet minus the other row.
        gkmnet, other: the sides that were measured.
        difference: GKMNet minus the other; None where a side has one training only, and then
            `mean` is all that there is.
        mean: of the differences.
    """

    claim: Claim
    printed: float
    gkmnet: _Side
    other: _Side
    difference: SeedComparison | None
    mean: float


def build_claims_tables(
    results: Results,
    dataset: str | None,
    protocols: Sequence[str],
    cost_folder: Path | None,
) -> list[ClaimsTable]:
    """Return the table once per data set, protocol and input track.

    Args:
        results: the runs.
        dataset: id of the only data set that is shown; None for all that the runs hold.
        protocols: to measure by; empty for the usual one.
        cost_folder: of a cost pass that says what a picture costs; None for none.

    Raises:
        UsageError: a protocol that the runs were not scored under.
    """
    costs = None if cost_folder is None else measurement.read_cost_pass(cost_folder)[0]
    tables = []
    for own_dataset in [dataset] if dataset else results.datasets:
        selection = results.select_dataset(own_dataset)
        for protocol in choose_protocols(results, protocols):
            measure = _find_measure(selection, protocol)
            for track in selection.tracks(protocol) if measure else ():
                level = selection.only(noise=selection.levels()[0], track=track)
                tables.append(ClaimsTable(level, ScoreColumn(protocol, track, measure), costs))
    return tables or [ClaimsTable(None, None, costs)]


def _find_measure(selection: Selection, protocol: str) -> str:
    """Return the first measure of a protocol that is a PSNR; empty for none."""
    measures = selection.measures(protocol) if protocol in selection.protocols() else {}
    return next((key for key, card in measures.items() if card.metric == _MEASURE), "")


class ClaimsTable:
    """The claims of the paper, measured on one data set."""

    def __init__(
        self, selection: Selection | None, column: ScoreColumn | None, costs: CostRecord | None
    ) -> None:
        """Make the table.

        Args:
            selection: one data set at one noise level; None for an empty table.
            column: the PSNR that networks are compared by; None with no selection.
            costs: what a picture costs, None where that is not known.
        """
        self._selection = selection
        self._column = column
        self._costs = costs
        self._notes: list[Note] = []
        self._lines: list[_Line] = []
        if selection is not None and column is not None:
            self._lines = list(self._compare_all(selection, column))
        # A single training of either gives no p, and takes no part.
        tested = [line.difference.p for line in self._lines if line.difference]
        adjusted = iter(adjust_p_values(tested))
        self._p = [next(adjusted) if line.difference else None for line in self._lines]

    def grid(self) -> Grid:
        """Return the table for people, a group per comparison."""
        groups: dict[float, list[tuple[TableCell, ...]]] = {}
        for line, p in zip(self._lines, self._p, strict=True):
            groups.setdefault(line.gkmnet.megapixels, []).append(self._cells(line, p))
        return Grid(
            caption=self._caption(),
            columns=(
                TableColumn("claim of the paper", label=True),
                TableColumn("GKMNet minus", label=True),
                TableColumn("printed, DPD"),
                TableColumn("measured"),
                TableColumn("could show"),
                TableColumn("p (Holm)"),
                TableColumn("verdict"),
                TableColumn("seeds"),
                TableColumn("n"),
                TableColumn("megapixels", "a training"),
                TableColumn("10^12 MACs", "a training"),
                TableColumn("hours", "a training"),
            ),
            groups=tuple(map(tuple, groups.values())),
            footnotes=tuple(self._footnotes()),
        )

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield its numbers: a dictionary per claim and comparison."""
        for line, p in zip(self._lines, self._p, strict=True):
            difference = line.difference
            yield {
                "table": "claims",
                "claim": line.claim.text,
                "model": line.claim.model,
                "published": line.printed,
                "dataset": self._selection.dataset if self._selection else "",
                "measure": self._column.measure if self._column else "",
                "mean": line.mean,
                "low": difference.low if difference else None,
                "high": difference.high if difference else None,
                "detectable": difference.detectable if difference else None,
                "p": difference.p if difference else None,
                "p (Holm)": p,
                "degrees of freedom": difference.degrees if difference else None,
                "deviation of seeds": difference.seed_deviation if difference else None,
                "deviation of scenes": difference.scene_deviation if difference else None,
                "verdict": judge_claim(line.printed, line.difference, p),
                **_side_record("GKMNet", line.gkmnet),
                **_side_record("other", line.other),
            }

    # What is compared

    def _compare_all(self, selection: Selection, column: ScoreColumn) -> Iterator[_Line]:
        """Yield a line for each claim and each comparison that has both sides."""
        scored = set(selection.scored_methods(column))
        trainings = {
            method: training
            for method, card in selection.method_cards().items()
            if method in scored and (training := read_training(method, card)) is not None
        }
        rows = {(row.table, row.model): row for row in published.read_paper_rows() if row.model}
        printed = _read_printed_effects()
        for series in sorted({training.series for training in trainings.values()}):
            own = {
                method: training
                for method, training in trainings.items()
                if training.series == series
            }
            for claim in CLAIMS:
                gkmnet = self._find_side(rows[claim.table, _GKMNET], own)
                other = self._find_side(rows[claim.table, claim.model], own)
                if not (gkmnet and other):
                    continue
                mean, difference = self._compare(selection, column, gkmnet, other)
                if math.isfinite(mean):  # else no picture was scored for both
                    yield _Line(claim, printed[claim], gkmnet, other, difference, mean)

    def _find_side(self, row: PaperRow, trainings: Mapping[str, _Training]) -> _Side | None:
        """Return the trainings that stand for a row; of several families, the one of most seeds."""
        families: dict[str, list[str]] = {}
        for method in sorted(trainings, key=lambda name: trainings[name].seed):
            if row.means(method):
                families.setdefault(trainings[method].family, []).append(method)
        if not families:
            return None
        methods = max(families.values(), key=len)
        hours = [trainings[method].hours for method in methods]
        known_hours = [value for value in hours if value is not None]
        megapixels = trainings[methods[0]].megapixels
        return _Side(
            methods=tuple(methods),
            megapixels=megapixels,
            hours=sum(known_hours) / len(known_hours) if known_hours else None,
            operations=self._count_operations(row, megapixels),
        )

    def _count_operations(self, row: PaperRow, megapixels: float) -> float | None:
        """Return the multiply-accumulates of a training of the network of a row."""
        if self._costs is None:
            return None
        size = self._costs.size
        for method, count in self._costs.counts.items():
            if row.counts_as(method) and count.forms:
                macs = min(form.macs for form in count.forms.values())
                return _BACKWARD * macs * megapixels * 1e6 / (size.width * size.height)
        return None

    def _compare(
        self, selection: Selection, column: ScoreColumn, gkmnet: _Side, other: _Side
    ) -> tuple[float, SeedComparison | None]:
        methods = [*gkmnet.methods, *other.methods]
        common = selection.common_scores({column: methods})
        self._notes += common.left_out
        scores: pd.DataFrame = average_scenes(common.values[column], common.scenes)
        if scores.empty:
            return math.nan, None
        a = scores[list(gkmnet.methods)].to_numpy().T
        b = scores[list(other.methods)].to_numpy().T
        mean = float(a.mean() - b.mean())
        if min(len(a), len(b)) < FEWEST_SEEDS or len(scores) < FEWEST_SCENES:
            return mean, None
        return mean, compare_over_seeds(a, b)

    # Cells and notes

    def _cells(self, line: _Line, p: float | None) -> tuple[TableCell, ...]:
        difference = line.difference
        interval = detectable = "–"
        mark = None
        if difference is not None and difference.low is not None and difference.high is not None:
            low, high = difference.low, difference.high
            interval = f" [{low:z.{_DIGITS}f}, {high:z.{_DIGITS}f}]"
        if difference is not None and difference.detectable is not None:
            detectable = f"{difference.detectable:.{_DIGITS}f}"
        if p is not None and p <= ALPHA:
            mark = Mark.significant
        bounds = "" if interval == "–" else interval
        sides = (line.gkmnet, line.other)
        return (
            TableCell(line.claim.text),
            TableCell(line.claim.model, note=f"Measured as {', '.join(line.other.methods)}."),
            TableCell(f"{line.printed:+.2f}"),
            TableCell(f"{line.mean:+z.{_DIGITS}f}{bounds}", mark),
            TableCell(detectable),
            TableCell("–" if p is None else format_p(p)),
            TableCell(judge_claim(line.printed, difference, p)),
            TableCell(" / ".join(str(len(side.methods)) for side in sides)),
            TableCell(str(difference.scenes) if difference else "–"),
            TableCell(" / ".join(f"{side.megapixels:g}" for side in sides)),
            TableCell(" / ".join(_format_operations(side) for side in sides)),
            TableCell(" / ".join(_format_hours(side) for side in sides)),
        )

    def _caption(self) -> str:
        start = "Claims of the paper at an equal budget: PSNR (dB) of GKMNet minus that of others"
        if self._selection is None or self._column is None or not self._lines:
            return f"{start}; nothing was measured."
        return (
            f"{start}, as printed for DPD and as measured on {self._selection.dataset} (protocol "
            f"{self._column.protocol}, track {self._column.track})."
        )

    def _footnotes(self) -> Iterator[str]:
        if not self._lines:
            yield (
                "Nothing was measured: the runs hold no trainings of GKMNet and of another network "
                "of one budget, whose tags name the seed, such as equal-26-0 and equal-26-0-sram."
            )
            return
        yield (
            "Measured: mean over seeds and pictures [95 % interval for other seeds and other "
            "pictures alike: crossed random effects, Satterthwaite's degrees of freedom]. Seeds, "
            "megapixels, MACs and hours: GKMNet's / the other's."
        )
        yield (
            f"p (Holm): of that mean, adjusted for the {sum(p is not None for p in self._p)} "
            f"claims that have one; bold: at most {100 * ALPHA:g} %. Could show: the least true "
            f"difference that so many seeds and pictures show with a power of {100 * POWER:g} %."
        )
        yield (
            "10^12 MACs: multiply-accumulates of a training, three times those of restoring as "
            "many pixels, in the cheapest form of a network; hours: the mean over the seeds, on "
            "the machines that the cards name."
        )
        sides = [side for line in self._lines for side in (line.gkmnet, line.other)]
        if any(side.operations is None for side in sides):
            yield (
                "Not counted: run `cost --methods all,ablations --rounds 0`, and name its folder "
                "with --cost."
            )
        if self._costs is not None:
            provenance = self._costs.provenance
            yield f"Counted by {name_suite(provenance['suite'], provenance.get('git'))}."
        yield from dict.fromkeys(note.text for note in self._notes)
        if self._selection is not None:
            yield (
                f"Data: {self._selection.dataset}, {self._selection.describe_pictures()}, "
                f"fingerprint {self._selection.fingerprint()}."
            )
            yield f"Suite at commit {', '.join(self._selection.commits())}."


def judge_claim(printed: float, difference: SeedComparison | None, p: float | None) -> str:
    """Return in words whether what was measured bears a printed effect out.

    Args:
        printed: the printed effect.
        difference: the measured one; None where a side has one training only, or there are fewer
            than three scenes.
        p: of it, adjusted for the claims.
    """
    if difference is None or p is None:
        return _TOO_FEW
    if p > ALPHA:
        return _CANNOT_TELL
    if (difference.mean > 0) != (printed > 0):
        return "the other way round here"
    if difference.high is not None and 0 < difference.high < printed:
        return "holds, but less than printed"
    if difference.low is not None and 0 > difference.low > printed:
        return "holds, but less than printed"
    return "holds"


_BUDGET = re.compile(r"(?P<megapixels>[\d.]+) megapixels, seed (?P<seed>\d+)")


def read_training(method: str, card: MethodCard) -> _Training | None:
    """Return which training a method's weights are from; None where its tag does not name the seed
    of its card, or its card says that it was not finished or nothing of the budget.
    """
    match = _BUDGET.fullmatch(card.budget)
    tag = parse_id(method).checkpoint
    if match is None or tag is None:
        return None
    seed = match["seed"]
    parts = tag.split("-")
    if seed not in parts[1:]:
        return None
    place = len(parts) - 1 - parts[::-1].index(seed)
    spec = parse_id(method)
    parameters = ",".join(f"{key}={value}" for key, value in spec.parameters.items())
    family = "-".join([spec.name, *parts[:place], *parts[place + 1 :], parameters])
    return _Training(
        series="-".join(parts[:place]),
        family=family,
        seed=int(seed),
        megapixels=float(match["megapixels"]),
        hours=card.hours,
    )


def _read_printed_effects() -> dict[Claim, float]:
    """Return for every claim what the paper prints for GKMNet minus what for the other, in dB."""
    values = {
        (number.table, number.model): float(number.value)
        for number in published.read_printed_numbers()
        if number.source == published.GKMNET_PAPER
        and number.measure == _MEASURE
        and number.training == "clean"
        and not number.noise
        and number.dataset == "dpd"
        and not number.part
        and number.value
    }
    return {
        claim: round(values[claim.table, _GKMNET] - values[claim.table, claim.model], 2)
        for claim in CLAIMS
    }


def _side_record(name: str, side: _Side) -> dict[str, Any]:
    return {
        f"{name}: methods": " ".join(side.methods),
        f"{name}: seeds": len(side.methods),
        f"{name}: megapixels": side.megapixels,
        f"{name}: MACs": side.operations,
        f"{name}: hours": side.hours,
    }


def _format_operations(side: _Side) -> str:
    return "not counted" if side.operations is None else f"{side.operations / 1e12:.3g}"


def _format_hours(side: _Side) -> str:
    return "not known" if side.hours is None else f"{side.hours:.2f}"
