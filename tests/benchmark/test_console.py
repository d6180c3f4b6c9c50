"""What is printed of progress: stage, counts, times by name, and a note of what was done last."""

from __future__ import annotations

import re

import pytest

from benchmark import console


def test_lines_name_stage_times_and_the_last_item(capsys: pytest.CaptureFixture[str]) -> None:
    items = console.track_progress("ab", 2, "restoring", describe=lambda item: f"method {item}")
    assert list(items) == ["a", "b"]
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "restoring: 2/2, elapsed 0 s, left 0 s; method b"


def test_a_note_is_not_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(console.track_progress("a", 1, "checking")) == ["a"]
    assert capsys.readouterr().err == "checking: 1/1, elapsed 0 s, left 0 s\n"
    assert list(console.track_progress("", 0, "checking")) == []
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (99.4, "99 s"), (100, "2 min"), (9000, "2.5 h")]
)
def test_times_are_short(seconds: float, text: str) -> None:
    assert console._format_seconds(seconds) == text


def test_the_bar_of_a_terminal_labels_its_times_and_fits_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = console.Console(stderr=True, force_terminal=True, width=80, color_system=None)
    monkeypatch.setattr(console, "err", terminal)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    note = "zhuo-sim:map=oracle,deconvolution=richardson-lucy[bold] +0.42 dB PSNR"
    items = console.track_progress("a", 1, "restoring", describe=lambda item: note)
    assert list(items) == ["a"]
    output = capsys.readouterr().err
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in re.split(r"[\r\n]", output)]
    last = [line for line in lines if "restoring" in line][-1]
    assert re.search(r"1/1 elapsed 0:00:00 left 0:00:00 zhuo-sim:\S*…", last), last
    assert len(last) <= 80
