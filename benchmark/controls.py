"""Do imported weights give what was printed for them? The command `control`.

A number is measured again on its data set under its protocol; a golden picture is made again from
its input. Nothing is fitted: the verdict compares a difference with the tolerance on the card.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark import apply, control_records, imageio
from benchmark.api import (
    DataError,
    ExpectedInputs,
    GoldenPicture,
    MethodCard,
    Observation,
    PrintedScore,
    UsageError,
)
from benchmark.checkpoints import Checkpoint
from benchmark.control_records import Answer, Verdict
from benchmark.engines.local import LocalEngine
from benchmark.metrics.protocols import Protocol
from benchmark.noise import Noise
from benchmark.registry import METHODS, PROTOCOLS, build_plugin, create
from benchmark.results import read_results
from benchmark.run_layout import default_results_folder, file_name
from benchmark.running import RunRequest, run_methods
from benchmark.spec import ResolvedId
from benchmark.stored_cards import describe_protocol

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlSettings:
    """How controls are run.

    Attributes:
        data: the folder that holds data sets and golden pictures.
        out: the folder of the runs; None for `results/controls/ID`.
        jobs, device, plugins: as for `benchmark.running.RunRequest`.
    """

    data: Path
    out: Path | None = None
    jobs: int = 0
    device: str = "auto"
    plugins: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class ControlReport:
    """What was found.

    Attributes:
        method: canonical id.
        verdicts: one for each number and picture on the card of the weights.
        record: the file that keeps them; None if none could be told.
    """

    method: str
    verdicts: tuple[Verdict, ...]
    record: Path | None

    def reproduces(self) -> bool:
        """Return whether everything that was expected was found."""
        return all(verdict.answer == "reproduces" for verdict in self.verdicts)

    def lines(self) -> list[str]:
        """Return the verdicts, for people."""
        verdicts = [
            f"{verdict.subject}: {verdict.text} ({verdict.source})" for verdict in self.verdicts
        ]
        return [*verdicts, *([f"written: {self.record}"] if self.record else [])]


def check_controls(method: str, settings: ControlSettings) -> ControlReport:
    """Measure what weights should give, and keep the verdicts beside them.

    Args:
        method: id of a method with imported weights.
        settings: see there.

    Raises:
        UsageError: unknown id, or weights for which nothing was printed.
        DataError: damaged data or weights.
    """
    instance, resolved_id = create(METHODS, method)
    checkpoint = resolved_id.arguments.get("checkpoint")
    if not isinstance(checkpoint, Checkpoint) or not checkpoint.card.expected:
        raise UsageError(
            f"{resolved_id.label}: nothing is known that its weights should give; `list importers` "
            "shows weights with printed numbers"
        )
    verdicts = (
        *_check_scores(resolved_id, instance.card, checkpoint, settings),
        *_check_golden_pictures(resolved_id, checkpoint, settings),
    )
    record = None
    if any(verdict.answer != "cannot be told" for verdict in verdicts):
        record = control_records.write_record(checkpoint.path, resolved_id.label, verdicts)
    return ControlReport(resolved_id.label, verdicts, record)


# Printed numbers
# --------------------------------------------------------------------------------------------------


def _check_scores(
    resolved_id: ResolvedId, card: MethodCard, checkpoint: Checkpoint, settings: ControlSettings
) -> Iterator[Verdict]:
    expected = checkpoint.card.expected or ()
    groups: dict[tuple[str, str], list[PrintedScore]] = {}
    for item in expected:
        if isinstance(item, PrintedScore):
            groups.setdefault((item.dataset, item.protocol), []).append(item)
    for (dataset, protocol_id), scores in groups.items():
        protocol = PROTOCOLS.get(protocol_id)
        try:
            rows = _measure(resolved_id.label, card.expects, dataset, protocol, settings)
        except DataError as error:
            reason = str(error).splitlines()[0]
            yield from (_leave_open(score, protocol, reason) for score in scores)
        else:
            yield from (_judge_score(score, protocol, rows) for score in scores)


def _measure(
    method: str,
    expects: ExpectedInputs | None,
    dataset: str,
    protocol: Protocol,
    settings: ControlSettings,
) -> pd.DataFrame:
    """Return the scores of a method on a whole data set."""
    folder = settings.out or default_results_folder(file_name(method), "controls")
    run = run_methods(
        RunRequest(
            methods=(method,),
            dataset=dataset,
            noises=(Noise(),),
            protocols={protocol.id: protocol},
            depth=_choose_depth(protocol, expects),
            data=settings.data,
            out=folder / file_name(f"{dataset}-{protocol.id}"),
            engine=LocalEngine(settings.jobs),
            device=settings.device,
            plugins=settings.plugins,
        )
    )
    scores = read_results(run.folder).scores()
    return scores[(scores["method"] == run.methods[0]) & (scores["status"] == "ok")]


def _choose_depth(protocol: Protocol, expects: ExpectedInputs | None) -> str | None:
    """Return the depth that the printed numbers used, where the protocol leaves it open."""
    if expects is None or expects.bits is None:
        return None
    depth = f"u{expects.bits}"
    return depth if depth in [track.depth for track in protocol.tracks] else None


def _judge_score(score: PrintedScore, protocol: Protocol, rows: pd.DataFrame) -> Verdict:
    values = rows.loc[rows["measure"] == score.measure, "value"]
    if len(values) != score.pictures:
        return _leave_open(score, protocol, f"{len(values)} of {score.pictures} pictures")
    measure = describe_protocol(protocol).measures[score.measure]
    mean = float(values.mean())
    difference = abs(mean - score.value)
    unit = f" {measure.unit}" if measure.unit else ""
    number = f"{mean:.{measure.digits + 1}f}"
    if difference <= score.tolerance:
        text = f"reproduces {score.value:g}{unit}: {number} on {score.pictures} pictures"
        return _make_verdict(score, protocol, "reproduces", text)
    text = (
        f"differs by {difference:.2g}{unit}: printed {score.value:g}, measured {number} on "
        f"{score.pictures} pictures"
    )
    return _make_verdict(score, protocol, "differs", text)


def _leave_open(score: PrintedScore, protocol: Protocol, reason: str) -> Verdict:
    return _make_verdict(score, protocol, "cannot be told", f"cannot be told: {reason}")


def _make_verdict(score: PrintedScore, protocol: Protocol, answer: Answer, text: str) -> Verdict:
    title = describe_protocol(protocol).measures[score.measure].title
    subject = f"{title} on {score.dataset}, protocol {protocol.id}"
    return Verdict(answer=answer, text=text, subject=subject, source=score.source)


# Golden pictures
# --------------------------------------------------------------------------------------------------


def _check_golden_pictures(
    resolved_id: ResolvedId, checkpoint: Checkpoint, settings: ControlSettings
) -> Iterator[Verdict]:
    expected = checkpoint.card.expected or ()
    golden_pictures = [item for item in expected if isinstance(item, GoldenPicture)]
    if not golden_pictures:
        return
    method = build_plugin(METHODS, resolved_id)
    prepared_method = apply.prepare_for_user(method, resolved_id.label, settings.device)
    for golden in golden_pictures:
        try:
            difference = _compare_with_golden(prepared_method, golden, settings.data)
        except DataError as error:
            answer: Answer = "cannot be told"
            text = f"cannot be told: {error}"
        else:
            answer, text = _judge_difference(difference, golden)
        yield Verdict(answer=answer, text=text, subject=golden.output, source=golden.source)


def _compare_with_golden(
    prepared_method: apply.PreparedMethod, golden: GoldenPicture, folder: Path
) -> float:
    """Return the mean absolute difference from what the authors' program made, in the unit of its
    tolerance.
    """
    picture, bit_depth = imageio.read(folder / golden.input)
    result = imageio.read(folder / golden.output)[0].astype(np.float64)
    height, width = result.shape[:2]
    if height > picture.shape[0] or width > picture.shape[1]:
        raise DataError(f"{golden.output}: is larger than {golden.input}; get the files again")
    observation = Observation(np.ascontiguousarray(picture[:height, :width]), bit_depth=bit_depth)
    if golden.kind == "picture":
        restored = prepared_method.restore(observation).clip(0, 1)
        return float(255 * np.abs(restored - result).mean())
    slope, offset = golden.map_scale
    sigma = np.maximum(slope * result[..., 0] + offset, 0)
    return float(np.abs(prepared_method.estimate_blur(observation) - sigma).mean())


def _judge_difference(difference: float, golden: GoldenPicture) -> tuple[Answer, str]:
    unit = "px of sigma" if golden.kind == "map" else "of 255"
    text = f"{golden.output} by {difference:.2g} {unit} in the mean"
    if difference <= golden.tolerance:
        return "reproduces", f"reproduces {text}"
    return "differs", f"differs from {text}"
