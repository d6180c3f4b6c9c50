"""The comparison page in a real browser, opened from disk: every control works, nothing is asked of
a network.

Needs Playwright and a Chromium of the system. Screenshots are kept in the folder that
BENCHMARK_SCREENSHOTS names.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from benchmark import imageio
from benchmark.reports import page as comparison
from benchmark.results import results_of
from tests.reports.page.page_runs import GREY, HOSTILE_METHOD, HOSTILE_SAMPLE, REASON, TARGET, make

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page, Request

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
        return comparison.write_comparison_page(results_of(store), folder, data=folder)


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
        if not url.startswith("file:///"):
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


def transform(page: Page) -> tuple[float, float, float]:
    """Return offset and scale of the pictures, which must be the same for all of them."""
    shown = page.evaluate(
        "[...document.querySelectorAll('#stage img')].map((one) => one.style.transform)"
    )
    assert len(set(shown)) == 1
    x, y, scale = map(float, re.findall(r"-?[\d.]+(?:e-?\d+)?", shown[0]))
    return x, y, scale


def test_a_column_is_sorted_by_its_mean_and_what_has_none_stays_last(page: Page) -> None:
    best_first = ["truth:map=oracle", "better", "input", HOSTILE_METHOD]
    head = page.locator("#overview .scroll:not([hidden]) thead button", has_text="PSNR")
    head.click()
    assert names(page) == [*best_first, "broken"]
    assert head.locator("..").get_attribute("aria-sort") == "descending"
    head.click()
    assert names(page) == [*reversed(best_first), "broken"]
    page.locator("#overview .scroll:not([hidden]) thead button", has_text="MAE").click()
    assert names(page) == [*best_first, "broken"], "least error first"
    page.locator("#overview .scroll:not([hidden]) thead button", has_text="Method").click()
    assert names(page) == sorted([*best_first, "broken"])
    head.click()
    assert names(page) == [*best_first, "broken"], "also when it was not last before"


@pytest.mark.slow
def test_methods_are_filtered_by_name_and_by_family(page: Page) -> None:
    everything = names(page)
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
def test_a_method_without_results_says_why(page: Page) -> None:
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
    key = 1 + [button.inner_text() for button in page.locator("#left option").all()].index(
        HOSTILE_METHOD
    )
    page.keyboard.press(str(key))
    settle(page)
    assert grey_at(page, 20) == LEVEL[HOSTILE_METHOD]
    pressed = page.locator("#methods [aria-pressed=true]")
    assert pressed.count() == 1 and HOSTILE_METHOD in pressed.inner_text()
    page.keyboard.press("Shift+Digit2")
    page.keyboard.press("x")
    settle(page)
    assert (grey_at(page, -20), grey_at(page, 20)) == (LEVEL[HOSTILE_METHOD], LEVEL["better"])
    page.keyboard.press("t")
    settle(page)
    assert grey_at(page, -20) == LEVEL["target"]
    page.keyboard.press("t")
    settle(page)
    assert grey_at(page, -20) == LEVEL["input"], "what it is compared with in the list"
    page.locator("#right").select_option(label="input")
    settle(page)
    assert grey_at(page, 20) == LEVEL["input"]
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
    line(page, "input").locator(".figure").first.focus()
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
    for key, way in (("w", "side"), ("d", "difference"), ("s", "slider")):
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
    ways = {"table": lambda: None, "list": lambda: open_list(page), "picture": lambda: _first(page)}
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
