"""Controls of imported weights: printed numbers and golden pictures against what is measured."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import benchmark
from benchmark import (
    checkpoint_import,
    checkpoints,
    cli,
    control_records,
    controls,
    imageio,
    plan,
)
from benchmark.api import (
    DataError,
    ExpectedInputs,
    GoldenPicture,
    ImporterCard,
    MethodCard,
    Observation,
    PrintedScore,
    UsageError,
)
from benchmark.controls import ControlSettings, check_controls
from benchmark.methods.learned.gkmnet_weights import GkmNetOfficial
from benchmark.registry import IMPORTERS, METHODS, create
from benchmark.results import notes
from tests.datasets import makers
from tests.methods.foreign_files import write_torch
from tests.methods.learned.test_gkmnet_weights import released

PRINTED = PrintedScore(
    dataset="dpd:partial=true", protocol="gkmnet", measure="psnr", value=0.0, tolerance=0.005,
    pictures=3, source="a test",
)  # fmt: skip
Import = Callable[..., None]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures of DPD test, of the test's own making."""
    names = makers.dpd_names("test")[:3]
    return makers.dpd(tmp_path_factory.mktemp("data"), names=names, size=(40, 32))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("release") / "weights.pth"
    write_torch(path, {name: value.numpy() for name, value in released().items()})
    return path


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(checkpoints.VARIABLE, str(tmp_path / "mine"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "mine"


def import_with(file: Path, *expected: PrintedScore | GoldenPicture) -> None:
    """Import the weights with these expectations."""

    class Expecting(GkmNetOfficial):
        card: ImporterCard = dataclasses.replace(GkmNetOfficial.card, expected=expected)

    with IMPORTERS.temporarily({"expecting": Expecting}):
        checkpoint_import.import_checkpoint("expecting", file, force=True)


@pytest.fixture
def import_weights(file: Path) -> Import:
    return functools.partial(import_with, file)


@pytest.fixture(scope="module")
def measured(file: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> float:
    """The mean PSNR of the weights, measured before anything is printed."""
    folder = tmp_path_factory.mktemp("measured")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(checkpoints.VARIABLE, str(folder))
        import_with(file)
        results = benchmark.run(
            "gkmnet.official",
            PRINTED.dataset,
            protocol="gkmnet",
            root=data,
            out=folder / "run",
            jobs=1,
        )
    scores = results.scores()
    values = scores.loc[scores["measure"] == "psnr", "value"]
    assert len(values) == 3
    return float(values.mean())


def control(data: Path) -> str:
    """Return the one verdict on the weights."""
    [verdict] = check_controls("gkmnet.official", ControlSettings(data=data, jobs=1)).verdicts
    assert verdict.text.startswith(verdict.answer)
    return verdict.text


@pytest.mark.slow
def test_a_number_within_its_tolerance_is_reproduced(
    measured: float, import_weights: Import, data: Path
) -> None:
    printed = round(measured, 2)
    import_weights(dataclasses.replace(PRINTED, value=printed))
    assert control(data) == f"reproduces {printed:g} dB: {measured:.3f} on 3 pictures"


@pytest.mark.slow
def test_another_number_differs_by_so_much(
    measured: float, import_weights: Import, data: Path
) -> None:
    printed = round(measured + 0.4, 2)
    import_weights(dataclasses.replace(PRINTED, value=printed))
    assert control(data) == (
        f"differs by {printed - measured:.2g} dB: printed {printed:g}, measured {measured:.3f} on "
        "3 pictures"
    )


@pytest.mark.slow
def test_other_pictures_than_the_printed_ones_tell_nothing(
    import_weights: Import, data: Path, folder: Path, tmp_path: Path
) -> None:
    import_weights(dataclasses.replace(PRINTED, pictures=4))
    assert control(data) == "cannot be told: 3 of 4 pictures"
    assert control(tmp_path).startswith("cannot be told: DPD: no test pictures")
    assert not list(folder.glob("*.control.json"))


@pytest.mark.slow
def test_tables_show_what_the_control_has_told(
    measured: float,
    import_weights: Import,
    data: Path,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import_weights(dataclasses.replace(PRINTED, value=round(measured, 2)))

    def run_command(*words: str) -> int | str | None:
        monkeypatch.setattr(sys, "argv", ["benchmark", *words])
        monkeypatch.setenv("COLUMNS", "300")
        with pytest.raises(SystemExit) as ended:
            cli.app_main()
        return ended.value.code

    run = (
        "run", "--methods", "gkmnet.official,input", "--dataset", PRINTED.dataset,
        "--data", str(data), "--protocol", "gkmnet", "--out", "run", "--jobs", "1", "--limit", "1",
    )  # fmt: skip
    assert run_command(*run) == 0
    assert "(not checked)" in capsys.readouterr().out
    words = ("control", "gkmnet.official", "--data", str(data), "--jobs", "1")
    assert run_command(*words) == 0
    text = capsys.readouterr().out
    assert "PSNR on dpd:partial=true, protocol gkmnet: reproduces" in text and "(a test)" in text
    assert run_command(*run) == 0
    text = capsys.readouterr().out
    assert "(reproduces)" in text and "not checked" not in text
    assert f"printed numbers: reproduces {round(measured, 2):g} dB" in text


@pytest.fixture
def scores_of_two_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run would have measured: 20 and 21 dB."""
    scores = pd.DataFrame({"measure": ["psnr", "psnr", "ssim_g11"], "value": [20.0, 21.0, 0.5]})
    monkeypatch.setattr(controls, "_measure", lambda *_: scores)


@pytest.mark.usefixtures("scores_of_two_pictures")
@pytest.mark.parametrize(
    ("printed", "pictures", "says"),
    [
        (20.5, 2, "reproduces 20.5 dB: 20.500 on 2 pictures"),
        (20.505, 2, "reproduces 20.505 dB: 20.500 on 2 pictures"),
        (20.9, 2, "differs by 0.4 dB: printed 20.9, measured 20.500 on 2 pictures"),
        (20.1, 2, "differs by 0.4 dB: printed 20.1, measured 20.500 on 2 pictures"),
        (20.5, 3, "cannot be told: 2 of 3 pictures"),
        (20.5, 1, "cannot be told: 2 of 1 pictures"),
    ],
)
def test_what_is_said_of_a_number(
    printed: float, pictures: int, says: str, import_weights: Import, tmp_path: Path
) -> None:
    import_weights(dataclasses.replace(PRINTED, value=printed, pictures=pictures, tolerance=0.01))
    assert control(tmp_path) == says


@pytest.mark.usefixtures("scores_of_two_pictures")
def test_a_record_is_of_one_file_of_weights(
    import_weights: Import, data: Path, folder: Path
) -> None:
    import_weights(dataclasses.replace(PRINTED, value=20.5, pictures=2))
    control(data)
    assert describe("gkmnet.official").startswith("reproduces")
    assert describe("gkmnet.official:bn=running") == "not checked", "this one was not controlled"
    import_weights(dataclasses.replace(PRINTED, value=1.0))
    assert describe("gkmnet.official") == "not checked"
    (folder / "gkmnet.official.control.json").write_text("{")
    with pytest.raises(DataError, match="not a readable record"):
        describe("gkmnet.official")


def describe(method: str) -> str:
    """Return what tables are told of the controls of a method."""
    [planned_method] = plan.select_methods([method])
    return planned_method.card.control


@pytest.mark.parametrize(
    ("control", "label"),
    [
        ("reproduces 20.5 dB: 20.500 on 2 pictures", "reproduces"),
        ("differs by 0.4 dB: printed 20.9, measured 20.500 on 2 pictures", "differs"),
        ("not checked; cannot be told: 2 of 3 pictures", "not checked"),
        ("not checked", "not checked"),
        ("", ""),
    ],
)
def test_the_label_beside_a_row(control: str, label: str) -> None:
    card = MethodCard(title="A", family="learned", control=control)
    assert notes.control_label(card) == label


def test_what_stands_under_a_table() -> None:
    expects = ExpectedInputs(order="bgr", bits=16)
    cards = {
        "a": MethodCard(title="A", family="learned", control="not checked", expects=expects),
        "b": MethodCard(title="B", family="learned"),
        "c": MethodCard(title="C", family="learned", control="reproduces X"),
    }
    assert list(notes.weights_lines(cards)) == [
        "Weights of a: expect [0, 1]; BGR; 16 bit; printed numbers: not checked.",
        "Weights of c: printed numbers: reproduces X.",
    ]


def test_the_worst_of_several_verdicts_is_shown() -> None:
    def describe_record(*answers: str) -> str:
        verdicts = [
            {"answer": answer, "text": f"{answer} X", "subject": "S", "source": ""}
            for answer in answers
        ]
        record = json.dumps({"weights": "", "method": "", "verdicts": verdicts})
        return control_records.ControlRecord.model_validate_json(record).describe()

    assert describe_record("reproduces", "differs", "cannot be told") == "differs X (S)"
    assert describe_record("cannot be told", "reproduces") == "reproduces X (S)"
    assert describe_record("cannot be told") == "not checked; cannot be told X"


def test_weights_without_printed_numbers_have_nothing_to_control(
    import_weights: Import, data: Path
) -> None:
    import_weights()
    for method in ("gkmnet.official", "input"):
        with pytest.raises(UsageError, match="nothing is known that its weights should give"):
            check_controls(method, ControlSettings(data=data))


@pytest.mark.slow
def test_a_whole_data_set_is_reproduced(file: Path, import_weights: Import, tmp_path: Path) -> None:
    """Printed as the mean over the official 76 scenes; without one of them nothing is told."""
    root = makers.dpd(tmp_path / "data", size=(40, 32))
    import_weights()
    results = benchmark.run("gkmnet.official", "dpd", protocol="gkmnet", root=root, jobs=1)
    scores = results.scores()
    printed = round(float(scores.loc[scores["measure"] == "psnr", "value"].mean()), 2)
    score = dataclasses.replace(PRINTED, dataset="dpd", pictures=76, value=printed)
    import_weights(score)
    assert re.fullmatch(rf"reproduces {printed:g} dB: \S+ on 76 pictures", control(root))
    next(root.rglob("test_c/source/*.png")).unlink()
    assert control(root).startswith("cannot be told: ")


# Golden pictures
# --------------------------------------------------------------------------------------------------


@pytest.fixture
def golden_folder(import_weights: Import, tmp_path: Path) -> Path:
    """A picture, and what the weights make of its upper left part."""
    import_weights()
    picture = np.random.default_rng(0).random((50, 40, 3)).astype(np.float32)
    imageio.write(tmp_path / "blurred.png", picture, 8)
    method = create(METHODS, "gkmnet.official")[0]
    method.prepare("cpu")
    stored = imageio.read(tmp_path / "blurred.png")[0]
    restored = method.restore(Observation(np.ascontiguousarray(stored[:48, :32])))
    imageio.write(tmp_path / "restored.png", restored.clip(0, 1), 8)
    return tmp_path


@pytest.mark.parametrize(("tolerance", "answer"), [(0.3, "reproduces"), (1e-6, "differs from")])
def test_a_golden_picture_is_made_again(
    tolerance: float, answer: str, golden_folder: Path, import_weights: Import
) -> None:
    """Rounding to 8 bits changes it by half a level at most."""
    golden = GoldenPicture(
        input="blurred.png", output="restored.png", tolerance=tolerance, source="a test"
    )
    import_weights(golden)
    text = control(golden_folder)
    match = re.fullmatch(rf"{answer} restored.png by (\S+) of 255 in the mean", text)
    assert match is not None and 0.001 < float(match[1]) < 0.3


def test_a_golden_picture_that_is_not_there_tells_nothing(
    golden_folder: Path, import_weights: Import
) -> None:
    import_weights(GoldenPicture(input="none.png", output="none.png", tolerance=1, source=""))
    assert control(golden_folder).startswith("cannot be told: ")
