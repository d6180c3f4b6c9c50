"""The page of `deblur`: what it holds, and that nothing in it comes from elsewhere."""

from __future__ import annotations

import base64
import io
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from benchmark import imageio
from benchmark.api import UsageError
from benchmark.cli import app
from benchmark.reports.before_after import (
    RestoredPicture,
    require_own_before_after_page,
    write_before_after_page,
)

HOSTILE = '"><script>alert(1)</script>&'
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
BEFORE, AFTER = 60, 200


def write_grey(path: Path, level: int, size: tuple[int, int] = (40, 30)) -> Path:
    Image.new("RGB", size, (level, level, level)).save(path)
    return path


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """The page of two pictures, one with a name that no text can hold, and two methods."""
    folder = tmp_path / "out"
    folder.mkdir()
    unprintable = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))
    sources = [write_grey(tmp_path / "a.png", BEFORE), write_grey(unprintable, BEFORE)]
    results = []
    for method in ("unsharp", f"folder:path={HOSTILE}"):
        for number, source in enumerate(sources):
            target = write_grey(folder / f"100% #{number}-{method[:7]}.png", AFTER)
            results.append(RestoredPicture(source, target, method))
    return write_before_after_page(folder, results)


def test_the_page_holds_every_picture_and_asks_for_nothing(index: Path) -> None:
    html = index.read_text("utf-8")
    pictures = re.findall(
        r'data-picture="(\d)" data-name="([^"]*)".*?base64,([A-Za-z0-9+/=]+)"', html
    )
    assert [(number, name) for number, name, _ in pictures] == [
        (number, name)
        for number in "01"
        for name in (
            "before",
            "unsharp",
            "folder:path=&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;",
        )
    ]
    for _, name, text in pictures:
        image = Image.open(io.BytesIO(base64.b64decode(text)))
        level = BEFORE if name == "before" else AFTER
        assert image.size == (40, 30) and np.abs(np.asarray(image, int) - level).max() <= 1
    assert "default-src 'none'" in html and "<script>alert" not in html
    assert set(re.findall(r'src="(.{5})', html)) == {"data:"}
    assert 'href="100%25%20%230-unsharp.png"' in html and r"\udcff.png" in html


def test_what_a_photograph_says_beside_its_pixels_is_not_on_the_page(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[271] = "camera of somebody"
    exif[274] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "a.jpg", exif=exif)
    shutil.copy(tmp_path / "a.jpg", tmp_path / "b.jpg")
    result = RestoredPicture(tmp_path / "a.jpg", tmp_path / "b.jpg", "input")
    html = write_before_after_page(tmp_path, [result]).read_text("utf-8")
    for text in re.findall(r"base64,([A-Za-z0-9+/=]+)", html):
        data = base64.b64decode(text)
        assert b"somebody" not in data
        assert Image.open(io.BytesIO(data)).getexif()[274] == 6


def test_a_page_of_others_is_not_overwritten(tmp_path: Path, index: Path) -> None:
    require_own_before_after_page(index.parent)  # its own may be
    (tmp_path / "index.html").write_text("my diary")
    write_grey(tmp_path / "a.png", BEFORE)
    call = ["deblur", str(tmp_path / "a.png"), "--methods", "input", "--out", str(tmp_path)]
    result = CliRunner().invoke(app, [*call, "--page"])
    assert isinstance(result.exception, UsageError)
    assert "another page is there" in str(result.exception)
    assert not (tmp_path / "a-input.png").exists()  # told before any work
    assert (tmp_path / "index.html").read_text() == "my diary"


def test_deblur_writes_the_page_where_it_is_asked_to(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).random((20, 24, 3)).astype(np.float32)
    imageio.write(tmp_path / "a.png", picture, 16)
    call = ["deblur", str(tmp_path / "a.png"), "--methods", "input,unsharp"]
    out = tmp_path / "out"
    assert CliRunner().invoke(app, [*call, "--out", str(out)]).exit_code == 0
    assert not (out / "index.html").exists()
    result = CliRunner().invoke(app, [*call, "--out", str(out), "--page"])
    assert result.exit_code == 0 and f"page: {out / 'index.html'}" in result.output
    html = (out / "index.html").read_text("utf-8")
    assert re.findall(r'data-name="(\w+)"', html) == ["before", "input", "unsharp"]


@pytest.mark.browser
@pytest.mark.slow
def test_a_browser_shows_the_two_sides(index: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this system")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM)
        page = browser.new_page(viewport={"width": 900, "height": 700})
        trouble: list[str] = []
        page.on("console", lambda message: trouble.append(message.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.goto(index.as_uri())

        def read_levels() -> list[int]:
            """Return what is seen in the left and the right part of the picture."""
            page.wait_for_function("document.getElementById('under').naturalWidth === 40")
            page.wait_for_timeout(100)
            image = Image.open(io.BytesIO(page.locator("#canvas").screenshot())).convert("L")
            middle = image.height // 2
            return [
                min((BEFORE, AFTER), key=lambda level: abs(level - image.getpixel((x, middle))))
                for x in (image.width // 10, image.width * 9 // 10)
            ]

        assert read_levels() == [BEFORE, AFTER]
        page.keyboard.press(" ")
        assert read_levels() == [AFTER, BEFORE]
        page.keyboard.press(" ")
        page.keyboard.press("f")
        assert read_levels() == [AFTER, AFTER]
        page.keyboard.press(" ")
        assert read_levels() == [BEFORE, BEFORE]
        page.keyboard.press("f")
        page.keyboard.press("n")
        page.keyboard.press("2")
        assert page.locator("#right-name").inner_text() == f"folder:path={HOSTILE}"
        box = page.locator("#canvas").bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + box["width"] * 0.95, box["y"] + 20)
        assert read_levels() == [BEFORE, BEFORE]
        browser.close()
    assert trouble == []
