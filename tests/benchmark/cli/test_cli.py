"""The command line as a person meets it: in a process of its own, from the outside."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmark import imageio

ROOT = Path(__file__).parents[3]


def torch_sees_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def call(*words: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    keep = {key: value for key, value in os.environ.items() if not key.startswith("BENCHMARK_")}
    command = [sys.executable, "-m", "benchmark", *words]
    return subprocess.run(
        command, cwd=cwd, env=keep | environment, capture_output=True, text=True, timeout=300
    )


def test_help_teaches_and_imports_nothing_heavy() -> None:
    process = call("--help")
    assert process.returncode == 0
    for word in (
        "run",
        "score",
        "report",
        "export",
        "list",
        "datasets",
        "deblur",
        "check",
        "doctor",
        "simulate",
        "maps",
        "psf",
        "convergence",
        "cost",
        "import",
    ):
        assert word in process.stdout
    code = (
        "import sys, benchmark.cli\n"
        "heavy = {'torch', 'pandas', 'scipy', 'skimage', 'cv2', 'matplotlib', 'pydantic'} & "
        "set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
        ).returncode
        == 0
    )


BAD_USAGE: list[tuple[list[str], str]] = [
    (["run", "--methods", "all", "--dataset", "dpd"], "dd_dp_dataset_canon"),
    (["run", "--methods", "inptu", "--dataset", "simulated"], "did you mean 'input'"),
    (["run", "--methods", "input", "--dataset", "simulatd"], "did you mean 'simulated'"),
    (["run", "--methods", "input", "--dataset", "simulated:psf=square"], "expected disk|gaussian"),
    (["run", "--methods", "input", "--dataset", "folder"], "folder:path=..."),
    (["run", "--methods", "input", "--dataset", "simulated", "--noise", "1,-2"], ">= 0"),
    (["run", "--methods", "input", "--dataset", "simulated", "--noise", "low"], "0,1,2.55"),
    (
        ["run", "--methods", "input", "--dataset", "simulated", "--protocol", "cannonical"],
        "canonical",
    ),
    (
        [
            "run",
            "--methods",
            "input",
            "--dataset",
            "simulated",
            "--track",
            "u8",
            "--protocol",
            "dpdnet",
        ],
        "u16 only",
    ),
    (
        ["run", "--methods", "input", "--dataset", "simulated", "--lpips-trunk", "absent.pth"],
        "no such file",
    ),
    (
        ["run", "--methods", "input", "--dataset", "simulated", "--plugin", "absent.py"],
        "no such Python file",
    ),
    (["run", "--methods", "input", "--dataset", "simulated", "--noise", ","], "names nothing"),
    (
        ["run", "--methods", "input", "--dataset", "simulated", "--protocol", ""],
        "names nothing",
    ),
    (
        ["run", "--methods", "input", "--dataset", "simulated", "--out", "/dev/null"],
        "/dev/null",
    ),
    (
        [
            "run",
            "--methods",
            "input",
            "--dataset",
            "simulated",
            "--seed",
            "99999999999999999999",
        ],
        "--seed",
    ),
    (["simulate", "a.png", "--max-radius", "inf"], "--max-radius"),
    (["report", "nowhere"], "no run here"),
    (["report", "nowhere", "--table", "6"], "'all', 'later'"),
    (["report", "nowhere", "--cost", "folder"], "--table"),
    (["score", "nowhere", "--protocol", "canonical"], "no run here"),
    (["export", "nowhere", "--out", "a.xlsx"], ".parquet"),
    (["check"], "--methods ID"),
    (["deblur", "absent.png", "--method", "input"], "absent.png"),
    (["maps", "--methods", "ebdb", "--dataset", "rtf"], "RTF"),
    (["maps", "--methods", "ebdb:weight=0", "--dataset", "simulated"], "weight"),
    (["convergence", "--methods", "fixed-pint", "--dataset", "simulated"], "fixed-point"),
    (["psf", "--dataset", "pixel5"], "pixel4"),
]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        *BAD_USAGE[:11],
        *(pytest.param(*case, marks=pytest.mark.slow) for case in BAD_USAGE[11:]),
    ],
)
def test_bad_usage_and_missing_data_exit_with_two_and_no_traceback(
    words: list[str], says: str, tmp_path: Path
) -> None:
    process = call(*words, cwd=tmp_path)
    assert process.returncode == 2, process.stdout + process.stderr
    assert says in process.stderr and "Traceback" not in process.stderr
    assert not (tmp_path / "results").exists(), (
        "nothing is made before the input is known to be good"
    )


@pytest.mark.skipif(torch_sees_cuda(), reason="there is a CUDA device here")
@pytest.mark.parametrize(
    "words", [["run", "--dataset", "simulated", "--methods"], ["deblur", "a.png", "--method"]]
)
def test_a_device_that_is_not_there_is_refused_at_once(words: list[str], tmp_path: Path) -> None:
    process = call(*words, "input", "--device", "cuda", cwd=tmp_path)
    assert process.returncode == 2 and "no CUDA device" in process.stderr


def test_missing_data_shows_the_expected_tree(tmp_path: Path) -> None:
    process = call("run", "--methods", "all", "--dataset", "rtf", cwd=tmp_path)
    assert process.returncode == 2 and "RTF" in process.stderr and "GT" in process.stderr


def test_without_the_dataset_option_it_says_so() -> None:
    process = call("run", "--methods", "all")
    assert process.returncode == 2 and "--dataset" in process.stderr


@pytest.mark.parametrize(
    "kind",
    [
        "methods",
        *(
            pytest.param(kind, marks=pytest.mark.slow)
            for kind in ("datasets", "protocols", "metrics", "importers")
        ),
    ],
)
def test_lists(kind: str) -> None:
    process = call("list", kind)
    expected = {
        "methods": "zhuo-sim", "datasets": "pixel4", "protocols": "lakdnet", "metrics": "ssim",
        "importers": "gkmnet-official",
    }  # fmt: skip
    assert (
        process.returncode == 0
        and expected[kind] in process.stdout
        and "defocus-bench" in process.stdout
    )


def test_datasets_shows_what_is_found_and_missing(tmp_path: Path) -> None:
    from tests.datasets import makers

    makers.rtf(tmp_path)
    process = call("datasets", "--data", str(tmp_path))
    assert process.returncode == 0
    assert (
        "rtf: 22 pictures" in process.stdout
        and "dpd: not found" in process.stdout
        and "{train,val,test}_c" in process.stdout
    )


def test_doctor() -> None:
    process = call("doctor")
    assert process.returncode == 0
    for word in ("machine:", "torch", "device:", "metric lpips:", "simulated: 24 pictures"):
        assert word in process.stdout


def test_doctor_lists_weights_and_how_to_get_them() -> None:
    output = call("doctor", "--data", "absent").stdout
    section = output.partition("weights of methods that learned:")[2].partition("data root")[0]
    assert re.search(r"^gkmnet: .*photo, sim", section, re.M)
    assert "restormer: no weights - python -m benchmark import restormer-official FILE" in section
    assert "github.com/swz30/Restormer" in section
    assert "srn: no weights - python -m benchmark train srn --data FOLDER" in section
    assert "ebdb" not in section and "pictures:" not in section


def test_a_package_called_datasets_does_not_matter(tmp_path: Path) -> None:
    """The `datasets` of PyPI, also where it comes first on the path, is not ours and harms
    nothing.
    """
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "__init__.py").touch()
    process = call("list", "datasets", cwd=tmp_path)
    assert process.returncode == 0 and "simulated" in process.stdout


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Folders of two runs over the same pictures, of one method each."""
    folder = tmp_path_factory.mktemp("runs")
    for method in ("input", "unsharp"):
        words = [
            "--dataset",
            "simulated:size=64",
            "--protocol",
            "dpdnet",
            "--jobs",
            "1",
            "--out",
            method,
        ]
        process = call("run", "--methods", method, *words, cwd=folder)
        assert process.returncode == 0, process.stderr
    return str(folder / "input"), str(folder / "unsharp")


def test_report_puts_several_runs_into_one_table(two_runs: tuple[str, str]) -> None:
    process = call("report", *two_runs)
    assert process.returncode == 0, process.stderr
    assert (
        process.stdout.count("### ") == 1
        and "| input" in process.stdout
        and "| unsharp" in process.stdout
    )


@pytest.mark.parametrize("words", [[], ["--table", "1"]])
def test_report_asks_for_a_data_set_that_is_there(
    two_runs: tuple[str, str], words: list[str]
) -> None:
    process = call("report", *two_runs, *words, "--dataset", "rtf")
    assert process.returncode == 2 and "which hold simulated:size=64" in process.stderr


@pytest.mark.slow
def test_report_makes_the_tables_of_the_paper_the_same_in_every_process(
    two_runs: tuple[str, str],
) -> None:
    words = ["report", *two_runs, "--table", "all", "--dataset", "simulated", "--format", "html"]
    one, two = (call(*words, PYTHONHASHSEED=seed) for seed in ("1", "2"))
    assert one.returncode == 0, one.stderr
    assert one.stdout == two.stdout
    assert all(f"Table {number} (quality)" in one.stdout for number in range(1, 6))
    assert "measured, simulated:size=64" in one.stdout and "as printed by others" not in one.stdout


def test_report_writes_the_tables_that_are_named_to_a_file(
    two_runs: tuple[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "deep" / "tables.tex"
    process = call(
        "report",
        two_runs[0],
        "--table",
        "later",
        "--table",
        "training",
        "--table",
        "4",
        "--format",
        "latex",
        "--out",
        str(out),
    )
    assert process.returncode == 0 and process.stdout == ""
    pattern = r"caption\{(Table \d \(\w+\)|Quality|Methods)"
    captions = re.findall(pattern, out.read_text(encoding="utf-8"))
    assert captions[:3] == ["Table 4 (quality)", "Table 4 (cost)", "Quality"]
    assert set(captions[3:]) == {"Methods"}


@pytest.mark.slow
def test_report_draws_the_figures_too(two_runs: tuple[str, str], tmp_path: Path) -> None:
    """What cannot be drawn is told, with its reason, and stops nothing."""
    folder = tmp_path / "figures"
    process = call("report", *two_runs, "--figures", str(folder))
    assert process.returncode == 0 and "### " in process.stdout
    assert {"crops.pdf", "crops.png", "crops.md"} <= {path.name for path in folder.iterdir()}
    assert "robustness: not made: the runs hold one noise level" in process.stderr


def test_compare_answers_in_a_sentence(two_runs: tuple[str, str]) -> None:
    process = call("compare", "unsharp", "input", *two_runs, "--format", "csv")
    assert process.returncode == 0 and process.stdout.splitlines()[0].count(",") > 3, process.stderr
    process = call("compare", "unsharp", "inptu", *two_runs)
    assert process.returncode == 2 and "Did you mean 'input'?" in process.stderr
    process = call("compare", "--all", *two_runs)
    assert process.returncode == 0 and "24 pictures of 17 scenes" in process.stdout


def test_compare_writes_what_the_ending_says(two_runs: tuple[str, str], tmp_path: Path) -> None:
    words = ("compare", "unsharp", "input", *two_runs, "--out")
    for name, form in (("a.md", "markdown"), ("a.csv", "csv")):
        process = call(*words, str(tmp_path / name))
        assert process.returncode == 0 and process.stdout == "", process.stderr
        printed = call(*words[:-1], "--format", form).stdout
        assert printed and (tmp_path / name).read_text() == printed
    process = call(*words, str(tmp_path / "a.txt"), "--format", "csv")
    assert (tmp_path / "a.txt").read_text() == (tmp_path / "a.csv").read_text()
    process = call(*words, str(tmp_path / "a.tex"))
    assert process.returncode == 2 and "a.tex: use .md or .csv" in process.stderr
    process = call(*words, str(tmp_path / "b.md"), "--format", "terminal")
    assert process.returncode == 2 and not (tmp_path / "b.md").exists()


def test_rulers_says_how_to_have_more_of_them(two_runs: tuple[str, str]) -> None:
    process = call("rulers", *two_runs)
    assert process.returncode == 2 and "run ... --protocol" in process.stderr


@pytest.mark.slow
def test_figures_says_what_it_drew(two_runs: tuple[str, str], tmp_path: Path) -> None:
    process = call("figures", *two_runs, "--figure", "crops,psf", "--out", str(tmp_path))
    assert process.returncode == 0 and f"crops: {tmp_path / 'crops.pdf'}" in process.stdout.replace(
        "\n", ""
    ), process.stderr
    assert "psf: not made" in process.stdout
    process = call("figures", *two_runs, "--figure", "psf", "--out", str(tmp_path))
    assert process.returncode == 1
    for box, words in (("9,9,9999,9", "pixels"), ("9,9,9", "expected four whole numbers")):
        process = call("figures", *two_runs, "--figure", "crops", "--box", box)
        assert process.returncode == 2 and f"--box {box}: " in process.stderr
        assert words in process.stderr and "Traceback" not in process.stderr


@pytest.mark.parametrize(("depth", "suffix"), [(8, ".png"), (16, ".png"), (16, ".tif")])
def test_deblur_keeps_size_depth_and_name(tmp_path: Path, depth: int, suffix: str) -> None:
    top = 2**depth - 1
    picture = (np.random.default_rng(0).integers(0, top + 1, (37, 53, 3)) / top).astype(np.float32)
    source = tmp_path / f"my photo é{suffix}"
    imageio.write(source, picture, depth)
    process = call("deblur", str(source), "--method", "input", "--out", str(tmp_path / "out"))
    assert process.returncode == 0, process.stderr
    [file] = (tmp_path / "out").iterdir()
    output, bit_depth = imageio.read(file)[:2]
    assert bit_depth == depth and file.suffix == suffix and "my photo é" in file.name
    np.testing.assert_array_equal(output, picture)


def test_what_a_method_remarks_is_printed(tmp_path: Path) -> None:
    plugin = ("--plugin", str(ROOT / "tests" / "plugins" / "toys.py"))
    imageio.write(tmp_path / "a.png", np.zeros((20, 20, 3), np.float32), 8)
    process = call(
        "deblur", str(tmp_path / "a.png"), "--method", "remark", "--out", str(tmp_path), *plugin
    )
    assert process.returncode == 0 and "a.png: scaled by 1" in process.stderr.replace("\n", "")
    process = call(
        "run", "--methods", "remark:gain=0.5", "--dataset", "tiny", "--out", str(tmp_path), *plugin
    )
    assert process.returncode == 0, process.stderr
    assert "remark:gain=0.5 on picture 1, noise 0: scaled by 0.5" in process.stderr


def test_deblur_takes_the_weights_for_photographs_by_default(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).random((40, 56, 3)).astype(np.float32)
    imageio.write(tmp_path / "a.png", picture, 8)
    process = call("deblur", str(tmp_path / "a.png"), "--out", str(tmp_path / "out"))
    assert process.returncode == 0, process.stderr
    [file] = (tmp_path / "out").iterdir()
    assert file.name.startswith("a-gkmnet.photo")


def test_deblur_refuses_methods_that_need_the_truth(tmp_path: Path) -> None:
    imageio.write(tmp_path / "a.png", np.zeros((20, 20, 3), np.float32), 8)
    process = call(
        "deblur",
        str(tmp_path / "a.png"),
        "--method",
        "zhuo-sim:map=oracle",
        "--out",
        str(tmp_path / "out"),
    )
    assert process.returncode == 2 and "true blur map" in process.stderr


def test_simulate_writes_the_defocused_picture_and_its_map(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).random((40, 60, 3)).astype(np.float32)
    imageio.write(tmp_path / "sharp.png", picture, 8)
    process = call(
        "simulate",
        str(tmp_path / "sharp.png"),
        "--psf",
        "gkm",
        "--max-radius",
        "4",
        "--out",
        str(tmp_path / "o"),
    )
    assert process.returncode == 0, process.stderr
    names = {path.name for path in (tmp_path / "o").iterdir()}
    assert any(name.endswith(".png") for name in names) and any(
        name.endswith(".npy") for name in names
    )
    blurred = imageio.read(
        next((tmp_path / "o").glob("sharp*disk*.png"), next((tmp_path / "o").glob("*.png")))
    )[0]
    assert blurred.shape == picture.shape and blurred.std() < picture.std()


def test_check_reports_and_exits(tmp_path: Path) -> None:
    good = call("check", "--methods", "input")
    assert good.returncode == 0 and "ok" in good.stdout and "FAILED" not in good.stdout
    toys = str(ROOT / "tests" / "plugins" / "toys.py")
    bad = call("check", "--methods", "misbehave:how=nan", "--plugin", toys)
    assert bad.returncode == 1 and "FAILED" in bad.stdout and "NaN" in bad.stdout


def test_maps_scores_and_shows_blur_maps(tmp_path: Path) -> None:
    words = [
        "maps",
        "--methods",
        "input,zhuo-sim",
        "--dataset",
        "simulated:size=64",
        "--limit",
        "2",
        "--jobs",
        "1",
    ]
    process = call(*words, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert "zhuo-sim" in process.stdout and "makes no map" in process.stdout
    folder = tmp_path / "results" / "maps"
    assert {path.name for path in folder.glob("*/maps.*")} == {"maps.csv", "maps.md", "maps.png"}


def test_convergence_follows_iterative_methods(tmp_path: Path) -> None:
    method = "fixed-point:map=oracle,iterations=3,tolerance=0,damping=1,noise_weight=0,psf=gaussian"
    data = ["--dataset", "simulated:size=64", "--dataset", "simulated:size=64,psf=gaussian"]
    process = call(
        "convergence", "--methods", method, *data, "--limit", "1", "--jobs", "1", cwd=tmp_path
    )
    assert process.returncode == 0, process.stderr
    assert "contraction" in process.stdout
    assert {path.name for path in (tmp_path / "results" / "convergence").iterdir()} == {
        "run.sqlite",
        *(f"convergence.{suffix}" for suffix in ("csv", "md", "png", "pdf")),
    }


@pytest.mark.slow
def test_convergence_of_nothing_iterative_says_so(tmp_path: Path) -> None:
    process = call(
        "convergence",
        "--methods",
        "input",
        "--dataset",
        "simulated:size=64",
        "--limit",
        "1",
        cwd=tmp_path,
    )
    assert process.returncode == 1
    assert "is no iteration" in process.stdout


@pytest.mark.slow
def test_psf_writes_the_study(tmp_path: Path) -> None:
    process = call("psf", "--data", str(tmp_path), "--out", "study", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert "apertures only" in process.stderr
    assert "M = 21" in process.stdout
    assert {path.suffix for path in (tmp_path / "study").iterdir()} >= {
        ".csv",
        ".md",
        ".tex",
        ".png",
        ".pdf",
    }


@pytest.mark.slow
def test_a_damaged_picture_is_a_row_of_maps_and_stops_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "input"
    folder.mkdir(parents=True)
    picture = np.random.default_rng(0).random((48, 48, 3)).astype(np.float32)
    for name in ("a", "b"):
        imageio.write(folder / f"{name}.png", picture, 8)
    whole = (folder / "a.png").read_bytes()
    (folder / "a.png").write_bytes(whole[: len(whole) // 2])
    words = [
        "maps",
        "--methods",
        "ebdb",
        "--dataset",
        f"folder:path={tmp_path / 'mine'}",
        "--jobs",
        "1",
        "--out",
        "out",
    ]
    process = call(*words, cwd=tmp_path)
    assert process.returncode == 1 and "Traceback" not in process.stderr, process.stderr
    assert "a.png" in (tmp_path / "out" / "maps.csv").read_text()
    assert (tmp_path / "out" / "maps.png").exists()


def test_the_summary_of_a_command_is_one_line() -> None:
    """A line break in it would tear the list of commands."""
    import typer

    from benchmark.cli import app

    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        summary = (command.help or "").strip().partition("\n\n")[0]
        assert summary and "\n" not in summary, name


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("--kernel", "k.npy", "--psf", "disk"), "--psf"),
        (("--kernel", "k.npy", "--radius", "2"), "--radius"),
        (("--kernel", "k.npy", "--focus", "0.5"), "--focus"),
        (("--radius", "2", "--max-radius", "8"), "--max-radius"),
        (("--radius", "2", "--depth", "d.npy"), "--depth"),
    ],
)
def test_simulate_refuses_options_that_would_change_nothing(
    words: tuple[str, ...], option: str
) -> None:
    process = call("simulate", "a.png", *words)
    message = " ".join(process.stderr.split())
    assert process.returncode == 2
    assert f"so {option} would change nothing" in message and words[0] in message
