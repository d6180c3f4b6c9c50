"""A folder of pictures that others made, as a method: pairing, checks, exact reading, tables."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import benchmark
from benchmark import conformance, imageio, plan
from benchmark.api import DataError, Observation, PicturePairs, UsageError
from benchmark.metrics.tracks import Track
from benchmark.noise import Noise
from benchmark.plan import PlannedMethod
from benchmark.registry import METHODS, build_plugin, create
from tests.benchmark.hostile_pictures import SPECIAL_FILES, UNPRINTABLE_NAMES
from tests.benchmark.picture_corpus import make_profile
from tests.datasets import makers

NAMES = ("0001", "0002", "0003", "0004")
SIZE = (40, 32)


def write(path: Path, seed: int = 0, bit_depth: int = 8, size: tuple[int, int] = SIZE) -> Path:
    """Write a sharp texture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    imageio.write(path, makers.texture(seed, size).astype(np.float32), bit_depth)
    return path


def read_levels(path: Path) -> np.ndarray:
    """Return a file's pixels as OpenCV reads them: RGB, as stored."""
    import cv2

    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1]


@pytest.fixture
def data(tmp_path: Path) -> str:
    """The id of a data set of four pictures with targets, called NAMES."""
    for seed, name in enumerate(NAMES):
        target = makers.texture(seed, SIZE).astype(np.float32)
        for role, picture in (("target", target), ("input", makers.blurred(target))):
            (tmp_path / "data" / role).mkdir(parents=True, exist_ok=True)
            path = tmp_path / "data" / role / f"{name}.png"
            imageio.write(path, picture.astype(np.float32), 8)
    return f"folder:path={tmp_path / 'data'}"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder with a picture for each of NAMES: the target, a little blurred."""
    for seed, name in enumerate(NAMES):
        (tmp_path / "SFNet").mkdir(exist_ok=True)
        picture = makers.blurred(makers.texture(seed, SIZE), 0.4).astype(np.float32)
        imageio.write(tmp_path / "SFNet" / f"{name}.png", picture, 8)
    return tmp_path / "SFNet"


def pair(
    text: str,
    dataset: str,
    *,
    limit: int | None = None,
    sigmas: tuple[float, ...] = (0.0,),
    track: str = "u8",
    remarks: list[str] | None = None,
) -> PlannedMethod:
    """Return a method as a run plans it."""
    selection = plan.select_dataset(dataset, Path(), limit)
    (method,) = plan.pair_methods(
        plan.select_methods([text]),
        selection,
        [Track.parse(track)],
        [Noise(sigma) for sigma in sigmas],
        (lambda _: None) if remarks is None else remarks.append,
    )
    return method


def pairs_of(method: PlannedMethod) -> PicturePairs:
    pairs = method.id.arguments["pairs"]
    assert isinstance(pairs, PicturePairs)
    return pairs


# Pairing
# --------------------------------------------------------------------------------------------------


def test_files_called_like_the_samples_are_theirs(results: Path, data: str) -> None:
    remarks: list[str] = []
    method = pair(f"pictures:path={results}", data, remarks=remarks)
    assert pairs_of(method).files == {0.0: {name: f"{name}.png" for name in NAMES}}
    assert method.id.label == "SFNet" and remarks == []


@pytest.mark.parametrize("ending", ["_restored", "-Deblurred", ".out", "_SFNet_l1", "_1"])
def test_an_ending_is_left_out_and_said(results: Path, data: str, ending: str) -> None:
    for name in NAMES:
        (results / f"{name}.png").rename(results / f"{name}{ending}.png")
    remarks: list[str] = []
    method = pair(f"pictures:path={results}", data, remarks=remarks)
    assert pairs_of(method).files == {0.0: {name: f"{name}{ending}.png" for name in NAMES}}
    assert remarks == [f"SFNet: 4 files are called *{ending}, where * is the sample"]


@pytest.mark.parametrize("pattern", ["image_*", "SFNet-DPD_*_out", "x y.*_l1"])
def test_a_beginning_that_all_files_share_is_left_out(
    results: Path, data: str, pattern: str
) -> None:
    for name in NAMES:
        (results / f"{name}.png").rename(results / f"{pattern.replace('*', name)}.png")
    remarks: list[str] = []
    method = pair(f"pictures:path={results}", data, remarks=remarks)
    files = {name: f"{pattern.replace('*', name)}.png" for name in NAMES}
    assert pairs_of(method).files == {0.0: files}
    assert remarks == [f"SFNet: 4 files are called {pattern}, where * is the sample"]


def test_a_name_that_has_an_ending_itself_is_found_first(tmp_path: Path) -> None:
    for name in ("a", "a_out"):
        write(tmp_path / "data" / f"{name}.png")
        write(tmp_path / "R" / f"{name}.png")
        write(tmp_path / "S" / f"{name}_out.png")
    dataset = f"folder:path={tmp_path / 'data'}"
    exact = pairs_of(pair(f"pictures:path={tmp_path / 'R'}", dataset)).files[0.0]
    assert exact == {"a": "a.png", "a_out": "a_out.png"}
    # a_out.png is called like one sample, and a_out_out.png like the same with an ending.
    with pytest.raises(DataError, match=r"a_out: a_out\.png, a_out_out\.png"):
        pair(f"pictures:path={tmp_path / 'S'}", dataset)


@pytest.mark.parametrize("form", ["{scene}/{name}", "{scene}_{name}", "{name}", "x/{name}_out"])
def test_samples_in_folders_are_found_by_path_or_by_name(tmp_path: Path, form: str) -> None:
    expected = {}
    for scene, name in (("s1", "a"), ("s2", "b")):
        write(tmp_path / "data" / scene / f"{name}.png")
        file = form.format(scene=scene, name=name) + ".png"
        write(tmp_path / "R" / file)
        expected[f"{scene}/{name}"] = file
    dataset = f"folder:path={tmp_path / 'data'},nested=true"
    assert pairs_of(pair(f"pictures:path={tmp_path / 'R'}", dataset)).files[0.0] == expected


def test_a_name_in_two_scenes_needs_its_path(tmp_path: Path) -> None:
    for scene in ("s1", "s2"):
        write(tmp_path / "data" / scene / "a.png")
    write(tmp_path / "R" / "a.png")
    with pytest.raises(DataError) as caught:
        pair(f"pictures:path={tmp_path / 'R'}", f"folder:path={tmp_path / 'data'},nested=true")
    assert "s1/a: no file" in str(caught.value) and "a.png: no sample" in str(caught.value)


def test_files_are_paired_by_order_only_if_asked(tmp_path: Path, data: str) -> None:
    for number in (1, 2, 10, 11):
        write(tmp_path / "R" / f"result {number}.png")
    with pytest.raises(DataError, match="pair=order"):
        pair(f"pictures:path={tmp_path / 'R'}", data)
    remarks: list[str] = []
    method = pair(f"pictures:path={tmp_path / 'R'},pair=order", data, remarks=remarks)
    files = [f"result {number}.png" for number in (1, 2, 10, 11)]
    assert pairs_of(method).files[0.0] == dict(zip(NAMES, files, strict=True))
    assert remarks == ["R: paired by order, from result 1.png for 0001 to result 11.png for 0004"]
    (tmp_path / "R" / "result 2.png").unlink()
    with pytest.raises(DataError, match="3 files, 4 samples"):
        pair(f"pictures:path={tmp_path / 'R'},pair=order", data)
    three = pair(f"pictures:path={tmp_path / 'R'},pair=order", data, limit=3)
    assert pairs_of(three).files[0.0]["0003"] == "result 11.png"


def test_the_samples_of_an_order_are_part_of_the_identity(tmp_path: Path, data: str) -> None:
    for number in (1, 2, 3, 4):
        write(tmp_path / "R" / f"{number}.png")
    text = f"pictures:path={tmp_path / 'R'},pair=order"
    first = pair(text, data).weights
    folder = tmp_path / "data"
    (folder / "input" / "0001.png").rename(folder / "input" / "0009.png")
    (folder / "target" / "0001.png").rename(folder / "target" / "0009.png")
    assert pair(text, data).weights != first


def test_a_limit_needs_no_other_pictures(results: Path, data: str) -> None:
    (results / "0004.png").unlink()
    assert "0002" in pairs_of(pair(f"pictures:path={results}", data, limit=2)).files[0.0]
    with pytest.raises(DataError, match=r"missing:\n    0004: no file"):
        pair(f"pictures:path={results}", data)


# Checks
# --------------------------------------------------------------------------------------------------


def test_every_file_that_does_not_fit_is_named(results: Path, data: str, tmp_path: Path) -> None:
    write(tmp_path / "data" / "input" / "0005.png", size=(33, 31))
    write(tmp_path / "data" / "target" / "0005.png", size=(33, 31))
    write(results / "0005.png", bit_depth=8, size=(33, 31))
    for name in ("0003", "0004"):
        write(results / f"{name}.png", bit_depth=16)
    (results / "0001.png").unlink()  # missing
    write(results / "0002.png", bit_depth=16, size=SIZE[::-1])  # turned
    write(results / "0004_restored.png", bit_depth=16)  # twice
    write(results / "montage.png", bit_depth=16)  # extra
    words = ["run", "--methods", f"pictures:path={results},name=Net", "--dataset", data]
    run = subprocess.run(
        [sys.executable, "-m", "benchmark", *words], capture_output=True, text=True, cwd=tmp_path
    )
    assert run.returncode == 2 and "Traceback" not in run.stderr
    for line in (
        "missing:\n    0001: no file",
        "match one sample twice:\n    0004: 0004.png, 0004_restored.png",
        "extra:\n    montage.png: no sample",
        "0002.png: is 32x40 px, the sample 40x32 on track u8, turned by 90 degrees",
        "another bit depth:\n    0005.png: has 8 bits, 4 others have 16",
    ):
        assert line in run.stderr
    assert not (tmp_path / "results").exists(), "nothing was run"


def test_sizes_are_those_that_the_track_gives(results: Path, data: str) -> None:
    for name in NAMES:
        write(results / f"{name}.png", size=(36, 27))
    pair(f"pictures:path={results}", data, track="u8-crop9")
    with pytest.raises(DataError, match=r"0001\.png: is 36x27 px, the sample 40x32 on track u8"):
        pair(f"pictures:path={results}", data)


def test_damaged_files_are_listed(results: Path, data: str) -> None:
    (results / "0001.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    claims_too_much = bytearray((results / "0002.png").read_bytes())
    claims_too_much[16:24] = b"\x00\x10\x00\x00" * 2
    (results / "0002.png").write_bytes(claims_too_much)
    with pytest.raises(DataError) as caught:
        pair(f"pictures:path={results}", data)
    text = str(caught.value)
    assert "damaged:" in text and "0001.png" in text and "0002.png" in text


def test_links_that_lead_back_or_nowhere_are_refused(results: Path, data: str) -> None:
    (results / "again").symlink_to(results, target_is_directory=True)
    with pytest.raises(DataError, match="again: is a folder that was listed already"):
        pair(f"pictures:path={results}", data)
    (results / "again").unlink()
    (results / "0001.png").unlink()
    (results / "0001.png").symlink_to(results / "0001.png")
    with pytest.raises(DataError, match=r"0001\.png: cannot be read"):
        pair(f"pictures:path={results}", data)


def test_a_folder_without_pictures_or_with_too_many_files_is_another_one(
    results: Path, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: holds no pictures"):
        pair(f"pictures:path={tmp_path / 'empty'}", data)
    with pytest.raises(DataError, match="gone: no such folder"):
        pair(f"pictures:path={tmp_path / 'gone'}", data)
    monkeypatch.setattr("benchmark.methods.picture_files._MAX_FILES", 3)
    with pytest.raises(DataError, match="holds more than 3 files"):
        pair(f"pictures:path={results}", data)
    monkeypatch.setattr("benchmark.methods.picture_files._MAX_BYTES", 3)
    monkeypatch.setattr("benchmark.methods.picture_files._MAX_FILES", 30)
    with pytest.raises(DataError, match=r"0001\.png: is too large"):
        pair(f"pictures:path={results}", data)


# Noise levels
# --------------------------------------------------------------------------------------------------


def test_noise_levels_are_sub_folders(results: Path, data: str) -> None:
    for name in NAMES:
        write(results / "noise-2.55" / f"{name}_out.png", seed=7)
    remarks: list[str] = []
    method = pair(f"pictures:path={results}", data, sigmas=(0.0, 2.55), remarks=remarks)
    files = pairs_of(method).files
    assert files[0.0]["0003"] == "0003.png" and files[2.55]["0003"] == "noise-2.55/0003_out.png"
    assert "SFNet: taken to be made of the pictures with the noise that this suite adds" in remarks
    with pytest.raises(DataError, match=r"noise 5; the folder holds noise 0, 2\.55"):
        pair(f"pictures:path={results}", data, sigmas=(5.0,))
    (results / "noise_2.55").mkdir()
    with pytest.raises(DataError, match=r"noise-2\.55/ and noise_2\.55/ are of one noise level"):
        pair(f"pictures:path={results}", data)


def test_a_plain_folder_is_of_no_noise(results: Path, data: str) -> None:
    with pytest.raises(DataError, match="noise 5; the folder holds noise 0"):
        pair(f"pictures:path={results}", data, sigmas=(0.0, 5.0))
    (results / "noise-0").mkdir()
    for name in NAMES:
        (results / f"{name}.png").rename(results / "noise-0" / f"{name}.png")
    assert pairs_of(pair(f"pictures:path={results}", data)).files[0.0]["0001"] == "noise-0/0001.png"


# Reading
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bit_depth", "largest"), [(8, 255), (16, 65535)])
@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_pictures_are_read_exactly(
    results: Path, data: str, bit_depth: int, largest: int, order: str
) -> None:
    for seed, name in enumerate(NAMES):
        write(results / f"{name}.png", seed, bit_depth)
    method = build_plugin(METHODS, pair(f"pictures:path={results}", data).id)
    image = np.zeros((SIZE[1], SIZE[0], 3), np.float32)
    observation = Observation(image, noise_sigma=0.0, order=order, sample="0003")  # type: ignore[arg-type]
    output = method.restore(observation)[..., :: 1 if order == "rgb" else -1]
    assert np.array_equal(output * np.float32(largest), read_levels(results / "0003.png"))


def test_a_picture_that_changes_under_a_run_is_no_answer(results: Path, data: str) -> None:
    method = build_plugin(METHODS, pair(f"pictures:path={results}", data).id)
    write(results / "0003.png", seed=9)
    observation = Observation(np.zeros((8, 8, 3), np.float32), noise_sigma=0.0, sample="0003")
    with pytest.raises(DataError, match="not what it was when this was planned"):
        method.restore(observation)


# Identity
# --------------------------------------------------------------------------------------------------


def cell_key(text: str, dataset: str) -> str:
    selection = plan.select_dataset(dataset, Path())
    return plan.list_cells([pair(text, dataset)], selection, [Track("u8")], [Noise()])[0].key


def test_changed_or_renamed_pictures_are_new_cells_and_moved_ones_are_not(
    results: Path, data: str, tmp_path: Path
) -> None:
    key = cell_key(f"pictures:path={results}", data)
    (results / "card.toml").write_text('title = "Selective Frequency Network"')
    assert cell_key(f"pictures:path={results}", data) == key
    assert cell_key(f"pictures:path={results},name=Net", data) != key
    moved = results.rename(tmp_path / "moved")
    assert cell_key(f"pictures:path={moved},name={results.name}", data) == key
    write(moved / "0004.png", seed=9)
    assert cell_key(f"pictures:path={moved},name={results.name}", data) != key


# Card
# --------------------------------------------------------------------------------------------------


def test_the_card_is_what_the_folder_says(results: Path, data: str) -> None:
    (results / "card.toml").write_text(
        'title = "SFNet"\npaper = "Cui et al., ICLR 2023"\ntrained_on = ["DPD"]\nlicence = "MIT"\n'
        'bits = 16\nnotes = "Sent by mail."\n'
    )
    remarks: list[str] = []
    card = pair(f"pictures:path={results}", data, remarks=remarks).card
    assert (card.title, card.paper, card.trained_on) == ("SFNet", "Cui et al., ICLR 2023", ("DPD",))
    assert (card.licence, card.family, card.made_elsewhere) == ("MIT", "learned", True)
    remark = "made of 16-bit pictures, as its card says, and this run reads u8; see --track"
    assert card.notes.endswith(f"Sent by mail. Of this run: {remark}.")
    assert remarks == [f"SFNet: {remark}"]
    remarks.clear()
    card = pair(f"pictures:path={results}", data, track="u16", remarks=remarks).card
    assert remarks == []
    assert card.notes.endswith("Sent by mail.")


def test_without_a_card_nothing_is_known(results: Path) -> None:
    card = create(METHODS, f"pictures:path={results}")[0].card
    assert (card.trained_on, card.licence, card.generators) == (None, "not stated", ())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('titel = "x"', r"titel: Extra inputs .*It may have title, family, paper"),
        ("bits = 12", "bits: "),
        ('bits = "16"', "bits: "),
        ("title = 3", "title: "),
        ('title = "a\\nb"', "title: .*one printable line"),
        ('trained_on = "DPD"', "trained_on: "),
        ("title = ", "cannot be read as TOML"),
        ("title = '\udcff'", "cannot be read as TOML"),
        (f"x = {'[' * 9000}", "cannot be read as TOML"),
        ("#" * 200_000, "more than 100000 bytes"),
    ],
)
def test_a_card_that_says_something_else_is_refused(results: Path, content: str, says: str) -> None:
    (results / "card.toml").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=rf"card\.toml: .*{says}|card\.toml: {says}"):
        create(METHODS, f"pictures:path={results}")


# Elsewhere in the suite
# --------------------------------------------------------------------------------------------------


def test_pictures_restore_nothing_outside_of_a_run(results: Path, data: str) -> None:
    with pytest.raises(UsageError, match="looks up pictures"):
        benchmark.load_method(f"pictures:path={results}").restore(np.zeros((8, 8, 3), np.float32))
    notes: list[str] = []
    (method,) = plan.select_restoring_methods([f"input,pictures:path={results}"], notes.append)
    assert method.id.label == "input"
    assert notes == ["left out: SFNet, pictures that were made elsewhere"]
    with pytest.raises(UsageError, match="with `run` only"):
        plan.select_restoring_methods([f"pictures:path={results}"])


def test_the_checks_that_do_not_apply_say_so(results: Path) -> None:
    checks = list(conformance.check_method(f"pictures:path={results}"))
    assert [check for check in checks if not check.passes] == []
    details = {check.name: check.detail for check in checks}
    assert details["The card is complete"] == ""
    sizes = "Pictures of any size come back float32, finite, in the same size"
    assert details[sizes].startswith("does not apply: looks up pictures")


def run_benchmark(folder: Path, *words: str) -> str:
    """Run a command that must end well; return what it prints."""
    run = subprocess.run(
        [sys.executable, "-m", "benchmark", *words],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.mark.slow
def test_a_folder_stands_in_every_table_like_a_method(
    results: Path, data: str, tmp_path: Path
) -> None:
    methods = f"input,unsharp,pictures:path={results}"
    text = run_benchmark(
        tmp_path, "run", "--methods", methods, "--dataset", data, "--out", "R", "--jobs", "1"
    )
    assert "SFNet¶" in text and "¶ pictures of others" in text
    paces = text.partition("median time")[2].partition("\n\n")[0]
    assert "unsharp" in paces and "SFNet" not in paces
    comparison = run_benchmark(tmp_path, "compare", "SFNet", "input", "R")
    assert "SFNet¶ − input" in comparison and "4 wins, 0 losses" in comparison
    assert "SFNet" in run_benchmark(tmp_path, "rulers", "R")
    run_benchmark(tmp_path, "score", "R", "--protocol", "harm")
    assert "SFNet¶" in run_benchmark(tmp_path, "report", "R", "--protocol", "harm")
    assert r"SFNet\P{}" in run_benchmark(tmp_path, "report", "R", "--format", "latex")
    run_benchmark(tmp_path, "report", "R", "--format", "html", "--out", "page")
    page = "".join(path.read_text() for path in (tmp_path / "page").rglob("*.html"))
    assert "SFNet¶" in page and "of others, read from files" in page
    run_benchmark(tmp_path, "figures", "R", "--out", "figures", "--data", str(tmp_path))
    run_benchmark(tmp_path, "export", "R", "--out", "scores.csv")
    assert "SFNet¶" in run_benchmark(tmp_path, "report", "scores.csv")


@pytest.mark.slow
def test_the_two_restored_folders_have_their_known_scores(data_root: Path, tmp_path: Path) -> None:
    case = data_root.parent / "cases" / "two-restored-folders"
    if not case.is_dir():
        pytest.skip("no folder `cases` beside BENCHMARK_DATA")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "input").symlink_to(case / "blurred")
    (tmp_path / "data" / "target").symlink_to(case / "target")
    results = benchmark.run(
        [f"pictures:path={case / name}" for name in ("A", "B")],
        f"folder:path={tmp_path / 'data'}",
        out=tmp_path / "out",
    )
    table = results.table().query("measure == 'psnr'").set_index("method")
    assert round(table.loc["A", "mean"], 2) == 21.18
    assert round(table.loc["B", "mean"], 2) == 20.86
    test = results.compare("A", "B")
    assert round(test.difference.mean, 2) == 0.32
    assert (test.difference.wins, test.difference.losses, len(test.scores)) == (6, 0, 6)


@pytest.mark.parametrize("fact", ["orientation", "colours"])
def test_pictures_that_viewers_show_otherwise_are_named_or_told(
    results: Path, data: str, fact: str
) -> None:
    def change(name: str) -> None:
        with Image.open(results / f"{name}.png") as picture:
            exif = picture.getexif()
            exif[274] = 3
            profile = make_profile("swapped")
            options = {"exif": exif} if fact == "orientation" else {"icc_profile": profile}
            picture.save(results / f"{name}.png", **options)

    change("0002")
    kind = "another orientation" if fact == "orientation" else "another colour space"
    with pytest.raises(DataError, match=rf"{kind}:\n +0002\.png: has .*, 3 others have"):
        pair(f"pictures:path={results}", data)
    for name in ("0001", "0003", "0004"):
        change(name)
    remarks: list[str] = []
    pair(f"pictures:path={results}", data, remarks=remarks)
    (line,) = remarks
    assert "EXIF orientation 3" in line if fact == "orientation" else "ICC profile" in line
    assert line.endswith("they are used as stored")


@pytest.mark.parametrize("name", UNPRINTABLE_NAMES)
def test_names_that_cannot_be_printed_are_refused(results: Path, data: str, name: bytes) -> None:
    (results / "0002.png").rename(Path(os.fsdecode(bytes(results) + b"/" + name + b".png")))
    with pytest.raises(DataError, match="cannot be printed") as caught:
        pair(f"pictures:path={results}", data)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("kind", sorted(SPECIAL_FILES.keys() - {"folder", "link to a folder"}))
def test_what_is_no_file_is_named(results: Path, data: str, kind: str) -> None:
    (results / "0002.png").unlink()
    SPECIAL_FILES[kind](results / "0002.png")
    with pytest.raises(DataError, match="0002"):
        pair(f"pictures:path={results}", data)
