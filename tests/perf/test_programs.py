"""The measuring programs themselves, with stand-ins for what takes long."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark.api import UsageError
from tests.perf import libraries, network_forms, networks, processes
from tests.perf.networks import Target
from tests.perf.processes import MeasurementError

COSTS = {
    "seconds": 2.0,
    "peak": 3e9,
    "rate": 1e12,
    "others": 0.0,
    "difference": 1e-6,
    "first": 3.0,
}


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (Target(1.0), "(no target)"),
        (Target(1.5, highest=1.5), "(target: at most 1.5)"),
        (Target(1.6, highest=1.5), "(target: at most 1.5: MISSED)"),
        (Target(float("nan"), highest=1.5), "(target: at most 1.5: MISSED)"),
        (Target(0.9, lowest=1), "(target: at least 1: MISSED)"),
        (Target(9e9, highest=8e9, unit=(1e9, " GB")), "(target: at most 8 GB: MISSED)"),
    ],
)
def test_a_target_says_whether_it_is_met(target: Target, text: str) -> None:
    assert str(target) == text


def test_every_target_is_one_of_a_network() -> None:
    names = {*networks.LONGEST_RATIOS, *networks.LONGEST_BF16_RATIOS}
    assert names <= set(network_forms.list_networks())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("restormr", "did you mean 'restormer'"),
        ("ebdb", "not a network; expected one of attnet"),
        ("srn:width=3", "no parameter of srn is called 'width'"),
    ],
)
def test_a_wrong_id_is_refused_before_anything_runs(
    text: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "report_network", pytest.fail)
    monkeypatch.setattr(libraries, "measure_row", pytest.fail)
    with pytest.raises(UsageError, match=message):
        networks.main(["srn", text])
    with pytest.raises(UsageError, match=message):
        libraries.main(["srn", text], None)


def test_a_network_is_drawn_alike_each_time_and_no_part_is_zero() -> None:
    method = network_forms.create_network_method("kpac")
    first = network_forms.draw_network(method)
    again = network_forms.draw_network(method)
    for value, other in zip(first.parameters(), again.parameters(), strict=True):
        assert value.any()
        assert torch.equal(value, other)


def test_a_difference_is_a_share_of_the_plain_scale(tmp_path: Path) -> None:
    output = torch.tensor([1.0, -4.0])
    plain_file = tmp_path / "plain.pt"
    assert network_forms.compare_with_plain(output, plain_file) is None
    torch.save(output, plain_file)
    difference = network_forms.compare_with_plain(output + 0.5, plain_file)
    assert difference == pytest.approx(0.125)


def test_a_process_reports_json_or_a_reason(tmp_path: Path) -> None:
    file = tmp_path / "costs.json"
    file.write_text('{"seconds": 2}')
    assert processes.measure_alone("json.tool", "--compact", file) == {"seconds": 2}
    with pytest.raises(MeasurementError, match="No module named no_such_module"):
        processes.measure_alone("no_such_module")
    with pytest.raises(MeasurementError, match="longer than"):
        processes.measure_alone("http.server", 0, longest=0.3)


def test_own_work_is_no_work_of_others() -> None:
    other_work = processes.read_other_work()
    started = time.perf_counter()
    while time.perf_counter() - started < 0.4:
        pass
    others = processes.read_other_work() - other_work
    # the kernel counts in steps of 10 ms, on each processor
    assert -0.2 < others < 0.2 + 0.4 * (os.cpu_count() or 1)


def test_a_report_sets_every_number_beside_its_target(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = iter((4.0, 2.0, 8.0))

    def measure(*_: object) -> Mapping[str, Any]:
        return {**COSTS, "seconds": next(seconds)}

    monkeypatch.setattr(networks, "measure_alone", measure)
    monkeypatch.setattr(networks, "count_macs", lambda _: 2e12)
    assert networks.main(["kpac"]) == 0
    text = capsys.readouterr().out
    assert "2.00 times as fast as plain (target: at least 1)" in text
    assert "1.0e-06 (target: at most 0.0001)" in text
    assert "8.00 s, 3.00 GB (target: at most 8 GB)" in text
    assert "4.00 times the 2.00 s of a 4096^3 product at 1000 GMAC/s" in text
    assert "(target: at most 3: MISSED)" in text
    assert "disturbed" not in text


def test_a_network_that_fails_is_named_and_the_rest_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(module: str, text: str, *_: object) -> Mapping[str, Any]:
        if text == "srn":
            raise MeasurementError("no memory")
        return {**COSTS, "others": 1.5}

    monkeypatch.setattr(networks, "measure_alone", measure)
    monkeypatch.setattr(networks, "count_macs", lambda _: 2e12)
    assert networks.main(["srn", "kpac"]) == 1
    text = capsys.readouterr().out
    assert "could not be measured: no memory" in text
    assert "disturbed: 1.5 processors busy otherwise, measure again" in text


def test_libraries_make_a_table_and_name_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(module: str, text: str, option: str, form: str, *_: object, **__: object) -> object:
        if form == "torch.compile":
            raise MeasurementError("RuntimeError: a | b")
        return COSTS

    packages = {"plain": (), "torch.compile": (), "ONNX Runtime": ("no_such_package",)}
    monkeypatch.setattr(libraries, "NEEDED_PACKAGES", packages)
    monkeypatch.setattr(libraries, "measure_alone", measure)
    table_file = tmp_path / "table.md"
    libraries.main(["kpac"], table_file)
    assert "ONNX Runtime is left out: not installed: no_such_package" in capsys.readouterr().out
    rows = table_file.read_text().splitlines()
    assert rows[2:] == [
        "| kpac | plain | 2.00 | 3.00 | 3.0 | 1e-06 |",
        "| kpac | torch.compile | no result: RuntimeError: a / b | | | |",
    ]
