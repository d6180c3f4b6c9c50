"""The comparison page in a real browser, opened from disk: every control works, nothing is asked of
a network.

Needs Playwright and a Chromium of the system. Screenshots are kept in the folder that
BENCHMARK_SCREENSHOTS names.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from benchmark import imageio
from benchmark.cells import Outcome
from benchmark.reports import page as comparison
from benchmark.reports.page.builder import FILES_FOLDER
from benchmark.results import results_of
from tests.reports.page.page_runs import (
    GREY,
    HOSTILE_METHOD,
    HOSTILE_SAMPLE,
    REASON,
    RULERS,
    SAMPLES,
    SIZE,
    TARGET,
    cell,
    grey,
    make,
)
from tests.reports.scores import score

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Download, Locator, Page, Request

pytestmark = [pytest.mark.browser, pytest.mark.slow]
playwright = pytest.importorskip(
    "playwright.sync_api", reason="Playwright is not installed: pip install playwright"
)
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
LEVEL = {name: round(255 * grey) for name, grey in (GREY | {"target": TARGET}).items()}
"""What the pixels of a method's pictures are, left of their black third."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this system")
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=CHROMIUM)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, toys: Path) -> Path:
    """A page in a folder whose own name means something in URLs."""
    folder = tmp_path_factory.mktemp("page") / "página #1 100% ?"
    with make(tmp_path_factory.mktemp("run") / "run") as store:
        options = comparison.PageOptions(data=folder)
        return comparison.write_comparison_page(results_of(store), folder, options)


class Opened:
    """A page that was opened, with all that went wrong since."""

    def __init__(self, browser: Browser, **context: Any) -> None:
        self.context = browser.new_context(
            **({"viewport": {"width": 1200, "height": 800}} | context)
        )
        self.page: Page = self.context.new_page()
        self.trouble: list[str] = []
        self.page.on("console", lambda message: self.trouble.append(message.text))
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.on("requestfailed", self._note_failure)
        self.page.on("request", lambda request: self._check(request.url))
        self.page.on("dialog", lambda dialog: self.trouble.append(f"dialog: {dialog.message}"))

    def _note_failure(self, request: Request) -> None:
        # a picture still loading when the page moves on or is closed is no fault of the page
        if request.failure != "net::ERR_ABORTED":
            self.trouble.append(f"failed: {request.url}: {request.failure}")

    def _check(self, url: str) -> None:
        if not url.startswith(("file:///", "data:")):
            self.trouble.append(f"request: {url}")


@pytest.fixture
def opened(browser: Browser, index: Path) -> Iterator[Opened]:
    made = Opened(browser)
    made.page.goto(index.as_uri())
    yield made
    trouble = list(made.trouble)
    made.context.close()
    assert trouble == []


@pytest.fixture
def page(opened: Opened) -> Page:
    return opened.page


def open_list(page: Page, method: str = "better", measure: int = 0) -> None:
    line(page, method).locator(".figure").nth(measure).click()


def open_picture(page: Page, name: str = "one", method: str = "better") -> None:
    open_list(page, method)
    page.locator("#list tbody tr", has=page.get_by_text(name, exact=True)).click()
    settle(page)


def until(page: Page, condition: str) -> None:
    """Wait until an expression is true. (`wait_for_function` needs `eval`, which the page's policy
    forbids.)
    """
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never true: {condition}")


def settle(page: Page) -> None:
    """Wait until what is shown is loaded."""
    until(
        page,
        "[...document.querySelectorAll('#stage img')].every((one) => one.hidden || one.complete)",
    )


def line(page: Page, method: str) -> Locator:
    return page.locator(f"#overview .scroll:not([hidden]) tr[data-name={json.dumps(method)}]")


def names(page: Page) -> list[str]:
    lines = page.locator("#overview .scroll:not([hidden]) tbody tr:visible")
    return [str(one.get_attribute("data-name")).removesuffix("†") for one in lines.all()]


def listed(page: Page) -> list[list[str]]:
    """Return name, value, other value and difference of every line of the list."""
    return [
        one.locator("th, td.number").all_inner_texts()
        for one in page.locator("#list tbody tr").all()
    ]


def pixels(page: Page) -> np.ndarray:
    """Return what the stage shows, H x W x 3."""
    return np.asarray(
        Image.open(io.BytesIO(page.locator("#stage").screenshot())).convert("RGB")
    ).astype(int)


def grey_at(page: Page, offset: int) -> int:
    """Return the grey that is shown some pixels right of the middle of the stage, above the knob of
    the slider.
    """
    shown = pixels(page)
    red, green, blue = shown[shown.shape[0] // 4, shown.shape[1] // 2 + offset]
    assert max(red, green, blue) - min(red, green, blue) <= 1
    return int(green)


def chips(page: Page) -> list[str]:
    """Return the methods of the chips, in order, without keys and scores."""
    texts = [one.inner_text() for one in page.locator("#methods button").all()]
    return [re.sub(r"^\w\s+|\s+[\d.–]+$", "", text).strip() for text in texts]


def transform(page: Page) -> tuple[float, float, float]:
    """Return offset and scale of the pictures, which must be the same for all of them."""
    shown = page.evaluate(
        "[...document.querySelectorAll('#stage img')].map((one) => one.style.transform)"
    )
    assert len(set(shown)) == 1
    x, y, scale = map(float, re.findall(r"-?[\d.]+(?:e-?\d+)?", shown[0]))
    return x, y, scale


BEST_FIRST = ["truth:map=oracle", "better", "input", HOSTILE_METHOD]


def places(page: Page) -> list[tuple[str, str]]:
    """Return place and wins of every line that is shown."""
    lines = page.locator("#overview .scroll:not([hidden]) tbody tr:visible").all()
    texts = [[one.locator(f".{name}").inner_text() for name in ("place", "wins")] for one in lines]
    return [(place, wins) for place, wins in texts]


def test_the_best_method_comes_first_with_its_place_and_its_gain(page: Page) -> None:
    assert names(page) == BEST_FIRST
    assert places(page) == [("–", "4/4"), ("1", "3/4"), ("–", ""), ("2", "0/4")]
    figure = line(page, "better").locator(".figure").first
    assert figure.inner_text().split() == ["23.50", "+2.00", "[-2.11,", "6.11]"]
    bars = page.locator("#overview .scroll:not([hidden]) tbody tr:visible td:nth-child(3) .bar")
    boxes = [one.bounding_box() for one in bars.all()]
    widths = [box["width"] for box in boxes if box]
    assert widths[0] == pytest.approx(5 * widths[1], rel=0.05), "10 dB and 2 dB, one scale"
    zero = page.locator("#overview .scroll:not([hidden]) tr:visible td:nth-child(3) .zero").first
    zero_box = zero.bounding_box()
    assert zero_box is not None and boxes[0] is not None and boxes[2] is not None
    assert boxes[0]["x"] == pytest.approx(zero_box["x"], abs=1.5)
    loss_end = boxes[2]["x"] + boxes[2]["width"]
    assert loss_end == pytest.approx(zero_box["x"], abs=1.5), "a loss goes to the left"


def test_a_column_is_sorted_by_its_mean_and_what_has_none_stays_last(page: Page) -> None:
    page.get_by_label("without results").check()
    best_first = BEST_FIRST
    assert names(page) == [*best_first, "broken"]
    head = page.locator("#overview .scroll:not([hidden]) thead button", has_text="PSNR")
    assert head.locator("..").get_attribute("aria-sort") == "ascending"
    head.click()
    assert names(page) == [*reversed(best_first), "broken"]
    assert head.locator("..").get_attribute("aria-sort") == "descending"
    head.click()
    assert names(page) == [*best_first, "broken"]
    page.locator("#overview .scroll:not([hidden]) thead button", has_text="MAE").click()
    assert names(page) == [*best_first, "broken"], "least error first"
    page.locator("#overview .scroll:not([hidden]) thead button", has_text="Method").click()
    assert names(page) == sorted([*best_first, "broken"])
    head.click()
    assert names(page) == [*best_first, "broken"], "also when it was not last before"
    page.get_by_label("without results").uncheck()
    assert names(page) == best_first


@pytest.mark.slow
def test_places_are_by_the_measure_that_the_table_is_sorted_by(
    browser: Browser, tmp_path: Path, toys: Path
) -> None:
    with make(tmp_path / "run", methods=("input", "better"), broken=False) as store:
        run = store.start_run({})
        for number, sample in enumerate(SAMPLES):  # better in PSNR, and worse in MAE
            odd = [score("psnr", 40.0 + number, None), score("mae", 0.9, None)]
            store.put(run, cell("odd", sample), Outcome("ok", scores={"quick": odd}), RULERS)
        made = comparison.write_comparison_page(results_of(store), tmp_path / "page")
    opened = Opened(browser)
    opened.page.goto(made.as_uri())
    assert names(opened.page) == ["odd", "better", "input"]
    assert places(opened.page) == [("1", "4/4"), ("2", "3/4"), ("–", "")]
    opened.page.locator("#overview .scroll:not([hidden]) thead button", has_text="MAE").click()
    assert names(opened.page) == ["better", "input", "odd"]
    assert places(opened.page) == [("1", "3/4"), ("–", ""), ("2", "0/4")]
    opened.context.close()
    assert opened.trouble == []


@pytest.mark.slow
def test_methods_are_filtered_by_name_and_by_family(page: Page) -> None:
    everything = names(page)
    assert page.locator("#count").inner_text() == "4 of 5 methods"
    page.locator("#filter").fill("BETT")
    assert names(page) == ["better"] and page.locator("#count").inner_text() == "1 of 5 methods"
    page.locator("#filter").fill("")
    page.get_by_label("given the true blur map").uncheck()
    page.get_by_label("baselines").uncheck()
    assert set(everything) - set(names(page)) == {"truth:map=oracle", "input"}


@pytest.mark.slow
def test_another_noise_level_is_another_table(page: Page) -> None:
    before = line(page, "better").inner_text()
    page.locator("#choice").select_option(label="page-ramps · quick · track u8 · noise 2")
    assert line(page, "better").inner_text() != before
    assert page.locator("#overview table:visible").count() == 1


@pytest.mark.slow
def test_a_number_leads_to_its_pictures_sorted_by_difference(page: Page) -> None:
    open_list(page)
    expected = [
        [HOSTILE_SAMPLE, "28.00", "23.00", "+5.00"],
        ["three", "25.00", "22.00", "+3.00"],
        ["two", "22.00", "21.00", "+1.00"],
        ["one", "19.00", "20.00", "−1.00"],
    ]
    assert listed(page) == expected
    sentence = (
        "better is better than input on 3, worse on 1 and equal on 0 of 4 pictures; mean "
        "difference +2.00 dB."
    )
    assert page.locator("#verdict").inner_text() == sentence
    page.locator("#list-order").select_option("loss")
    assert listed(page) == expected[::-1]
    assert page.locator("#list-order").input_value() == "loss"
    page.locator("#list-order").select_option("name")
    assert [name for name, *_ in listed(page)] == sorted(name for name, *_ in expected)
    page.locator("#list-other").select_option(label="truth:map=oracle")
    compared = {("30.00", "−11.00"), ("31.00", "−9.00"), ("32.00", "−7.00"), ("33.00", "−5.00")}
    assert {tuple(texts[2:]) for texts in listed(page)} == compared
    page.locator("#list-method").select_option(label=HOSTILE_METHOD)
    page.locator("#list-order").select_option("best")
    assert [value for _, value, *_ in listed(page)] == ["22.00", "21.00", "20.00", "19.00"]


@pytest.mark.slow
def test_for_an_error_less_is_gained(page: Page) -> None:
    open_list(page, measure=1)
    assert listed(page)[0] == [HOSTILE_SAMPLE, "0.0357", "0.0435", "−0.0078"]
    gains = page.locator("#list .bars i.gain")
    assert gains.count() == 3
    widths = [box["width"] for box in (one.bounding_box() for one in gains.all()) if box]
    assert widths == sorted(widths, reverse=True) and widths[0] > widths[-1] > 0


@pytest.mark.slow
def test_thumbnails_are_shown(page: Page) -> None:
    open_list(page)
    until(page, "[...document.querySelectorAll('.thumb')].every((one) => one.naturalWidth === 120)")
    assert page.locator(".thumb").count() == 8


@pytest.mark.slow
def test_a_method_without_results_is_named_and_says_why(page: Page) -> None:
    assert "broken" not in names(page)
    assert page.get_by_text("Not measured: broken.").first.is_visible()
    page.get_by_label("without results").check()
    assert REASON in line(page, "broken").inner_text()
    open_list(page, "broken")
    assert {value for _, value, *_ in listed(page)} == {f"skipped: {REASON}"}
    assert page.locator("#list tbody button:enabled").count() == 0
    assert page.locator("#none-kept").is_visible()


def test_the_slider_divides_the_two_pictures(page: Page) -> None:
    open_picture(page, HOSTILE_SAMPLE)
    assert (grey_at(page, -20), grey_at(page, 20)) == (LEVEL["input"], LEVEL["better"])
    box = page.locator("#handle").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y, steps=4)
    page.mouse.up()
    assert (grey_at(page, 20), grey_at(page, 80)) == (LEVEL["input"], LEVEL["better"])
    page.locator("#handle").focus()
    page.keyboard.press("Home")
    assert (grey_at(page, -20), grey_at(page, 20)) == (LEVEL["better"], LEVEL["better"])
    assert page.locator("#handle").get_attribute("aria-valuenow") == "0"
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    assert page.locator("#handle").get_attribute("aria-valuenow") == "20"
    assert page.locator("#viewer h1").inner_text() == f"{HOSTILE_SAMPLE} · 1 of 4"


def test_methods_are_switched_by_buttons_and_by_keys(page: Page) -> None:
    open_picture(page)
    page.locator("#methods button", has_text="truth:map=oracle").click()
    settle(page)
    assert grey_at(page, 20) == LEVEL["truth:map=oracle"]
    assert chips(page) == ["truth:map=oracle", "input", "better", HOSTILE_METHOD]
    page.keyboard.press("4")
    settle(page)
    assert grey_at(page, 20) == LEVEL[HOSTILE_METHOD]
    pressed = page.locator("#methods [aria-pressed=true]")
    assert pressed.count() == 1 and HOSTILE_METHOD in pressed.inner_text()
    page.keyboard.press("Shift+Digit2")
    page.keyboard.press("x")
    settle(page)
    assert (grey_at(page, -20), grey_at(page, 20)) == (LEVEL[HOSTILE_METHOD], LEVEL["input"])
    page.keyboard.press("t")
    settle(page)
    assert grey_at(page, -20) == LEVEL["target"]
    page.keyboard.press("t")
    settle(page)
    assert grey_at(page, -20) == LEVEL["input"], "what it is compared with in the list"
    page.locator("#right").select_option(label="input")
    settle(page)
    assert grey_at(page, 20) == LEVEL["input"]
    page.keyboard.press("ArrowLeft")
    assert chips(page) == ["truth:map=oracle", "better", "input", HOSTILE_METHOD], "of this picture"
    page.keyboard.press("ArrowRight")
    assert page.locator("#scores tr").nth(2).inner_text().split("\t")[:2] == [
        "right: input",
        "20.00",
    ]


@pytest.mark.slow
def test_the_difference_is_the_absolute_error_times_the_gain(page: Page) -> None:
    open_picture(page)
    page.keyboard.press("t")
    page.keyboard.press("d")
    settle(page)
    error = LEVEL["target"] - LEVEL["better"]
    assert grey_at(page, 0) == pytest.approx(4 * error, abs=2)
    page.locator("#gain").fill("8")
    assert grey_at(page, 0) == pytest.approx(8 * error, abs=2)
    shown = pixels(page)
    assert page.locator("#times").inner_text() == "×8"
    black_third = shown[shown.shape[0] // 4, shown.shape[1] // 2 + 200]
    assert black_third.max() == 0, "nothing differs there"
    page.keyboard.press("x")
    assert grey_at(page, 0) == pytest.approx(8 * error, abs=2)


@pytest.mark.slow
def test_the_error_of_both_is_shown_against_the_target(page: Page) -> None:
    open_picture(page)
    page.keyboard.press("e")
    settle(page)
    errors = {name: LEVEL["target"] - LEVEL[name] for name in ("input", "better")}
    for gain in (1, 2):
        page.locator("#gain").fill(str(gain))
        shown = (grey_at(page, -20), grey_at(page, 20))
        expected = (gain * errors["input"], gain * errors["better"])
        assert shown == pytest.approx(expected, abs=2)
    assert page.locator(".side-label.left").inner_text().startswith("error of input")
    page.keyboard.press("g")
    settle(page)
    values = tile_levels(page)
    assert values["error of better"] == pytest.approx(2 * errors["better"], abs=2)
    assert values["error of target"] == 0
    page.keyboard.press("d")
    assert page.locator("#error").is_disabled(), "which shows two against each other"
    page.keyboard.press("s")
    page.get_by_role("button", name="Error").click()
    settle(page)
    assert (grey_at(page, -20), grey_at(page, 20)) == (LEVEL["input"], LEVEL["better"])


@pytest.mark.slow
def test_one_key_flickers_between_two_pictures_in_one_place(page: Page) -> None:
    open_picture(page)
    page.keyboard.press("+")
    before = transform(page)
    for name in ("input", "better", "input"):
        page.keyboard.press("f")
        settle(page)
        assert (grey_at(page, -20), grey_at(page, 20)) == (LEVEL[name], LEVEL[name])
        visible = page.locator(".side-label:visible")
        assert visible.count() == 1 and visible.inner_text().startswith(name)
        assert transform(page) == before
    page.keyboard.press("1")
    page.keyboard.press("f")
    settle(page)
    assert grey_at(page, 20) == LEVEL["truth:map=oracle"]
    page.get_by_role("button", name="Flicker").click()
    assert grey_at(page, 20) == LEVEL["input"]
    page.keyboard.press("s")
    settle(page)
    assert (grey_at(page, -20), grey_at(page, 20)) == (LEVEL["input"], LEVEL["truth:map=oracle"])


def tile_levels(page: Page) -> dict[str, int]:
    """Return the name of each tile of the grid, and the grey in its middle."""
    levels = {}
    for tile in page.locator(".tile").all():
        shown = np.asarray(Image.open(io.BytesIO(tile.screenshot())).convert("RGB")).astype(int)
        name = tile.locator(".label").inner_text().split(" · ")[0]
        levels[name] = int(shown[shown.shape[0] // 2, shown.shape[1] // 2, 1])
    return levels


@pytest.mark.slow
def test_the_grid_shows_methods_and_the_target_with_one_zoom(page: Page) -> None:
    open_picture(page, HOSTILE_SAMPLE)
    page.keyboard.press("g")
    settle(page)
    order = ["input", "truth:map=oracle", "better", HOSTILE_METHOD, "target"]
    levels = tile_levels(page)
    assert levels == {name: LEVEL[name] for name in order} and list(levels) == order
    fitted = transform(page)
    box = page.locator(".tile").nth(4).bounding_box()
    assert box is not None
    at = round(box["x"] + 40)  # events have whole pixels
    page.mouse.move(at, round(box["y"] + 30))
    page.mouse.wheel(0, -600)
    until(
        page,
        f"document.querySelector('.tile img').style.transform.indexOf('scale({fitted[2]})') < 0",
    )
    x, y, scale = transform(page)  # the same for every picture
    assert scale > 2 * fitted[2]
    within = at - box["x"]
    assert (within - x) / scale == pytest.approx((within - fitted[0]) / fitted[2], abs=0.1)
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    assert transform(page) == pytest.approx((x - 60, y - 60, scale), abs=0.01)
    page.keyboard.press("0")
    assert transform(page) == pytest.approx(fitted, abs=0.01)


@pytest.mark.slow
def test_methods_are_put_into_the_grid_and_out_of_it(opened: Opened) -> None:
    page = opened.page
    open_picture(page)
    page.keyboard.press("g")
    page.keyboard.press("1")
    page.locator("#methods button", has_text=HOSTILE_METHOD).click()
    page.keyboard.press("t")
    assert list(tile_levels(page)) == ["input", "better"]
    pressed = page.locator("#methods [aria-pressed=true]")
    assert pressed.count() == 2 and page.locator("#methods button").count() == 5
    other = opened.context.new_page()
    other.goto(page.url)
    settle(other)
    assert list(tile_levels(other)) == ["input", "better"], "the address holds the choice"
    page.keyboard.press("1")
    assert list(tile_levels(page)) == ["input", "truth:map=oracle", "better"]
    for name in ("input", "truth:map=oracle", "better"):
        page.locator("#methods button", has_text=name).click()
    assert page.locator(".tile").count() == 0


@pytest.mark.slow
def test_the_slider_stays_inside_the_picture(page: Page) -> None:
    open_picture(page)
    picture, stage = picture_box(page), page.locator("#stage").bounding_box()
    assert stage is not None and picture["x"] > stage["x"] + 20, "there is room beside it"
    page.locator("#handle").focus()
    for key, end in (("Home", picture["x"]), ("End", picture["x"] + picture["width"])):
        page.keyboard.press(key)
        handle = page.locator("#handle").bounding_box()
        assert handle is not None
        assert handle["x"] + handle["width"] / 2 == pytest.approx(end, abs=1)
        assert handle["y"] == pytest.approx(picture["y"], abs=1)
        assert handle["height"] == pytest.approx(picture["height"], abs=1)
    x, y = picture["x"] + 0.25 * picture["width"], picture["y"] + 20
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 1, y)
    page.mouse.up()
    assert page.locator("#handle").get_attribute("aria-valuenow") == "25"
    for _ in range(4):
        page.keyboard.press("+")
    handle = page.locator("#handle").bounding_box()
    assert handle is not None and handle["height"] == pytest.approx(stage["height"], abs=1)
    assert handle["x"] + handle["width"] / 2 == pytest.approx(
        stage["x"] + 0.25 * stage["width"], abs=2
    ), "of what is in sight"


def picture_box(page: Page) -> dict[str, float]:
    box = page.locator("#pair .left .picture").bounding_box()
    assert box is not None
    return dict(box)


# Crops
# --------------------------------------------------------------------------------------------------


def save_crops(page: Page, count: int, act: Callable[[], None]) -> dict[str, np.ndarray]:
    """Return name -> pixels of the files that an action saves."""
    downloads: list[Download] = []
    page.on("download", lambda download: downloads.append(download))
    act()
    for _ in range(200):
        if len(downloads) == count:
            break
        page.wait_for_timeout(50)
    assert len(downloads) == count
    pictures = {}
    for download in downloads:
        with Image.open(download.path()) as picture:
            assert picture.format == "PNG"
            pictures[download.suggested_filename] = np.asarray(picture.convert("RGB"))
    return pictures


def crop_exactly(page: Page) -> tuple[slice, slice]:
    """Zoom in, and return the rows and columns that are in sight."""
    for _ in range(3):
        page.keyboard.press("+")
    page.keyboard.press("Shift+ArrowRight")
    x, y, scale = transform(page)
    box = page.locator("#pair .left").bounding_box()
    assert box is not None
    spans = []
    for offset, room, size in ((y, box["height"], SIZE[0]), (x, box["width"], SIZE[1])):
        last = min(size, math.ceil((room - offset) / scale))
        spans.append(slice(math.floor(max(0, -offset / scale)), last))
    return spans[0], spans[1]


@pytest.mark.slow
def test_crops_of_a_single_file_are_saved_pixel_by_pixel(single_file: Opened) -> None:
    page = single_file.page
    open_picture(page, HOSTILE_SAMPLE, HOSTILE_METHOD)
    rows, columns = crop_exactly(page)
    files = save_crops(page, 2, lambda: page.keyboard.press("c"))
    size = f"{columns.stop - columns.start}x{rows.stop - rows.start}"
    for name, pixels in files.items():
        assert name.endswith(f"-{columns.start}-{rows.start}-{size}.png")
        assert not re.search(r"[<>/\\:#%?&\"' ]", name)
        method = "input" if "-input-" in name else HOSTILE_METHOD
        expected = np.rint(255 * grey(GREY[method]))[rows, columns]
        np.testing.assert_array_equal(pixels, expected)
    told = page.locator("#told").inner_text()
    assert told.startswith(f"2 crops of {size.replace('x', ' × ')} pixels")


@pytest.mark.slow
def test_errors_and_differences_are_saved_as_they_are_shown(single_file: Opened) -> None:
    page = single_file.page
    open_picture(page)
    page.keyboard.press("e")
    page.locator("#gain").fill("3")
    page.locator("#stage").focus()
    files = save_crops(page, 2, lambda: page.keyboard.press("c"))
    expected = {"input": 3 * (LEVEL["target"] - LEVEL["input"]),
                "better": 3 * (LEVEL["target"] - LEVEL["better"])}  # fmt: skip
    assert {name: int(pixels[0, 0, 0]) for name, pixels in files.items()} == {
        f"one-error-{name}-0-0-120x80.png": min(value, 255) for name, value in expected.items()
    }
    page.keyboard.press("d")
    files = save_crops(page, 1, lambda: page.get_by_role("button", name="Save crop").click())
    [(name, pixels)] = files.items()
    assert name == "one-difference-input-better-0-0-120x80.png"
    assert int(pixels[0, 0, 0]) == min(255, 3 * (LEVEL["better"] - LEVEL["input"]))
    assert pixels[0, -1].max() == 0
    page.keyboard.press("g")
    page.keyboard.press("e")
    files = save_crops(page, 5, lambda: page.keyboard.press("c"))
    assert {int(pixels[0, 0, 0]) for pixels in files.values()} == set(LEVEL.values())


@pytest.mark.slow
def test_crops_of_a_folder_on_disk_are_saved_once_it_was_handed_over(
    page: Page, index: Path
) -> None:
    open_picture(page, HOSTILE_SAMPLE)
    page.keyboard.press("c")
    dialog = page.locator("#reader")
    dialog.wait_for(state="visible")
    text = dialog.inner_text()
    assert "Choose the folder comparison_files" in text
    command = page.locator("#command").inner_text()
    words = shlex.split(command)
    assert words[:4] == ["python", "-m", "benchmark", "figures"]
    assert words[words.index("--sample") + 1] == HOSTILE_SAMPLE
    assert words[words.index("--box") + 1] == "0,0,120,80"
    assert page.evaluate("document.activeElement.id") == "folder"
    folder = page.locator("#folder")
    files = save_crops(page, 2, lambda: folder.set_input_files(index.parent / FILES_FOLDER))
    assert {int(pixels[0, 0, 0]) for pixels in files.values()} == {LEVEL["input"], LEVEL["better"]}
    assert dialog.is_hidden()
    page.keyboard.press("ArrowRight")
    assert len(save_crops(page, 2, lambda: page.keyboard.press("c"))) == 2, "no question any more"


@pytest.mark.slow
def test_a_folder_of_another_page_is_refused(page: Page, tmp_path: Path) -> None:
    open_picture(page)
    page.keyboard.press("c")
    page.locator("#reader").wait_for(state="visible")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.png").write_bytes(b"")
    page.locator("#folder").set_input_files(tmp_path / "other")
    told = page.locator("#told", has_text="the folder chosen is not comparison_files of this page")
    told.wait_for(state="visible")


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory, toys: Path) -> Path:
    folder = tmp_path_factory.mktemp("single")
    with make(tmp_path_factory.mktemp("run") / "run") as store:
        options = comparison.PageOptions(data=folder, single_file=True)
        return comparison.write_comparison_page(results_of(store), folder, options)


@pytest.fixture
def single_file(browser: Browser, single: Path, tmp_path: Path) -> Iterator[Opened]:
    """A page in one file, alone in a folder of its own."""
    alone = tmp_path / "alone.html"
    shutil.copyfile(single, alone)
    made = Opened(browser)
    made.page.goto(alone.as_uri())
    yield made
    trouble = list(made.trouble)
    made.context.close()
    assert trouble == []


@pytest.mark.slow
def test_a_single_file_shows_everything_without_any_other(single_file: Opened) -> None:
    page = single_file.page
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    open_picture(page, HOSTILE_SAMPLE)
    assert (grey_at(page, -20), grey_at(page, 20)) == (LEVEL["input"], LEVEL["better"])
    page.keyboard.press("g")
    page.keyboard.press("b")
    settle(page)
    shown = page.locator(".tile .overlay").evaluate_all(
        "images => images.map((one) => one.naturalWidth)"
    )
    assert shown == [SIZE[1]] * 5
    page.keyboard.press("Escape")
    until(page, "[...document.querySelectorAll('.thumb')].every((one) => one.naturalWidth === 120)")
    assert {url.split(":")[0] for url in requests} <= {"data"}


@pytest.mark.slow
def test_a_page_of_thumbnails_says_so_and_offers_no_measure_of_details(
    browser: Browser, tmp_path: Path, toys: Path
) -> None:
    with make(tmp_path / "run") as store:
        options = comparison.PageOptions(data=tmp_path, thumbnails=True)
        made = comparison.write_comparison_page(results_of(store), tmp_path / "page", options)
    opened = Opened(browser)
    page = opened.page
    page.goto(made.as_uri())
    open_picture(page)
    assert page.get_by_text("Thumbnails only").is_visible()
    assert grey_at(page, 20) == pytest.approx(LEVEL["better"], abs=3)
    for name in ("Error", "Difference", "Save crop"):
        assert page.get_by_role("button", name=name).is_disabled()
    for key in "edc":
        page.keyboard.press(key)
    settle(page)
    assert grey_at(page, 20) == pytest.approx(LEVEL["better"], abs=3)
    page.keyboard.press("b")
    settle(page)
    assert page.locator("#legend").is_visible()
    opened.context.close()
    assert opened.trouble == []


@pytest.mark.slow
def test_zoom_and_pan_are_shared_and_keep_what_is_under_the_pointer(page: Page) -> None:
    open_picture(page)
    page.keyboard.press("w")
    fitted = transform(page)
    box = page.locator("#pair .right").bounding_box()
    assert box is not None
    at = (200.0, 150.0)
    page.mouse.move(box["x"] + at[0], box["y"] + at[1])
    page.mouse.wheel(0, -600)
    until(
        page,
        f"document.querySelector('#pair img').style.transform.indexOf('scale({fitted[2]})') < 0",
    )
    x, y, scale = transform(page)
    assert scale > 2 * fitted[2]
    for axis in (0, 1):
        assert ((at[axis] - (x, y)[axis]) / scale) == pytest.approx(
            (at[axis] - fitted[axis]) / fitted[2], abs=0.1
        )
    page.mouse.down()
    page.mouse.move(box["x"] + at[0] + 30, box["y"] + at[1] - 20, steps=3)
    page.mouse.up()
    assert transform(page) == pytest.approx((x + 30, y - 20, scale), abs=0.01)
    page.mouse.dblclick(box["x"] + at[0], box["y"] + at[1])
    assert transform(page) == pytest.approx(fitted, abs=0.01)
    page.mouse.dblclick(box["x"] + at[0], box["y"] + at[1])
    assert transform(page)[2] == pytest.approx(2 * fitted[2], rel=1e-4)
    page.keyboard.press("0")
    page.keyboard.press("+")
    assert transform(page)[2] == pytest.approx(1.5 * fitted[2], rel=1e-4)


@pytest.mark.slow
def test_a_picture_cannot_be_lost_out_of_sight(page: Page) -> None:
    open_picture(page)
    page.keyboard.press("+")
    box = page.locator("#stage").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 300, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 300 + 5000, box["y"] + 100 + 5000, steps=2)
    page.mouse.up()
    x, y, _ = transform(page)
    assert (x, y) == (0, 0)


@pytest.mark.slow
def test_the_blur_map_lies_over_the_pictures(page: Page) -> None:
    open_picture(page)
    before = pixels(page)
    page.keyboard.press("b")
    settle(page)
    assert "4 px" in page.locator("#legend").inner_text()
    middle = slice(before.shape[1] // 2 - 100, before.shape[1] // 2 - 40)
    row = before.shape[0] // 4
    assert np.abs(pixels(page) - before)[row, middle].max() > 30
    page.get_by_role("button", name="Blur map").click()
    assert np.array_equal(pixels(page)[row, middle], before[row, middle])


@pytest.mark.slow
def test_everything_can_be_done_with_keys(page: Page) -> None:
    page.locator("#overview .scroll:not([hidden]) .figure").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    assert "better · PSNR" in page.locator("#list h1").inner_text()
    page.locator("#list tbody button").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.locator("#viewer h1").inner_text() == "three · 2 of 4"
    page.keyboard.press("ArrowRight")
    assert page.locator("#viewer h1").inner_text() == "two · 3 of 4"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert page.locator("#viewer h1").inner_text() == f"{HOSTILE_SAMPLE} · 1 of 4"
    ways = {"w": "side", "f": "flicker", "g": "grid", "d": "difference", "s": "slider"}
    for key, way in ways.items():
        page.keyboard.press(key)
        assert page.locator("#ways [aria-pressed=true]").get_attribute("data-way") == way
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#help").is_hidden() and page.locator("#viewer").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#list [data-sample]:focus").inner_text() == HOSTILE_SAMPLE
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.closest('tr').dataset.name") == "better"
    page.keyboard.press("/")
    page.keyboard.type("broken 1")
    assert page.locator("#filter").input_value() == "broken 1", "keys are letters here"


@pytest.mark.slow
def test_chips_are_reached_by_keys_and_keep_the_focus(page: Page) -> None:
    open_picture(page)
    page.locator("#handle").focus()
    for name in ("truth:map=oracle", "input"):
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        settle(page)
        assert name in str(page.evaluate("document.activeElement.textContent"))
        assert grey_at(page, 20) == LEVEL[name]
        assert page.evaluate("document.activeElement.ariaPressed") == "true"
    named = page.evaluate(
        "[...document.querySelectorAll('#viewer button, #viewer select, #viewer input, #stage, "
        "#handle')].filter((one) => !(one.ariaLabel || one.textContent.trim() "
        "|| one.labels?.length)).map((one) => one.outerHTML)"
    )
    assert named == [], "every control has a name"


@pytest.mark.slow
def test_chips_are_wrapped(browser: Browser, index: Path) -> None:
    opened = Opened(browser, **PHONE)
    opened.page.goto(index.as_uri())
    open_picture(opened.page)
    boxes = [one.bounding_box() for one in opened.page.locator("#methods button").all()]
    assert all(box and box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes)
    assert len({box["y"] for box in boxes if box}) > 1
    opened.context.close()
    assert opened.trouble == []


@pytest.mark.slow
def test_a_view_has_an_address_and_back_works(opened: Opened) -> None:
    open_picture(opened.page)
    opened.page.keyboard.press("d")
    address = opened.page.url
    opened.page.go_back()
    assert opened.page.locator("#list").is_visible()
    opened.page.go_back()
    assert opened.page.locator("#overview").is_visible()
    other = opened.context.new_page()
    other.goto(address)
    assert other.locator("#viewer h1").inner_text() == "one · 4 of 4"
    assert other.locator("#ways [aria-pressed=true]").inner_text() == "Difference"


@pytest.mark.slow
def test_a_picture_is_fitted_when_it_is_loaded(page: Page, tmp_path: Path) -> None:
    open_picture(page)
    fitted = transform(page)[2]
    imageio.write(tmp_path / "half.png", np.ones((40, 60, 3), np.float32), 8)
    swap = "url => document.querySelectorAll('#pair img').forEach((one) => { one.src = url; })"
    page.evaluate(swap, (tmp_path / "half.png").as_uri())
    until(
        page, "[...document.querySelectorAll('#pair img')].every((one) => one.naturalWidth === 60)"
    )
    assert transform(page)[2] == pytest.approx(2 * fitted, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "hash_", ["#t=99&m=77&p=5", "#m=1&p=x&l=constructor", "#m=1&o=toString&w=<b>&k=-1", "#&&=%"]
)
def test_an_address_that_makes_no_sense_shows_something_that_does(
    page: Page, index: Path, hash_: str
) -> None:
    for _ in range(2):  # changed under the open page, then opened with it
        page.goto(index.as_uri() + hash_)
        assert page.locator("#overview:visible, #list:visible").count() == 1
        page.reload()


@pytest.mark.slow
def test_cards_open_and_close(page: Page) -> None:
    line(page, "better").get_by_role("button", name="better").click()
    card = page.locator(".card:popover-open")
    assert "BSDS500, DPD train" in card.inner_text()
    page.keyboard.press("Escape")
    assert card.count() == 0


@pytest.mark.slow
def test_a_run_without_pictures_has_lists_but_nothing_to_open(
    browser: Browser, tmp_path: Path, toys: Path
) -> None:
    with make(tmp_path / "run", pictures=False) as store:
        made = comparison.write_comparison_page(results_of(store), tmp_path / "page")
    opened = Opened(browser)
    opened.page.goto(made.as_uri())
    open_list(opened.page)
    assert opened.page.locator("#none-kept").is_visible() and len(listed(opened.page)) == 4
    assert opened.page.locator("#list tbody button:enabled").count() == 0
    opened.context.close()
    assert opened.trouble == []


@pytest.mark.slow
def test_pictures_of_one_scene_count_once(browser: Browser, tmp_path: Path, toys: Path) -> None:
    with make(tmp_path / "run", scenes=("shared", "shared", None, None)) as store:
        made = comparison.write_comparison_page(results_of(store), tmp_path / "page")
    opened = Opened(browser)
    opened.page.goto(made.as_uri())
    assert opened.page.get_by_text("4 of 3 scenes", exact=True).count() == 1
    open_list(opened.page)
    assert opened.page.locator("#verdict").inner_text() == (
        "better is better than input on 2, worse on 0 and equal on 1 of 3 scenes; "
        "mean difference +2.67 dB."
    )
    opened.context.close()
    assert opened.trouble == []


PHONE = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 2,
}


@pytest.mark.slow
def test_fingers_move_the_slider_and_pinch(browser: Browser, index: Path) -> None:
    opened = Opened(browser, **PHONE)
    page = opened.page
    page.goto(index.as_uri())
    open_picture(page)
    touch = opened.context.new_cdp_session(page)
    box = page.locator("#stage").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def fingers(kind: str, *points: tuple[float, float]) -> None:
        told = [{"x": one, "y": two, "id": number} for number, (one, two) in enumerate(points)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": told})

    fingers("touchStart", (x, y))
    fingers("touchMove", (x + 0.25 * box["width"], y))
    fingers("touchEnd")
    assert page.locator("#handle").get_attribute("aria-valuenow") == "75"
    before = transform(page)[2]
    fingers("touchStart", (x - 40, y), (x + 40, y))
    fingers("touchMove", (x - 80, y), (x + 80, y))
    fingers("touchEnd")
    assert transform(page)[2] == pytest.approx(2 * before, rel=0.05)
    opened.context.close()
    assert opened.trouble == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("look", "context"),
    [("light", {}), ("dark", {"color_scheme": "dark"}), ("phone", PHONE)],
    ids=str,
)
def test_it_fits_the_screen_and_the_time_of_day(
    browser: Browser, index: Path, tmp_path: Path, look: str, context: dict[str, Any]
) -> None:
    folder = Path(os.environ.get("BENCHMARK_SCREENSHOTS") or tmp_path)
    opened = Opened(browser, **context)
    page = opened.page
    page.goto(index.as_uri())
    ways = {
        "table": lambda: None,
        "list": lambda: open_list(page),
        "picture": lambda: _first(page),
        "grid": lambda: _press(page, "g"),
        "error": lambda: _press(page, "e"),
    }
    for screen, enter in ways.items():
        enter()
        shown = page.screenshot(path=folder / f"page-{look}-{screen}.png")
        ground = np.asarray(Image.open(io.BytesIO(shown)).convert("L"))[2, 2]
        assert ground < 60 if look == "dark" else ground > 200
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (
            "nothing is cut off"
        )
    opened.context.close()
    assert opened.trouble == []


def _first(page: Page) -> None:
    page.locator("#list tbody tr").first.click()
    settle(page)


def _press(page: Page, key: str) -> None:
    page.keyboard.press(key)
    settle(page)
