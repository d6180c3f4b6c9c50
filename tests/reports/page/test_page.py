"""The comparison page without a browser: complete, escaped, self-contained, the same each time."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import colormaps

from benchmark import imageio
from benchmark.api import DataError, UsageError
from benchmark.cells import Outcome, Score
from benchmark.registry import PROTOCOLS
from benchmark.reports import page
from benchmark.reports.page import builder, pictures
from benchmark.reports.page.builder import FILES_FOLDER
from benchmark.reports.page.costs import CostColumn, PageCosts
from benchmark.reports.page.gains import MethodGain, place_gain_bar
from benchmark.reports.page.galleries import read_page_content
from benchmark.reports.ranked import summary_to_ranked_grids
from benchmark.results import results_of
from benchmark.run_layout import file_name, output_picture
from benchmark.store import Store
from benchmark.stored_cards import describe_protocol
from benchmark.studies.cost import measurement
from benchmark.studies.cost.counting import NetworkCount
from benchmark.studies.cost.measurement import CostRecord
from benchmark.studies.cost.timing import TimingSubject, Trial, TrialFile, TrialReading
from tests.reports.page.page_runs import (
    GREY,
    HOSTILE_METHOD,
    HOSTILE_SAMPLE,
    PSNR,
    REASON,
    RULERS,
    SAMPLES,
    SIZE,
    cell,
    identify_sample,
    keep,
    make,
)

COUNT = NetworkCount(1, 4, 0, 0, ((1, 3, 8, 8),), {}, 0, 0, {}, {})


class Parsed(HTMLParser):
    """A page taken apart: start tags with their attributes, and the text within them by element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._content = ""
        self._open = ""
        self._open_id: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag
        self._open_id = dict(attrs).get("id")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""
        self._open_id = None

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open, data))
        if self._open_id == "content":
            self._content += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def text(self) -> str:
        shown = [text for tag, text in self.texts if tag not in ("script", "style")]
        return re.sub(r"\s+", " ", " ".join(shown))

    def content(self) -> dict[str, Any]:
        """Return what the script of the page reads."""
        return json.loads(self._content)

    def files(self) -> dict[str, bytes]:
        """Return URL -> content of the files that the page itself holds."""
        urls = [str(tag["data-file"]) for tag in self.all("script") if "data-file" in tag]
        texts = [text for tag, text in self.texts if tag == "script"][: len(urls)]
        return dict(zip(urls, map(base64.b64decode, texts), strict=True))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, toys: Path) -> Store:
    return make(tmp_path_factory.mktemp("runs") / "a <run>")


@pytest.fixture(scope="module")
def folder(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("page")
    assert (
        page.write_comparison_page(results_of(store), made, page.PageOptions(data=made))
        == made / "index.html"
    )
    return made


@pytest.fixture(scope="module")
def parsed(folder: Path) -> Parsed:
    return read(folder)


def read(folder: Path) -> Parsed:
    return Parsed((folder / "index.html").read_text("utf-8"))


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_every_mean_and_every_gain_with_its_interval_and_every_footnote_is_there(
    store: Store, parsed: Parsed
) -> None:
    [summary] = results_of(store).summaries()
    text = parsed.text()
    spans = [str(tag.get("title")) for tag in parsed.all("span")]
    for row in summary.rows:
        assert row.title in text
        for key, entry in row.entries.items():
            digits = summary.measures[key].digits
            if entry.interval is None:
                assert entry.note in text
            else:
                mean, low, high = (f"{end:.{digits}f}" for end in entry.interval[:3])  # type: ignore[str-format]
                assert mean in text and f"95 % interval of the mean [{low}, {high}]" in spans
    for note in summary.footnotes:
        assert re.sub(r"\s+", " ", note) in text
    for told in ("23.50 +2.00 [-2.11, 6.11]", "0.0318 +0.0149 [0.0125, 0.0172]", "20.50 -1.00 "):
        assert told in text


def test_gains_places_and_wins_are_those_of_the_main_table(tmp_path: Path, toys: Path) -> None:
    with make(tmp_path / "run", methods=("input", "better", HOSTILE_METHOD)) as store:
        results = results_of(store)
        page.write_comparison_page(results, tmp_path / "page")
    [summary] = results.summaries()
    text = read(tmp_path / "page").text()
    for grid in summary_to_ranked_grids(summary):
        for line in grid.groups[0]:
            place, title, gain, psnr, _, wins = (cell.text for cell in line)
            place = place.replace("-", "–")
            assert re.search(
                rf"{place} {re.escape(title)} .*?{psnr} {re.escape(gain)}.*?{wins}", text
            )


def test_galleries_and_tables_are_in_order_of_data_set_then_noise(
    tmp_path: Path, toys: Path
) -> None:
    levels = [("z", 0.0), ("a", 10.0), ("z", 10.0), ("a", 2.0), ("a", 0.0), ("z", 2.0)]
    with Store(tmp_path / "run", create=True) as store:
        store.put_cards({"quick": describe_protocol(PROTOCOLS.get("quick"))})
        run = store.start_run({})
        for dataset, sigma in levels:
            keep(store, run, cell("input", f"of {dataset}", sigma, dataset=dataset), None, 20.0)
        results = results_of(store)
        content = read_page_content(results)
        page.write_comparison_page(results, tmp_path / "page")
    expected = [(dataset, sigma) for dataset in "az" for sigma in (0, 2, 10)]
    assert [(each.dataset, each.level.sigma) for each in content.galleries] == expected
    parsed = read(tmp_path / "page")
    assert [view["gallery"] for view in parsed.content()["views"]] == [0, 1, 2, 3, 4, 5]
    choices = [text for tag, text in parsed.texts if tag == "option" and "·" in text]
    assert [text.split(" · ")[0] for text in choices] == ["a", "a", "a", "z", "z", "z"]


def test_methods_without_results_come_last_and_are_told_apart(parsed: Parsed) -> None:
    lines = [tag for tag in parsed.all("tr") if "data-name" in tag]
    for table in (lines[:5], lines[5:]):
        assert [str(tag["data-name"]).removesuffix("†") for tag in table] == [
            "truth:map=oracle", "better", "input", HOSTILE_METHOD, "broken",
        ]  # fmt: skip
        assert ["data-unmeasured" in tag for tag in table] == [False] * 4 + [True]
    assert "Not measured: broken." in parsed.text()


def test_costs_stand_beside_gains_where_they_are_known(tmp_path: Path, toys: Path) -> None:
    with make(tmp_path / "run", methods=["input", "better"], broken=False) as store:
        results = results_of(store)
        page.write_comparison_page(results, tmp_path / "page")
        assert "No costs of these methods are known" in read(tmp_path / "page").text()
        write_cost_pass(tmp_path / "cost", {"better": (9.0, 0.5, 1.5), "other": (1.0, 2.0)})
        options = page.PageOptions(cost=tmp_path / "cost")
        page.write_comparison_page(results, tmp_path / "page", options)
        text = read(tmp_path / "page").text()
        line_texts = r"wins CPU \(s\) 1 better .* 3/4 1 \[0.5, 1.5\] – input .* – Seconds"
        assert re.search(line_texts, text)
        assert "Measured on a CPU" in text and "parameters (M)" not in text
        options = page.PageOptions(cost=tmp_path / "nothing")
        with pytest.raises(UsageError, match="nothing: no cost pass here"):
            page.write_comparison_page(results, tmp_path / "page", options)


def test_costs_of_a_network_are_those_of_all_its_weights() -> None:
    counts = {"gkmnet.sim": measurement.MethodCounts({"": COUNT})}
    record = CostRecord(measurement.PictureSize(8, 8), [], counts, [], {}, {})
    costs = PageCosts(record, (CostColumn("MACs (G)", {"gkmnet.sim": "607"}),))
    [column] = costs.list_columns(["input", "gkmnet.sim-noise", "gkmnet.photo:decoder=resized"])
    assert column == ("MACs (G)", {"gkmnet.sim-noise": "607"})
    assert costs.list_columns(["input"]) == ()


def write_cost_pass(folder: Path, seconds: dict[str, tuple[float, ...]]) -> None:
    """Write a cost pass: method -> seconds of its rounds, the first of which is the warm-up."""
    folder.mkdir()
    subjects = [
        TimingSubject(name, "1", None, "cpu", "8x8", "a CPU", None, 1, "torch", "0")
        for name in seconds
    ]
    counts = {name: measurement.MethodCounts() for name in seconds}
    record = CostRecord(measurement.PictureSize(8, 8), subjects, counts, [], {}, {})
    (folder / measurement.RECORD_FILE).write_bytes(measurement.RECORD_ADAPTER.dump_json(record))
    for subject in subjects:
        for number, value in enumerate(seconds[subject.method]):
            reading = TrialReading(value, None, None, None)
            trial = Trial(subject, number, "ok", None, reading, "")
            TrialFile(folder / measurement.SAMPLES_FILE).append(trial)


def test_best_and_second_best_are_marked_as_in_the_tables(tmp_path: Path, toys: Path) -> None:
    """On scenes enough for marks; those beyond the data set's own have scores alone."""
    methods = ("input", "better", HOSTILE_METHOD)
    with make(tmp_path / "run", methods=methods, broken=False) as store:
        run = store.start_run({})
        for number in range(20):
            for index, name in enumerate(methods):
                psnr = PSNR[name] + number + 0.1 * (number * (index + 1) % 3)
                for sigma in (0.0, 2.0):
                    keep(store, run, cell(name, f"more {number}", sigma), None, psnr)
        results = results_of(store)
        [summary] = results.summaries()
        page.write_comparison_page(results, tmp_path / "page", page.PageOptions(data=tmp_path))
    parsed = read(tmp_path / "page")
    titles = [str(tag["data-name"]) for tag in parsed.all("tr") if "data-name" in tag]
    expected = []
    for number, title in enumerate(titles):
        level = summary.levels()[number // len(methods)]
        row = next(row for row in summary.rows if (row.level, row.title) == (level, title))
        expected += [(entry.best, entry.second) for entry in row.entries.values()]
    classes = [
        str(tag["class"]).split()
        for tag in parsed.all("button")
        if "figure" in str(tag.get("class"))
    ]
    assert [("best" in names, "second" in names) for names in classes] == expected
    assert any("best" in names for names in classes) and any("second" in names for names in classes)


def test_the_header_says_what_was_measured_on_what_and_by_what(parsed: Parsed) -> None:
    text = parsed.text()
    fingerprint = re.search(r"fingerprint (\w+)", text)
    assert fingerprint is not None
    expected = (
        f"Data set page-ramps Pictures 4 Fingerprint {fingerprint[1]} Input track u8 Protocol quick"
    )
    assert f"{expected} Run a <run> at commit aaaaaaaaaaaa" in text


def test_cards_say_what_methods_were_trained_on(parsed: Parsed) -> None:
    text = parsed.text()
    for told in (
        "Trained or tuned on BSDS500, DPD train",
        "Trained or tuned on unknown",
        "Trained or tuned on nothing",
        "Generator of that data toy scenes",
        "Generator other scenes",
    ):
        assert told in text
    assert "Is also given the true blur map" in text
    assert "Licence MIT <licence>" in text
    targets = {tag["popovertarget"] for tag in parsed.all("button") if "popovertarget" in tag}
    assert (
        targets <= {tag.get("id") for _, tag in parsed.tags} and len(targets) == 4 + 1 + 1 + 1 + 1
    )


def test_a_method_that_was_skipped_shows_its_reason(parsed: Parsed) -> None:
    assert f"4 of 4 pictures skipped: {REASON}" in parsed.text()
    gallery = parsed.content()["galleries"][0]
    cells = gallery["cells"][gallery["methods"].index("broken")]
    assert cells == [{"picture": None, "why": f"skipped: {REASON}"}] * 4


def test_names_never_become_markup_or_code(parsed: Parsed, folder: Path) -> None:
    content = parsed.content()
    assert HOSTILE_METHOD in content["galleries"][0]["methods"]
    assert HOSTILE_SAMPLE in [sample["name"] for sample in content["galleries"][0]["samples"]]
    assert len(parsed.all("script")) == 2
    assert not [tag for tag in parsed.all("img") if tag.get("src")]
    assert not [
        name for _, tag in parsed.tags for name in tag if name.startswith("on") or name == "style"
    ]
    assert all(path.resolve().is_relative_to(folder.resolve()) for path in folder.rglob("*"))


def test_the_policy_allows_the_page_its_own_style_and_script_and_nothing_else(
    parsed: Parsed,
) -> None:
    [policy] = [
        tag["content"]
        for tag in parsed.all("meta")
        if tag.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in str(policy).split(";"))
    assert rules["default-src"] == "'none'"
    for name in ("script", "style"):
        text = [text for tag, text in parsed.texts if tag == name][-1]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[f"{name}-src"] == f"'sha256-{digest}'"


def test_a_single_file_holds_every_picture_and_asks_for_none(
    store: Store, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / FILES_FOLDER).mkdir()
    (tmp_path / FILES_FOLDER / "of an earlier page.png").write_bytes(b"old")
    options = page.PageOptions(data=tmp_path, single_file=True)
    index = page.write_comparison_page(results_of(store), tmp_path, options)
    assert set(files_of(tmp_path)) == {"index.html"}
    parsed = read(tmp_path)
    held = parsed.files()
    files = files_of(folder / FILES_FOLDER)
    assert {unquote(url): content for url, content in held.items()} == files
    assert page.measure_page_size(index) == index.stat().st_size > sum(map(len, files.values()))
    [policy] = [tag["content"] for tag in parsed.all("meta") if "http-equiv" in tag]
    assert "img-src data:;" in str(policy)
    assert parsed.content() | {"folder": ""} == read(folder).content() | {"folder": ""}


def test_thumbnails_alone_are_small_also_in_a_single_file(
    store: Store, folder: Path, tmp_path: Path
) -> None:
    options = page.PageOptions(data=tmp_path, thumbnails=True)
    page.write_comparison_page(results_of(store), tmp_path / "small", options)
    thumbnails = files_of(tmp_path / "small" / FILES_FOLDER)
    files = files_of(folder / FILES_FOLDER)
    assert set(thumbnails) == {name for name in files if not name.startswith("run-")}
    assert read(tmp_path / "small").content() == read(folder).content() | {"thumbnails": True}
    options = options._replace(single_file=True)
    page.write_comparison_page(results_of(store), tmp_path / "one", options)
    held = {unquote(url): content for url, content in read(tmp_path / "one").files().items()}
    assert held == thumbnails


def test_a_single_file_that_browsers_could_not_open_is_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = page.PageOptions(single_file=True)
    page.write_comparison_page(results_of(store), tmp_path, options)
    before = files_of(tmp_path)
    monkeypatch.setattr(builder, "LARGEST_FILE", 5000)
    message = r"--single-file: the file would have 0 MB, more than the 0 MB .*; add --thumbnails"
    for thumbnails in (False, True):
        options = options._replace(thumbnails=thumbnails)
        with pytest.raises(UsageError, match=message):
            page.write_comparison_page(results_of(store), tmp_path, options)
    assert files_of(tmp_path)["index.html"] == before["index.html"]


def test_nothing_is_asked_of_a_network(parsed: Parsed) -> None:
    loading = {"src", "href", "srcset", "data", "poster", "action", "formaction", "background"}
    assert not [
        (tag, name) for tag, attributes in parsed.tags for name in attributes if name in loading
    ]
    own = "".join(text for tag, text in parsed.texts if tag in ("script", "style"))
    assert not re.search(
        r"https?:|//\w|url\(|@import|\bfetch\b|XMLHttpRequest|\bimport\b|eval\(|innerHTML", own
    )


def test_every_picture_it_names_is_there_with_a_thumbnail_and_no_other_file(
    parsed: Parsed, folder: Path
) -> None:
    content = parsed.content()
    named: set[str] = set()
    for gallery in content["galleries"]:
        urls = [
            one["picture"] for line in gallery["cells"] for one in line if one and one["picture"]
        ]
        urls += [sample["target"] for sample in gallery["samples"]]
        assert len(urls) == len(set(urls)) == 4 * len(GREY) + 4
        named |= {unquote(url) for url in urls} | {
            unquote(f"thumbnails/{url[:-3]}jpg") for url in urls
        }
        named |= {unquote(sample["map"]["picture"]) for sample in gallery["samples"]}
    assert named == set(files_of(folder / FILES_FOLDER))
    assert content["folder"] == f"{FILES_FOLDER}/"


def test_pictures_are_those_of_the_run_and_thumbnails_are_small(tmp_path: Path, toys: Path) -> None:
    with make(tmp_path / "run", methods=["input"], broken=False) as store:
        big = next((tmp_path / "run/pictures/input").rglob("one-*.png"))
        imageio.write(big, np.full((300, 600, 3), 0.5, np.float32), 8)
        page.write_comparison_page(results_of(store), tmp_path / "page")
    shown = tmp_path / "page" / FILES_FOLDER
    copy = shown / "run-0" / big.relative_to(tmp_path / "run")
    assert copy.read_bytes() == big.read_bytes()
    small = imageio.read(shown / pictures.thumbnail_path(copy.relative_to(shown).as_posix()))[0]
    assert small.shape == (96, 192, 3)
    np.testing.assert_allclose(small, 0.5, atol=0.02)
    for path in shown.rglob("two-*.jpg"):
        assert imageio.read(path)[0].shape[:2] == SIZE, (
            "a picture that is small already is not enlarged"
        )


def test_pictures_are_copied_where_they_cannot_be_linked(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("other file system")

    monkeypatch.setattr("os.link", refuse)
    page.write_comparison_page(results_of(store), tmp_path, page.PageOptions(data=tmp_path))
    assert files_of(tmp_path) == files_of(folder)
    assert all(path.stat().st_nlink == 1 for path in tmp_path.rglob("*.png"))


def test_built_again_it_is_the_same_byte_by_byte_and_leftovers_are_gone(
    store: Store, tmp_path: Path, folder: Path
) -> None:
    (tmp_path / FILES_FOLDER / "run-7/old").mkdir(parents=True)
    (tmp_path / FILES_FOLDER / "run-7/old/picture.png").write_text("left over")
    (tmp_path / "notes.txt").write_text("not the page's")
    for _ in range(2):
        page.write_comparison_page(results_of(store), tmp_path, page.PageOptions(data=tmp_path))
        found = files_of(tmp_path)
        assert found.pop("notes.txt") == b"not the page's"
        assert found == files_of(folder)
    assert not (tmp_path / FILES_FOLDER / "run-7").exists()


def test_a_picture_that_changed_gets_a_new_thumbnail(tmp_path: Path, toys: Path) -> None:
    with make(tmp_path / "run", methods=["input"], broken=False) as store:
        page.write_comparison_page(results_of(store), tmp_path / "page")
        picture = next((tmp_path / "run/pictures/input").rglob("one-*.png"))
        imageio.write(picture, np.ones((*SIZE, 3), np.float32), 8)
        page.write_comparison_page(results_of(store), tmp_path / "page")
    relative = picture.relative_to(tmp_path / "run").as_posix()
    small = tmp_path / "page" / FILES_FOLDER / pictures.thumbnail_path(f"run-0/{relative}")
    assert imageio.read(small)[0].min() > 0.98


def test_without_kept_pictures_there_are_numbers_only(tmp_path: Path, toys: Path) -> None:
    with make(tmp_path / "run", pictures=False) as store:
        page.write_comparison_page(results_of(store), tmp_path / "page")
    content = read(tmp_path / "page").content()
    assert all(
        one["picture"] is None for g in content["galleries"] for line in g["cells"] for one in line
    )
    assert all(sample["target"] is None for g in content["galleries"] for sample in g["samples"])
    assert len(content["views"][0]["rows"]) == len(GREY) + 1
    assert set(files_of(tmp_path / "page")) == {"index.html"}


def test_the_scores_behind_a_mean_are_those_of_the_mean(store: Store, parsed: Parsed) -> None:
    [summary] = results_of(store).summaries()
    content = parsed.content()
    for level, view in zip(("0", "2"), content["views"], strict=True):
        rows = {row.method: row for row in summary.rows if str(row.level) == level}
        methods = content["galleries"][view["gallery"]]["methods"]
        assert {methods[row["method"]] for row in view["rows"]} == set(rows)
        assert view["shared"] == [True] * 4
        for shown in view["rows"]:
            row = rows[methods[shown["method"]]]
            for values, (key, entry) in zip(shown["scores"], row.entries.items(), strict=True):
                if entry.interval is None:
                    assert values == [None] * 4
                else:
                    tolerance = 0.5 * 10.0 ** -(summary.measures[key].digits + 3)
                    assert np.mean(values) == pytest.approx(
                        entry.interval.mean, abs=tolerance * 1.01
                    )


def test_pictures_outside_the_mean_are_told_apart(tmp_path: Path, toys: Path) -> None:
    with make(tmp_path / "run", methods=["input"], broken=False) as store:
        keep(store, store.start_run({}), cell("late", "two"), 0.5, 21.0)
        page.write_comparison_page(results_of(store), tmp_path / "page")
    content = read(tmp_path / "page").content()
    number, gallery = next(
        (number, gallery)
        for number, gallery in enumerate(content["galleries"])
        if "late" in gallery["methods"]
    )
    names = [sample["name"] for sample in gallery["samples"]]
    view = next(view for view in content["views"] if view["gallery"] == number)
    assert [name for name, shared in zip(names, view["shared"], strict=True) if shared] == ["two"]
    cells = gallery["cells"][gallery["methods"].index("late")]
    assert [one is None for one in cells] == [name != "two" for name in names]


def test_scores_of_an_older_ruler_are_not_listed(tmp_path: Path, toys: Path) -> None:
    with make(tmp_path / "run", methods=["input", "better"], broken=False) as store:
        newer = {("quick", "psnr"): "1/2/-"}
        store.put_scores(
            store.start_run({}),
            cell("input", "one").key,
            {"quick": [Score("psnr", 33.0, None)]},
            newer,
        )
        page.write_comparison_page(results_of(store), tmp_path / "page")
    view = read(tmp_path / "page").content()["views"][0]
    assert [value for row in view["rows"] for value in row["scores"][0] if value is not None] == [
        33.0
    ]


def test_reasons_without_scores_are_told_for_pictures_without_target(
    tmp_path: Path, toys: Path
) -> None:
    with make(tmp_path / "run", methods=[], broken=False) as store:
        keep(store, store.start_run({}), cell("input", "one"), 0.5, None, "no target")
        page.write_comparison_page(results_of(store), tmp_path / "page")
    [row] = read(tmp_path / "page").content()["views"][0]["rows"]
    assert row["notes"] == ["no target", "no target"] and row["scores"] == [[None], [None]]


def test_methods_of_several_runs_stand_in_one_table(tmp_path: Path, toys: Path) -> None:
    with (
        make(tmp_path / "a/run", methods=["input"], broken=False) as first,
        make(tmp_path / "b/run", methods=["better"], broken=False) as second,
    ):
        page.write_comparison_page(results_of(first, second), tmp_path / "page")
    parsed = read(tmp_path / "page")
    gallery = parsed.content()["galleries"][0]
    assert gallery["methods"] == ["better", "input"]
    assert [line[0]["picture"].split("/")[0] for line in gallery["cells"]] == ["run-1", "run-0"]
    assert parsed.text().count("Trained or tuned on") == 2
    for line in gallery["cells"]:
        assert (tmp_path / "page" / FILES_FOLDER / unquote(line[0]["picture"])).is_file()


def test_one_data_set_of_several_can_be_asked_for(tmp_path: Path, toys: Path) -> None:
    with make(tmp_path / "run", methods=["input"], broken=False) as store:
        other = cell("input", "elsewhere", dataset="other", dataset_name="other")
        keep(store, store.start_run({}), other, 0.5, 21.0)
        page.write_comparison_page(results_of(store), tmp_path / "page", page.PageOptions("other"))
        content = read(tmp_path / "page").content()
        assert [sample["name"] for g in content["galleries"] for sample in g["samples"]] == [
            "elsewhere"
        ]
        assert len(content["views"]) == 1
        with pytest.raises(
            UsageError, match=r"no scores of elsewhere to show; the runs hold other, page-ramps"
        ):
            page.write_comparison_page(
                results_of(store), tmp_path / "page", page.PageOptions("elsewhere")
            )


def test_blur_maps_are_drawn_in_viridis_up_to_their_maximum(parsed: Parsed, folder: Path) -> None:
    samples = parsed.content()["galleries"][0]["samples"]
    assert [sample["map"]["top"] for sample in samples] == [4.0] * len(SAMPLES)
    drawn = imageio.read(folder / FILES_FOLDER / unquote(samples[0]["map"]["picture"]))[0]
    expected = colormaps["viridis"](np.linspace(0, 1, SIZE[1]))[:, :3]
    np.testing.assert_allclose(drawn, np.broadcast_to(expected, drawn.shape), atol=0.02)


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset": "page-ramps:maps=false"},
        {"dataset": "no-such-data-set"},
        {"data": "what the run saw is another picture"},
    ],
)
def test_without_a_true_blur_map_none_is_shown(
    tmp_path: Path, toys: Path, changes: dict[str, str]
) -> None:
    with make(tmp_path / "run", methods=[], broken=False) as store:
        keep(store, store.start_run({}), cell("input", "one", **changes), 0.5, 21.0)
        page.write_comparison_page(
            results_of(store), tmp_path / "page", page.PageOptions(data=tmp_path)
        )
    assert [
        sample["map"] for sample in read(tmp_path / "page").content()["galleries"][0]["samples"]
    ] == [None]
    assert not (tmp_path / "page" / FILES_FOLDER / "maps").exists()


@pytest.mark.parametrize("track", ["u8-crop32", "u8-pad16-black", "u8-pad16-reflect-bgr"])
def test_blur_maps_have_the_geometry_of_the_outputs(tmp_path: Path, toys: Path, track: str) -> None:
    fingerprints = {"one": identify_sample("one")}
    made = pictures.write_map_overlays("page-ramps", track, fingerprints, tmp_path, tmp_path)
    drawn = cv2.imread(str(tmp_path / made["one"].path))
    sizes = {"u8-crop32": (64, 96), "u8-pad16-black": (80, 128), "u8-pad16-reflect-bgr": SIZE}
    assert drawn is not None and drawn.shape[:2] == sizes[track]


@pytest.mark.parametrize("output", ["outputs/../../secret.npy", "/etc/secret.npy"])
def test_a_store_cannot_lead_out_of_its_run(tmp_path: Path, toys: Path, output: str) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    with make(tmp_path / "run", methods=["input"], broken=False) as store:
        scores = {"quick": [Score("psnr", 20.0, None), Score("mae", 0.1, None)]}
        store.put(
            store.start_run({}),
            cell("sly", "one"),
            Outcome("ok", output=output, scores=scores),
            RULERS,
        )
        with pytest.raises(DataError, match="outside the run"):
            page.write_comparison_page(results_of(store), tmp_path / "page")


def test_a_damaged_picture_is_named(tmp_path: Path, toys: Path) -> None:
    with make(tmp_path / "run", methods=["input"], broken=False) as store:
        next((tmp_path / "run/pictures/input").rglob("two-*.png")).write_bytes(b"no picture")
        with pytest.raises(DataError, match="two-"):
            page.write_comparison_page(results_of(store), tmp_path / "page")


def test_another_page_is_not_overwritten(store: Store, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<h1>my thesis</h1>")
    with pytest.raises(UsageError, match=r"index\.html: another page is there"):
        page.write_comparison_page(results_of(store), tmp_path)
    assert (tmp_path / "index.html").read_text() == "<h1>my thesis</h1>"


def test_an_empty_run_is_refused(tmp_path: Path) -> None:
    with (
        Store(tmp_path / "run", create=True) as store,
        pytest.raises(UsageError, match="holds no cells"),
    ):
        page.write_comparison_page(results_of(store), tmp_path / "page")


@given(st.text(), st.text())
def test_urls_lead_back_to_the_file_whatever_it_is_called(method: str, sample: str) -> None:
    path = output_picture(f"outputs/{file_name(method)}/noise-0/{file_name(sample)}.npy")
    address = urljoin("file:///page/index.html", pictures.quote_path(f"files/run-0/{path}"))
    assert re.fullmatch(r"file:///page/files/run-0/pictures/[\w.~%=/-]+\.png", address, re.ASCII)
    assert unquote(address) == f"file:///page/files/run-0/{path}"


@given(st.lists(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3), min_size=1, max_size=5))
def test_bars_share_the_scale_of_their_column_with_0_on_it(columns: list[list[float]]) -> None:
    gains = [MethodGain(0, 1, mean, low, high, 1, 2) for low, mean, high in map(sorted, columns)]
    bars = [place_gain_bar(gain, gains) for gain in gains]
    if any(any(ends) for ends in columns):
        ends = [end for bar in bars for end in bar or ()]
        assert len({bar.zero for bar in bars if bar}) == 1
        assert min(ends) == 0 and max(ends) == 100
        for gain, bar in zip(gains, bars, strict=True):
            assert bar is not None and bar.low <= bar.mean <= bar.high
            assert gain.is_sure == (gain.low > 0 or gain.high < 0)  # type: ignore[operator]
    else:
        assert set(bars) == {None}
    assert place_gain_bar(MethodGain(0, None, None, None, None, 0, 0), gains) is None


@pytest.mark.parametrize("name", builder.SCRIPTS)
def test_a_part_of_the_script_is_short_enough_to_read(name: str) -> None:
    lines = (Path(page.__file__).parent / name).read_text("utf-8").splitlines()
    assert len(lines) < 250 and max(map(len, lines)) <= 120


@pytest.mark.parametrize(
    ("size", "expected"),
    [((384, 96), (192, 48)), ((20, 10), (20, 10)), ((1, 900), (1, 192)), ((900, 1), (192, 1))],
)
def test_a_picture_of_any_shape_has_a_thumbnail(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    thumbnail = pictures._shrink_to_thumbnail(np.full((*size, 3), 0.25, np.float32))
    assert thumbnail.shape == (*expected, 3)
    np.testing.assert_allclose(thumbnail, 0.25, rtol=1e-6)
