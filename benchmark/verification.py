"""Whether a run is what it was: stored outputs by their digests, scores computed again, and cells
restored again. Neither the store nor a score is changed by it.

A bundle holds no outputs. Its files are checked by their digests, its scores by what their measures
can be, and cells are restored again where that is asked for.
"""

from __future__ import annotations

import contextlib
import dataclasses
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from benchmark import console, imageio, plan, provenance, runner, worker
from benchmark.api import DataError, Picture, UsageError
from benchmark.apply import describe_error, outcome_of_error
from benchmark.cells import Cell, Score, StoredCell, StoredScore, Task, name_cell
from benchmark.engines import Engine
from benchmark.engines.local import LocalEngine
from benchmark.metrics.tracks import Track
from benchmark.plan import PlannedMethod
from benchmark.registry import DATASETS, PROTOCOLS, create, create_metric
from benchmark.results.bundles import (
    MANIFEST,
    Bundle,
    describe_contents,
    is_bundle,
    read_bundle,
)
from benchmark.results.notes import count_noun
from benchmark.results.publication import publish_provenance
from benchmark.results.record_checks import find_impossible_scores
from benchmark.results.record_view import RecordView
from benchmark.run_layout import path_in_run
from benchmark.run_lock import hold_run_folder
from benchmark.store import Store
from benchmark.worker import RunSettings
from benchmark.worker_pool import Failure

DEFAULT_CELLS = 20
DEFAULT_TOLERANCE = 1e-4
"""Of the pixels' range, or of a score, or of 1 where that is larger: a fortieth of a level of 8
bits, 0.003 dB at 30 dB.
"""
PIXELS = "pixels"
"""What the largest difference of restored pictures is called among those of measures."""
_DAMAGED_SUFFIX = ".damaged"
_WIDTH = 79
_LONGEST_LIST = 20
Verdict = Literal["equal", "close", "different"]
_BEST_FIRST: Sequence[Verdict] = ("equal", "close", "different")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRequest:
    """What to check. Plug-ins are loaded already.

    Attributes:
        run: the run folder, or a bundle.
        cells: how many outputs to score again, drawn at random; None for all.
        restore: how many cells to restore again, drawn at random.
        seed: of both draws.
        tolerance: how far values that do not come out bit for bit may lie apart: of pixels, as a
            part of their range; of scores, as a part of the score, or of 1 where that is larger.
        set_aside: rename damaged outputs, so that `run` makes them again.
        data: the folder that holds the data sets.
        engine: where it is computed.
        timeout: seconds that a cell may take; None for any.
        device: "auto", "cpu" or "cuda".
        plugins: the plug-in files, for the workers.
        lpips_trunk: file of LPIPS' weights; None to let LPIPS look itself.

    Raises:
        UsageError: a number below 0, or none.
    """

    run: Path
    cells: int | None = DEFAULT_CELLS
    restore: int = 0
    seed: int = 0
    tolerance: float = DEFAULT_TOLERANCE
    set_aside: bool = False
    data: Path = Path("data")
    engine: Engine = dataclasses.field(default_factory=LocalEngine)
    timeout: float | None = None
    device: str = "auto"
    plugins: tuple[Path, ...] = ()
    lpips_trunk: Path | None = None

    def __post_init__(self) -> None:
        for name in ("cells", "restore", "seed", "tolerance"):
            number = getattr(self, name)
            if number is not None and not number >= 0:
                raise UsageError(f"{name}={number!r}: expected a number >= 0")


class OutputFault(NamedTuple):
    """A stored output that is not there, or not what was written: its path inside the run folder,
    its cell, and what is wrong.
    """

    output: str
    cell: Cell
    reason: str


@dataclasses.dataclass(slots=True)
class Comparison:
    """How what was computed again compares with what the run holds.

    Attributes:
        equal: how many are the same bit for bit.
        close: how many are within the tolerance, and not the same.
        differences: a line for each of the others.
        largest: measure (or `PIXELS`) -> the largest difference, where there was any.
    """

    equal: int = 0
    close: int = 0
    differences: list[str] = dataclasses.field(default_factory=list)
    largest: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many were compared."""
        return self.equal + self.close + len(self.differences)

    def note_difference(self, measure: str, difference: float) -> None:
        """Take a difference into account for the largest."""
        if difference > 0:
            self.largest[measure] = max(self.largest.get(measure, 0.0), difference)

    def add(self, verdict: Verdict, line: str) -> None:
        """Count one; the line is kept where it is different."""
        if verdict == "equal":
            self.equal += 1
        elif verdict == "close":
            self.close += 1
        else:
            self.differences.append(line)


@dataclasses.dataclass(frozen=True, slots=True)
class BundleCheck:
    """What the checks of a bundle say, whose files are all what its manifest says.

    Attributes:
        files: how many files that are.
        scores: how many scores were looked at.
        suite: version that wrote the bundle.
        faults: scores that cannot be, and what the manifest says otherwise than the scores, one
            line each.
        strays: names of what lies in the folder and is no part of the bundle.
    """

    files: int
    scores: int
    suite: str
    faults: tuple[str, ...]
    strays: tuple[str, ...]


@dataclasses.dataclass(slots=True)
class Verification:
    """What `verify` tells of a run.

    Attributes:
        folder: the run folder, or the bundle.
        tolerance: as asked for.
        cells: how many cells of the run ended well.
        without_output: how many of them kept no output.
        equal_outputs: stored outputs that have the digest of what was written.
        undigested_outputs: stored outputs that can be read, and whose digest nobody kept.
        missing_outputs, damaged_outputs: the others.
        set_aside: new paths of damaged outputs, inside the folder.
        rescored_cells: how many outputs were scored again.
        scores: the scores that were computed again from stored outputs.
        restorations: the cells that were restored again.
        failures: what could not be computed again, one line each.
        left_out: what was not checked and why -> how often.
        changes: what differs between the commands of the run and this one, one line each.
        bundle: what the checks of a bundle say; None for a run folder.
    """

    folder: Path
    tolerance: float
    cells: int = 0
    without_output: int = 0
    equal_outputs: int = 0
    undigested_outputs: int = 0
    missing_outputs: list[OutputFault] = dataclasses.field(default_factory=list)
    damaged_outputs: list[OutputFault] = dataclasses.field(default_factory=list)
    set_aside: list[str] = dataclasses.field(default_factory=list)
    rescored_cells: int = 0
    scores: Comparison = dataclasses.field(default_factory=Comparison)
    restorations: Comparison = dataclasses.field(default_factory=Comparison)
    failures: list[str] = dataclasses.field(default_factory=list)
    left_out: Counter[str] = dataclasses.field(default_factory=Counter)
    changes: list[str] = dataclasses.field(default_factory=list)
    bundle: BundleCheck | None = None

    @property
    def agrees(self) -> bool:
        """Whether all that was checked is as the run holds it, bit for bit or within the
        tolerance.
        """
        faults = self.missing_outputs or self.damaged_outputs or self.failures
        if self.bundle is not None and self.bundle.faults:
            return False
        return not (faults or self.scores.differences or self.restorations.differences)

    def __str__(self) -> str:
        return "\n".join(describe_verification(self))


def verify_run(request: VerifyRequest) -> Verification:
    """Check a run, or a bundle.

    Raises:
        UsageError: there is no run; or (`set_aside`) another command writes it, or it is a bundle.
        DataError: the run cannot be read, or (`set_aside`) not be written; a bundle is not whole.
        WorkerStartError: worker processes cannot start.
    """
    if is_bundle(request.run):
        return _verify_bundle(request)
    with contextlib.ExitStack() as resources:
        store = resources.enter_context(Store(request.run, read_only=True))
        if request.set_aside:
            resources.enter_context(hold_run_folder(request.run, provenance.name_command()))
        verification = _verify_store(store, request)
        if request.set_aside:
            verification.set_aside += _set_damaged_aside(verification)
        return verification


def _verify_bundle(request: VerifyRequest) -> Verification:
    if request.set_aside:
        raise UsageError(f"--set-aside: {request.run} is a bundle, which holds no outputs")
    bundle = read_bundle(request.run)
    view = RecordView(bundle.record)
    verification = _verify_store(view, dataclasses.replace(request, cells=0))
    verification.bundle = _check_bundle(bundle, request.run)
    return verification


def _check_bundle(bundle: Bundle, folder: Path) -> BundleCheck:
    manifest = bundle.manifest
    faults = find_impossible_scores(bundle.record)
    contents = describe_contents(bundle.record)
    for field in type(contents).model_fields:
        if getattr(contents, field) != getattr(manifest.contents, field):
            faults.append(f"manifest.json says other {field} than the scores hold")
    names = {path.name for path in folder.iterdir()} - {MANIFEST, *manifest.files}
    return BundleCheck(
        files=len(manifest.files),
        scores=contents.scores,
        suite=manifest.suite,
        faults=tuple(faults),
        strays=tuple(sorted(names)),
    )


class StoredResults(Protocol):
    """What is checked: a store, or results that were read."""

    def cells(self) -> Iterator[tuple[Cell, StoredCell]]:
        """Yield every cell with what is held of it."""

    def stored_scores(self, key: str) -> list[StoredScore]:
        """Return the scores of one cell."""

    def list_deciding_commands(self) -> list[Mapping[str, Any]]:
        """Return the provenance of the commands that made cells and scores."""


def _verify_store(store: StoredResults, request: VerifyRequest) -> Verification:
    verification = Verification(request.run, request.tolerance)
    stored_cells = {cell: stored for cell, stored in store.cells() if stored.status == "ok"}
    verification.cells = len(stored_cells)
    rulers = CurrentRulers(verification.left_out)
    tasks = _plan_checks(store, stored_cells, rulers, request, verification)
    settings = RunSettings(
        request.run,
        request.data,
        request.plugins,
        request.device,
        save=False,
        rerun=False,
        lpips_trunk=request.lpips_trunk,
    )
    cell_of_digest: dict[str, Cell] = {}
    for cell, stored in stored_cells.items():
        if stored.output_digest is not None:
            cell_of_digest[stored.output_digest] = cell
    for task, check in _check_in_processes(tasks, request, settings):
        _note_output(verification, task, check, cell_of_digest)
        if check.scores or check.restoration:
            stored_scores = rulers.select_comparable(store.stored_scores(task.cell.key))
            _note_scores(verification, task, check, stored_scores)
            _note_restoration(verification, task, check, stored_scores)
        for problem in check.problems:
            verification.failures.append(f"{name_cell(task.cell)}: {problem}")
    processes = request.engine.describe_processes(tasks, settings)
    facts = provenance.collect_provenance(device=request.device, **processes)
    if isinstance(store, RecordView):
        facts = publish_provenance(facts)
    verification.changes += provenance.list_changes(store.list_deciding_commands(), facts)
    return verification


def _check_in_processes(
    tasks: Sequence[Task], request: VerifyRequest, settings: RunSettings
) -> Iterator[tuple[Task, CellCheck]]:
    stream = request.engine.map(check_cell, tasks, settings, timeout=request.timeout)
    with contextlib.closing(stream) as results:
        for task, result in console.track_progress(results, len(tasks), "checking"):
            if isinstance(result, Failure):
                yield task, CellCheck("unchecked", problems=(result.reason,))
            else:
                yield task, result


def _set_damaged_aside(verification: Verification) -> Iterator[str]:
    """Rename damaged outputs and yield their new paths; what a hostile store points at outside the
    folder stays where it is.
    """
    for fault in verification.damaged_outputs:
        with contextlib.suppress(DataError):
            path = path_in_run(verification.folder, fault.output)
            path.replace(path.with_name(path.name + _DAMAGED_SUFFIX))
            yield fault.output + _DAMAGED_SUFFIX


# What is checked
# --------------------------------------------------------------------------------------------------


def _plan_checks(
    store: StoredResults,
    stored_cells: Mapping[Cell, StoredCell],
    rulers: CurrentRulers,
    request: VerifyRequest,
    verification: Verification,
) -> list[Task]:
    """Return a task for every cell that has an output or is to be restored again: with protocols
    where it is scored, with a method where it is restored.
    """
    random = np.random.default_rng(request.seed)
    cells_with_data: list[Cell] = []
    if request.restore or request.cells != 0:
        cells_with_data = _select_cells_with_data(stored_cells, request, verification)
    methods: Mapping[Cell, PlannedMethod] = {}
    if request.restore:
        methods = _select_restorable_cells(cells_with_data, request, verification)
    restored_cells = _draw(list(methods), request.restore, random)
    candidates = [cell for cell in cells_with_data if stored_cells[cell].output]
    rescored_cells = _draw_rescored_cells(candidates, restored_cells, request.cells, random)
    tasks: list[Task] = []
    for cell, stored in stored_cells.items():
        is_restored = cell in restored_cells
        if not stored.output:
            verification.without_output += 1
            if not is_restored:
                continue
        protocols: tuple[str, ...] = ()
        if is_restored or cell in rescored_cells:
            scores = store.stored_scores(cell.key)
            rulers.note_obstacles(scores)
            comparable_scores = rulers.select_comparable(scores)
            protocols = tuple(dict.fromkeys(protocol for protocol, _ in comparable_scores))
        task = Task(cell, protocols=protocols, output=stored.output or None)
        task = dataclasses.replace(task, output_digest=stored.output_digest)
        tasks.append(dataclasses.replace(task, method=methods[cell].id) if is_restored else task)
    return tasks


def _draw_rescored_cells(
    candidates: Sequence[Cell],
    restored_cells: set[Cell],
    count: int | None,
    random: np.random.Generator,
) -> set[Cell]:
    """Return the cells whose outputs are scored again; those that are restored are among them."""
    if count is None:
        return set(candidates)
    other_cells = [cell for cell in candidates if cell not in restored_cells]
    restored_count = len(candidates) - len(other_cells)
    return restored_cells | _draw(other_cells, max(0, count - restored_count), random)


def _draw(cells: Sequence[Cell], count: int, random: np.random.Generator) -> set[Cell]:
    if count >= len(cells):
        return set(cells)
    return {cells[number] for number in random.choice(len(cells), count, replace=False)}


def _select_cells_with_data(
    cells: Iterable[Cell], request: VerifyRequest, verification: Verification
) -> list[Cell]:
    """Return the cells whose data set can be read here; note the others."""
    reasons: dict[str, str | None] = {}
    cells_with_data: list[Cell] = []
    for cell in cells:
        if cell.dataset not in reasons:
            reasons[cell.dataset] = _explain_missing_data(cell.dataset, request.data)
        reason = reasons[cell.dataset]
        if reason is None:
            cells_with_data.append(cell)
        else:
            verification.left_out[f"cells of {cell.dataset}: {reason}"] += 1
    return cells_with_data


def _explain_missing_data(dataset: str, root: Path) -> str | None:
    """Return why a data set cannot be read here, None if it can."""
    try:
        create(DATASETS, dataset, root=root)[0].ids()
    except Exception as error:  # a plug-in may raise anything
        return describe_error(error)
    return None


def _select_restorable_cells(
    cells: Iterable[Cell], request: VerifyRequest, verification: Verification
) -> dict[Cell, PlannedMethod]:
    """Return the cells whose method is here as it was, with the method; note the others."""
    methods: dict[str, PlannedMethod | str] = {}
    restorable_cells: dict[Cell, PlannedMethod] = {}
    for cell in cells:
        if cell.method not in methods:
            methods[cell.method] = _look_up_method(cell.method, request.device)
        method = methods[cell.method]
        if isinstance(method, PlannedMethod) and not _is_method_of(method, cell):
            method = "its version, weights or parameters are others here"
        if isinstance(method, PlannedMethod):
            restorable_cells[cell] = method
        else:
            verification.left_out[f"cells of {cell.method} to restore: {method}"] += 1
    return restorable_cells


def _look_up_method(label: str, device: str) -> PlannedMethod | str:
    """Return the method that an id names here, or why there is none."""
    try:
        [method] = plan.select_methods([label])
        plan.require_precisions([method], device)
    except Exception as error:  # a plug-in may raise anything
        return describe_error(error)
    return "its pictures were made elsewhere" if method.card.made_elsewhere else method


def _is_method_of(method: PlannedMethod, cell: Cell) -> bool:
    return method.identity() == (
        cell.method_name,
        cell.checkpoint,
        cell.parameters,
        cell.method_version,
        cell.weights,
    )


class CurrentRulers:
    """Which stored scores can be computed again here, and mean the same."""

    def __init__(self, left_out: Counter[str]) -> None:
        """Begin.

        Args:
            left_out: told which scores cannot be compared, and why.
        """
        self._left_out = left_out
        self._rulers: dict[tuple[str, str], str] = {}
        self._obstacles: dict[tuple[str, str], str] = {}
        self._protocols: set[str] = set()

    def note_obstacles(self, stored_scores: Iterable[StoredScore]) -> None:
        """Note the scores that cannot be compared, and why."""
        for score in stored_scores:
            obstacle = self._explain(score)
            if obstacle is not None:
                self._left_out[f"scores {score.protocol} {score.measure}: {obstacle}"] += 1

    def select_comparable(
        self, stored_scores: Iterable[StoredScore]
    ) -> dict[tuple[str, str], StoredScore]:
        """Return (protocol, measure) -> score for those that can be compared."""
        return {
            (score.protocol, score.measure): score
            for score in stored_scores
            if self._explain(score) is None
        }

    def _explain(self, score: StoredScore) -> str | None:
        """Return why a score cannot be compared, None if it can."""
        self._read_protocol(score.protocol)
        key = (score.protocol, score.measure)
        if score.status == "unavailable":
            return "there is none, as the metric was not available"
        if key in self._obstacles:
            return self._obstacles[key]
        if key not in self._rulers:
            return "there is no such protocol or measure here; name its file with --plugin"
        if self._rulers[key] != score.ruler:
            return "the metric, its weights or the protocol are of another version here"
        return None

    def _read_protocol(self, name: str) -> None:
        if name in self._protocols:
            return
        self._protocols.add(name)
        if name not in PROTOCOLS.names():
            return
        protocol = PROTOCOLS.get(name)
        self._rulers |= runner.describe_rulers({name: protocol})
        for measure in protocol.measures:
            reason = create_metric(measure.metric).unavailable()
            if reason is not None:
                self._obstacles[name, measure.key] = f"not available here: {reason}"


# What comes of it
# --------------------------------------------------------------------------------------------------


def _note_output(
    verification: Verification, task: Task, check: CellCheck, cell_of_digest: Mapping[str, Cell]
) -> None:
    if task.output is None:
        return
    reason = check.output_reason
    other_cell = cell_of_digest.get(check.output_digest or "")
    if check.output == "damaged" and other_cell is not None:
        reason = f"holds the output of {name_cell(other_cell)}"
    fault = OutputFault(task.output, task.cell, reason)
    match check.output:
        case "equal":
            verification.equal_outputs += 1
        case "undigested":
            verification.undigested_outputs += 1
        case "missing":
            verification.missing_outputs.append(fault)
        case "damaged":
            verification.damaged_outputs.append(fault)


def _note_scores(
    verification: Verification,
    task: Task,
    check: CellCheck,
    stored_scores: Mapping[tuple[str, str], StoredScore],
) -> None:
    if not check.scores:
        return
    verification.rescored_cells += 1
    comparison = verification.scores
    for protocol, scores in check.scores.items():
        for score in scores:
            if score.status == "unavailable" and (protocol, score.key) in stored_scores:
                verification.left_out[f"scores {protocol} {score.key}: {score.reason}"] += 1
    for stored, score in _pair_scores(stored_scores, check.scores):
        verdict = _compare_scores(comparison, stored, score, verification.tolerance)
        comparison.add(
            verdict,
            f"{name_cell(task.cell)}: {stored.protocol} {stored.measure} is "
            f"{_describe_score(stored)} in the run, {_describe_score(score)} now",
        )


def _note_restoration(
    verification: Verification,
    task: Task,
    check: CellCheck,
    stored_scores: Mapping[tuple[str, str], StoredScore],
) -> None:
    restoration = check.restoration
    if restoration is None:
        return
    comparison = verification.restorations
    if restoration.difference is not None:
        comparison.note_difference(PIXELS, restoration.difference)
    pixel_verdict = _judge_pixels(restoration, task.output_digest, verification.tolerance)
    verdicts = [] if pixel_verdict is None else [pixel_verdict]
    pairs = _pair_scores(stored_scores, restoration.scores)
    for stored, score in pairs:
        verdicts.append(_compare_scores(comparison, stored, score, verification.tolerance))
    if not verdicts:
        verification.left_out["cells restored again: nothing to compare them with"] += 1
        return
    line = f"{name_cell(task.cell)}: {_describe_restoration(restoration.difference, pairs)}"
    comparison.add(max(verdicts, key=_BEST_FIRST.index), line)


def _judge_pixels(restoration: Restoration, digest: str | None, tolerance: float) -> Verdict | None:
    """Return how a restored picture compares with what was made before, None where that is not
    known.
    """
    if restoration.digest == digest or (digest is None and restoration.difference == 0):
        return "equal"
    if restoration.difference is None:
        return None if digest is None else "close"  # the scores say how far
    return "close" if restoration.difference <= tolerance else "different"


def _describe_restoration(pixels: float | None, pairs: Iterable[tuple[StoredScore, Score]]) -> str:
    parts = [] if pixels is None else [f"pixels differ by up to {pixels:.2g}"]
    for stored, score in pairs:
        if stored.value != score.value:
            texts = f"{_describe_score(stored)} in the run, {_describe_score(score)} now"
            parts.append(f"{stored.protocol} {stored.measure} {texts}")
    return "; ".join(parts)


def _pair_scores(
    stored_scores: Mapping[tuple[str, str], StoredScore],
    scores_of_protocols: Mapping[str, Sequence[Score]],
) -> list[tuple[StoredScore, Score]]:
    return [
        (stored_scores[protocol, score.key], score)
        for protocol, scores in scores_of_protocols.items()
        for score in scores
        if (protocol, score.key) in stored_scores and score.status != "unavailable"
    ]


def _compare_scores(
    comparison: Comparison, stored: StoredScore, score: Score, tolerance: float
) -> Verdict:
    """Return how two scores compare; the comparison learns how far they lie apart."""
    if stored.value is None or score.value is None:
        return "equal" if stored.status == score.status else "different"
    difference = abs(stored.value - score.value)
    comparison.note_difference(f"{stored.protocol} {stored.measure}", difference)
    if difference == 0:
        return "equal"
    return "close" if difference <= tolerance * max(1.0, abs(stored.value)) else "different"


def _describe_score(score: StoredScore | Score) -> str:
    return score.status if score.value is None else f"{score.value:.9g}"


# Inside a worker
# --------------------------------------------------------------------------------------------------

OutputState = Literal["equal", "undigested", "missing", "damaged", "none", "unchecked"]


class Restoration(NamedTuple):
    """What a method made of a cell now: its digest, the largest difference of a pixel from the
    stored output (None where that cannot be told), and its scores.
    """

    digest: str
    difference: float | None
    scores: Mapping[str, Sequence[Score]]


@dataclasses.dataclass(frozen=True, slots=True)
class CellCheck:
    """What a worker found of a cell.

    Attributes:
        output: what the stored output is: the same as was written; read, but without a digest to
            compare with; not there; not what was written; never kept; or not looked at.
        output_reason: what is wrong with it.
        output_digest: of what the file holds.
        scores: of the stored output, computed now, by protocol.
        restoration: what the method made now.
        problems: what could not be computed again.
    """

    output: OutputState
    output_reason: str = ""
    output_digest: str | None = None
    scores: Mapping[str, Sequence[Score]] = dataclasses.field(default_factory=dict)
    restoration: Restoration | None = None
    problems: tuple[str, ...] = ()


def check_cell(task: Task) -> CellCheck:
    """Check the stored output of a cell, score it again under the task's protocols, and restore it
    again where the task has a method.
    """
    check, output = _check_output(task)
    if task.protocols and output is not None:
        try:
            scores = _score_again(task, output)
            check = dataclasses.replace(check, scores=scores)
        except BaseException as error:  # also what is meant to end a program
            problem = f"scoring: {outcome_of_error(error).reason}"
            check = dataclasses.replace(check, problems=(problem,))
    if task.method is not None:
        try:
            restoration = _restore_again(task, output)
            check = dataclasses.replace(check, restoration=restoration)
        except BaseException as error:  # also what is meant to end a program
            problem = f"restoring: {outcome_of_error(error).reason}"
            check = dataclasses.replace(check, problems=(*check.problems, problem))
    return check


def _check_output(task: Task) -> tuple[CellCheck, Picture | None]:
    """Return what the stored output of a task is, and the picture if it is sound."""
    if task.output is None:
        return CellCheck("none"), None
    try:
        path = path_in_run(worker.current_settings().folder, task.output)
        if not path.exists():
            return CellCheck("missing", "is not there"), None
        picture = imageio.read_output(path)
    except DataError as error:
        return CellCheck("damaged", str(error)), None
    digest = imageio.digest_array(picture)
    if task.output_digest is None:
        return CellCheck("undigested", output_digest=digest), picture
    if digest != task.output_digest:
        reason = "does not hold the pixels that were written"
        return CellCheck("damaged", reason, digest), None
    return CellCheck("equal", output_digest=digest), picture


def _score_again(task: Task, output: Picture) -> Mapping[str, Sequence[Score]]:
    track = Track.parse(task.cell.track)
    return worker.score_output(task, output, track.read(worker.load_sample(task)), track)


def _restore_again(task: Task, output: Picture | None) -> Restoration:
    sample, track, method, observation = worker.prepare_cell(task)
    picture = method.restore(observation)
    new_output = track.finish(picture, sample.image.shape[:2])
    difference = None
    if output is not None and np.array_equal(output, imageio.round_to_half(output)):
        new_output = imageio.round_to_half(new_output)  # as `--keep-outputs float16` did
    if output is not None and output.shape == new_output.shape:
        difference = float(np.abs(output.astype(np.float64) - new_output).max())
    scores = worker.score_output(task, new_output, sample, track)
    return Restoration(imageio.digest_array(new_output), difference, scores)


# Telling
# --------------------------------------------------------------------------------------------------


def describe_verification(verification: Verification) -> list[str]:
    """Return what came of a verification as lines of at most 79 characters, longer only where a
    path or a name is.
    """
    verdict = "all that was checked agrees" if verification.agrees else "something differs"
    lines = [
        *_wrap(f"{verification.folder}: {verdict}"),
        *_describe_held(verification),
        *_describe_scores(verification),
        *_describe_restorations(verification),
        *_describe_list("could not be computed again", verification.failures),
    ]
    left_out = [f"{count} {text}" for text, count in verification.left_out.items()]
    lines += _describe_list("not checked", left_out)
    lines += _describe_list("what differs between the run and here", verification.changes)
    if not verification.changes:
        lines.append("versions, processor and threads are those of the run")
    return lines


def _describe_held(verification: Verification) -> list[str]:
    if verification.bundle is None:
        return _describe_outputs(verification)
    check = verification.bundle
    lines = _wrap(
        f"files: {check.files} of {check.files} are what the manifest says, written by version "
        f"{check.suite} of the suite"
    )
    if check.strays:
        lines += _wrap(f"no part of the bundle: {', '.join(map(ascii, check.strays))}")
    verdict = "all are what their measures can be" if not check.faults else "not all can be"
    lines += _wrap(f"scores: {check.scores}, {verdict}")
    lines += _describe_list("cannot be", check.faults)
    return lines + _wrap(
        "not checked: whether pictures give these scores, as a bundle holds none; `--restore N` "
        "restores N cells again where data and weights are at hand"
    )


def _describe_outputs(verification: Verification) -> list[str]:
    damaged, missing = verification.damaged_outputs, verification.missing_outputs
    sound_count = verification.equal_outputs + verification.undigested_outputs
    count = sound_count + len(damaged) + len(missing)
    text = (
        f"outputs: {verification.equal_outputs} of {count} are what was written, "
        f"{len(damaged)} damaged, {len(missing)} missing"
    )
    if verification.undigested_outputs:
        text += (
            f"; {verification.undigested_outputs} can be read, and have no digest, as an earlier "
            "release wrote them"
        )
    if verification.without_output:
        text += f"; {verification.without_output} of {verification.cells} cells kept none"
    lines = _wrap(text)
    lines += _describe_list("damaged", [f"{each.output}: {each.reason}" for each in damaged])
    lines += _describe_list("missing", [each.output for each in missing])
    if verification.set_aside:
        renamed = count_noun(len(verification.set_aside), "damaged output")
        lines += _wrap(
            f"{renamed} renamed to *{_DAMAGED_SUFFIX}; the command that made the run makes what "
            "is missing again"
        )
    elif damaged:
        lines += _wrap(
            "`verify --set-aside` renames damaged outputs; the command that made the run then "
            "makes them again"
        )
    if missing and not verification.set_aside:
        lines += _wrap("the command that made the run makes missing outputs again")
    return lines


def _describe_scores(verification: Verification) -> list[str]:
    scores = verification.scores
    if not scores.count:
        return ["scored again: none"]
    outputs = count_noun(verification.rescored_cells, "output")
    text = f"scored again: {outputs}, {count_noun(scores.count, 'score')}"
    lines = _wrap(f"{text}: {_describe_counts(scores, verification.tolerance)}")
    return lines + _describe_comparison(scores)


def _describe_restorations(verification: Verification) -> list[str]:
    restorations = verification.restorations
    if not restorations.count:
        return ["restored again: none"]
    counts = _describe_counts(restorations, verification.tolerance)
    lines = _wrap(f"restored again: {count_noun(restorations.count, 'cell')}: {counts}")
    return lines + _describe_comparison(restorations)


def _describe_counts(comparison: Comparison, tolerance: float) -> str:
    return (
        f"{comparison.equal} equal bit for bit, {comparison.close} within {tolerance:g}, "
        f"{len(comparison.differences)} different"
    )


def _describe_comparison(comparison: Comparison) -> list[str]:
    lines = _describe_list("different", comparison.differences)
    if comparison.largest:
        largest = [f"{name} {value:.2g}" for name, value in sorted(comparison.largest.items())]
        lines += _wrap(f"largest difference: {', '.join(largest)}", indent="  ")
    return lines


def _describe_list(title: str, texts: Sequence[str]) -> list[str]:
    """Return a title and its texts below it; nothing without texts."""
    if not texts:
        return []
    lines = [f"  {title}:"]
    for text in texts[:_LONGEST_LIST]:
        lines += _wrap(text, indent="    ")
    if len(texts) > _LONGEST_LIST:
        lines.append(f"    and {len(texts) - _LONGEST_LIST} more")
    return lines


def _wrap(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
