"""The board in a real browser, opened from disk: sort, filter, plots, links, copies, keys.

Needs what the tests of the comparison page need. Screenshots are kept in the folder that
BENCHMARK_SCREENSHOTS names.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from benchmark.reports.board import write_board
from benchmark.results.publication import publish_id
from benchmark.results.results import read_record
from tests.reports.board.board_runs import make_large_record, make_noisy_run
from tests.reports.page.page_runs import HOSTILE_METHOD, HOSTILE_SAMPLE, make
from tests.reports.page.test_page_browser import Opened, browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

__all__ = ["browser"]  # a fixture, shared with the tests of the comparison page
pytestmark = [pytest.mark.browser, pytest.mark.slow]
MEASURED = Path(__file__).parents[3] / "results" / "measured"
HOSTILE = publish_id(HOSTILE_METHOD)
FIRST = "set · noise 0"
SECOND = "set · noise 5"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A board in a folder whose own name means something in URLs."""
    run = make_noisy_run(tmp_path_factory.mktemp("run") / "run")
    return write_board([read_record(run)], tmp_path_factory.mktemp("site") / "tábla #1 100% ?")


@pytest.fixture(scope="module")
def measured_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The board of committed exports, with costs, noise levels and published numbers."""
    names = ("equal_budget", "kodak24", "demo")
    records = [read_record(MEASURED / name / "scores.parquet") for name in names]
    return write_board(records, tmp_path_factory.mktemp("site"), cost_folder=MEASURED / "cost")


def open_board(browser: Browser, index: Path, **context: Any) -> Iterator[Page]:
    """Yield a board; whatever it complains of, or asks of a network, fails the test."""
    opened = Opened(browser, **context)
    opened.context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened.page.goto(index.as_uri())
    yield opened.page
    trouble = list(opened.trouble)
    opened.context.close()
    assert trouble == []


@pytest.fixture
def page(browser: Browser, index: Path) -> Iterator[Page]:
    yield from open_board(browser, index)


@pytest.fixture
def measured(browser: Browser, measured_index: Path) -> Iterator[Page]:
    yield from open_board(browser, measured_index)


def keep_screenshot(page: Page, name: str) -> None:
    folder = os.environ.get("BENCHMARK_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"board_{name}.png")


def rows(page: Page) -> list[str]:
    """Return the first cell of every line of the first table, without what follows a name."""
    return page.locator("#screen table").first.locator("tbody th a").all_inner_texts()


def read_hash(page: Page) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(urlsplit(page.url).fragment).items()}


def head(page: Page, name: str) -> Locator:
    """Return the button of the column of a data set at a noise level."""
    return page.locator("#screen table").first.locator("thead button", has_text=name)


def pasted(page: Page) -> str:
    return str(page.evaluate("navigator.clipboard.readText()"))


def exported(page: Page, form: str) -> str:
    page.locator("#screen .sheet").first.get_by_role("button", name=form, exact=True).click()
    return page.locator("#export textarea").input_value()


def cells(page: Page, method: str) -> list[str]:
    line = page.locator("#screen tbody tr", has=page.get_by_role("link", name=method, exact=True))
    return [text.split("\n")[0] for text in line.locator("td").all_inner_texts()]


# Sort and filter
# --------------------------------------------------------------------------------------------------


def test_the_first_look_is_sorted_by_gain(page: Page) -> None:
    assert rows(page) == ["a", "b", "input"]
    assert cells(page, "a") == ["1", "+4.000", "+3.000"]
    assert cells(page, "input") == ["–", "21.500", "19.500"]
    assert page.locator("#count").inner_text() == "3 of 4 methods"


def test_columns_sort_both_ways_and_what_has_no_gain_stays_last(page: Page) -> None:
    head(page, "noise 5").click()
    assert rows(page) == ["b", "a", "input"]
    assert cells(page, "b")[0] == "1", "its place at that noise level"
    head(page, "noise 5").click()
    assert rows(page) == ["a", "b", "input"]
    assert head(page, "noise 5").locator("..").get_attribute("aria-sort") == "ascending"
    assert read_hash(page) == {"sort": SECOND, "order": "ascending"}
    page.locator("#screen thead button", has_text="Method").click()
    page.locator("#screen thead button", has_text="Method").click()
    assert rows(page) == ["input", "b", "a"]


@pytest.mark.parametrize(
    ("name", "value", "left"),
    [
        ("family", "classical", ["b"]),
        ("inputs", "views", ["b"]),
        ("trained", "DPD train", ["a"]),
        ("since", "2020", ["a"]),
        ("licence", "MIT", ["a"]),
    ],
)
def test_methods_are_filtered_by_facts_of_their_cards(
    page: Page, name: str, value: str, left: list[str]
) -> None:
    page.locator(f"#controls [name={name}]").select_option(value)
    assert rows(page) == left
    assert read_hash(page)[name] == value
    page.locator("#reset").click()
    assert rows(page) == ["truth", "a", "b", "input"]


def test_rulers_are_a_switch_and_names_are_found(page: Page) -> None:
    page.get_by_label("Rulers").check()
    assert rows(page) == ["truth", "a", "b", "input"]
    assert cells(page, "truth")[0] == "–", "it does not compete"
    page.locator("#controls [name=find]").fill("TRU")
    assert rows(page) == ["truth"]
    page.get_by_label("Rulers").uncheck()
    assert rows(page) == []


def test_means_and_other_measures_are_shown(page: Page) -> None:
    page.locator("#controls [name=show]").select_option("mean")
    assert cells(page, "a")[1:] == ["25.500", "22.500"]
    page.locator("#controls [name=measure]").select_option("ours SSIM")
    assert cells(page, "a")[1:] == ["0.255", "0.225"]


# Links
# --------------------------------------------------------------------------------------------------


def test_a_link_keeps_sort_filter_and_picture(browser: Browser, page: Page, index: Path) -> None:
    page.get_by_label("Rulers").check()
    page.locator("#controls [name=family]").select_option("classical")
    head(page, "noise 5").click()
    page.get_by_role("link", name="b", exact=True).click()
    page.locator("#screen section", has_text="Pictures").get_by_role("link", name="three").click()
    address = page.url
    other = browser.new_page()
    other.goto(address)
    assert other.locator("#screen h2").inner_text() == "b"
    assert other.locator("tr[aria-current]").locator("th").inner_text() == "three"
    other.get_by_role("button", name="All methods").click()
    assert rows(other) == ["truth", "b"]
    assert head(other, "noise 5").locator("..").get_attribute("aria-sort") == "descending"
    other.go_back()
    assert other.locator("tr[aria-current]").locator("th").inner_text() == "three"
    other.close()


def test_an_address_that_names_what_is_not_there_shows_what_is(page: Page) -> None:
    page.goto(page.url + "#method=gone&measure=gone&sort=gone&view=gone&family=gone")
    assert page.locator("#screen table").count() == 1
    page.goto(page.url.partition("#")[0] + "#sort=gone")
    assert rows(page) == ["a", "b", "input"]


# A method
# --------------------------------------------------------------------------------------------------


def test_a_method_has_its_card_control_results_commands_and_pictures(page: Page) -> None:
    page.get_by_role("link", name="b", exact=True).click()
    text = page.locator("#screen").inner_text()
    for part in ("dual-pixel views", "reproduces 24", "B, TIP 2013"):
        assert part in text, part
    results = page.locator("#screen .sheet").first
    assert [line.split("\t")[0] for line in results.locator("tbody tr").all_inner_texts()] == [
        FIRST, SECOND,
    ]  # fmt: skip
    pictures = page.locator("#screen .sheet").last.locator("tbody tr").all_inner_texts()
    assert [re.split(r"\s+", line.strip()) for line in pictures] == [
        ["four", "25.000", "23.000", "+2.000"],
        ["one", "22.000", "20.000", "+2.000"],
        ["three", "24.000", "22.000", "+2.000"],
        ["two", "23.000", "21.000", "+2.000"],
    ]
    page.locator("#screen select").select_option(SECOND)
    assert "+3.500" in page.locator("#screen .sheet").last.inner_text()


def test_commands_are_copied(page: Page) -> None:
    page.get_by_role("link", name="a", exact=True).click()
    page.get_by_role("button", name="Copy command").first.click()
    page.get_by_role("button", name="Copied").wait_for()
    assert pasted(page) == "python -m benchmark run --methods all --dataset set --noise 0,5"


# CSV and LaTeX
# --------------------------------------------------------------------------------------------------


def test_csv_holds_what_is_shown_in_its_order(page: Page) -> None:
    head(page, "noise 5").click()
    page.locator("#controls [name=find]").fill("")
    page.locator("#controls [name=trained]").select_option("nothing")
    lines = list(csv.DictReader(io.StringIO(exported(page, "CSV"))))
    assert [line["Method"] for line in lines] == ["b", "input"]
    assert float(lines[0]["set noise 5: gain"]) == 3.5
    assert lines[1]["set noise 5: gain"] == ""
    page.locator("#copy").click()
    page.get_by_text("Copied").wait_for()
    assert pasted(page) == page.locator("#export textarea").input_value()
    with page.expect_download() as download:
        page.locator("#save").click()
    assert Path(download.value.path()).read_text("utf-8") == pasted(page)
    assert download.value.suggested_filename == "board.csv"


def test_latex_holds_the_same_and_escapes(page: Page) -> None:
    text = exported(page, "LaTeX")
    body = text.partition("\\midrule\n")[2].partition("\\bottomrule")[0]
    names = [line.split(" & ")[0] for line in body.splitlines()]
    assert names == ["a", "b (reproduces)", "input"], "and whether weights reproduce"
    assert "+4.000" in body and "$\\cdot$" not in body
    assert "95 \\% intervals" in text and text.count("\\begin{tabular}{lrrr}") == 1


# Plots
# --------------------------------------------------------------------------------------------------


def test_noise_curves_say_what_is_pointed_at(page: Page) -> None:
    page.get_by_role("button", name="Noise", exact=True).click()
    points = page.locator("figure .point")
    assert points.count() == 4
    points.first.hover()
    tip = page.locator("#tip")
    assert tip.is_visible() and re.match(
        r"[ab], noise [05]: gain in PSNR \(dB\) \+", tip.inner_text()
    )
    page.mouse.move(2, 2)
    assert tip.is_hidden()
    points.last.focus()
    assert tip.is_visible()
    page.keyboard.press("Enter")
    assert page.locator("#screen h2").inner_text() in {"a", "b"}


def test_points_of_cost_follow_the_filter_and_what_is_not_known_is_said(measured: Page) -> None:
    measured.get_by_role("button", name="Cost", exact=True).click()
    assert measured.locator("figure").count() == 2
    before = measured.locator("figure").first.locator(".point").count()
    assert "none known of" in measured.locator("#screen .notes").inner_text()
    measured.locator("#controls [name=find]").fill("gkmnet")
    after = measured.locator("figure").first.locator(".point").count()
    assert 0 < after < before
    measured.locator("figure .point").first.focus()
    assert "parameters (M) 1.4" in measured.locator("#tip").inner_text()
    assert measured.locator("figure .front").count() == 2


def test_published_numbers_are_marked_and_kept_apart(measured: Page) -> None:
    measured.get_by_role("button", name="Published", exact=True).click()
    heads = measured.locator("#screen thead th").all_inner_texts()
    assert sum("published" in text for text in heads) == 4
    assert sum("measured" in text for text in heads) == 4
    line = measured.locator("#screen tbody tr", has_text="GKMNet, clean").first
    assert "25.47" in line.locator("td.printed").all_inner_texts()


# Keys, phones, the dark, harm, speed
# --------------------------------------------------------------------------------------------------


def test_everything_can_be_done_with_keys(page: Page) -> None:
    page.keyboard.press("/")
    page.keyboard.type("b")
    assert rows(page) == ["b"]
    page.keyboard.press("Escape")
    head(page, "noise 0").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.textContent").startswith("set"), "kept"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    assert page.locator("#screen h2").inner_text() == "b"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.textContent") == "b"
    for key, view in (("n", "Noise"), ("c", "Cost"), ("p", "Published"), ("t", "Table")):
        page.keyboard.press(key)
        assert page.locator("nav [aria-pressed=true]").inner_text() == view
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#help").is_hidden()


def test_a_phone_shows_all_without_scrolling_the_page_sideways(
    browser: Browser, measured_index: Path
) -> None:
    size = {"width": 390, "height": 844}
    for page in open_board(browser, measured_index, viewport=size, is_mobile=True, has_touch=True):
        for view in ("", "view=cost", "view=noise", "view=published", "method=gkmnet.sim"):
            page.evaluate("(hash) => { location.hash = hash }", view)
            page.wait_for_timeout(100)
            assert page.evaluate("document.documentElement.scrollWidth") == 390, view
            keep_screenshot(page, f"phone_{view.partition('=')[2] or 'table'}")


def test_it_is_readable_in_the_dark(browser: Browser, measured_index: Path) -> None:
    for page in open_board(browser, measured_index, color_scheme="dark"):
        ink, ground = page.evaluate(
            "['color', 'backgroundColor'].map((name) => getComputedStyle(document.documentElement)"
            "[name].match(/\\d+/g).map(Number))"
        )
        assert min(ink) > 180 and max(ground) < 60
        keep_screenshot(page, "dark")
        page.keyboard.press("n")
        keep_screenshot(page, "dark_noise")


def test_names_that_mean_harm_are_shown_as_they_are(
    browser: Browser, tmp_path: Path, toys: Path
) -> None:
    with make(tmp_path / "run"):
        pass
    index = write_board([read_record(tmp_path / "run")], tmp_path / "site")
    for page in open_board(browser, index):
        assert HOSTILE in rows(page)
        assert "alert(1)" in exported(page, "CSV")
        page.keyboard.press("Escape")
        page.locator("#screen tbody th a", has_text="alert(1)").click()
        assert page.locator("#screen h2").inner_text() == HOSTILE
        page.get_by_role("link", name=HOSTILE_SAMPLE).click()
        assert page.locator("tr[aria-current] th").inner_text() == HOSTILE_SAMPLE
        page.reload()
        assert page.locator("tr[aria-current] th").inner_text() == HOSTILE_SAMPLE
        assert page.locator("#screen img, #screen b, #screen script").count() == 0
        latex = exported(page, "LaTeX")
        assert "<" not in latex.partition("\\midrule")[2]


def test_a_large_board_opens_in_under_two_seconds(browser: Browser, tmp_path: Path) -> None:
    record = read_record(MEASURED / "demo" / "scores.parquet")
    large = make_large_record(record, methods=30, datasets=12, pictures=100)
    index = write_board([large], tmp_path)
    assert index.stat().st_size < 15e6
    for page in open_board(browser, index):
        assert len(rows(page)) == 30
        timing = "performance.getEntriesByType('navigation')[0].loadEventEnd"
        assert 0 < page.evaluate(timing) < 2000
