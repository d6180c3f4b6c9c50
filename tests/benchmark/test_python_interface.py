"""The front door in Python does what the command line does, and says what it converts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import benchmark
from benchmark import imageio
from benchmark.api import Method, MethodCard, Observation, Picture, UsageError
from benchmark.noise import keyed_generator
from benchmark.python_interface import as_float_picture
from benchmark.registry import METHODS, PROTOCOLS, create_metric
from benchmark.results import Results


@pytest.fixture
def levels() -> np.ndarray:
    """A picture as 8-bit values."""
    return np.random.default_rng(3).integers(0, 256, (24, 32, 3)).astype(np.uint8)


def test_importing_the_package_and_a_classical_method_needs_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys, numpy, benchmark\n"
        "picture = numpy.zeros((16, 16, 3), numpy.float32)\n"
        "assert 'benchmark.python_interface' not in sys.modules\n"
        "output = benchmark.load_method('unsharp').restore(picture)\n"
        "assert output.shape == picture.shape\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_a_method_restores_as_its_class_does(levels: np.ndarray) -> None:
    picture = as_float_picture(levels, "picture")
    method = benchmark.load_method("unsharp:radius=1.5,amount=2.0")
    assert method.id == "unsharp:radius=1.5,amount=2.0" and method.card.family == "baseline"
    output = method.restore(picture)
    assert output.max() > 1 and output.min() < 0  # not clamped
    assert np.array_equal(output, method.restore(levels))


def test_what_a_method_remarks_is_a_warning(
    levels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = benchmark.load_method("unsharp:amount=2.0")
    kind = METHODS.get("unsharp")
    monkeypatch.setattr(kind, "list_remarks", lambda self, observation, output: ["halos"])
    with pytest.warns(UserWarning, match=r"unsharp:amount=2.0: halos"):
        method.restore(levels)
    monkeypatch.setattr(kind, "list_remarks", lambda self, observation, output: 1 / 0)
    with pytest.warns(UserWarning, match="its remarks failed: ZeroDivisionError"):
        assert method.restore(levels).shape == levels.shape


@pytest.mark.parametrize(("dtype", "suffix"), [(np.uint8, ".png"), (np.uint16, ".tif")])
def test_integer_arrays_are_read_as_their_files_are(
    dtype: type, suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmark import python_interface

    python_interface._note_conversion.cache_clear()
    largest = np.iinfo(dtype).max
    values = np.random.default_rng(1).integers(0, largest + 1, (9, 8, 3)).astype(dtype)
    picture = as_float_picture(values, "picture")
    imageio.write(tmp_path / f"p{suffix}", picture, 8 * np.dtype(dtype).itemsize)
    assert np.array_equal(picture, imageio.read(tmp_path / f"p{suffix}")[0])
    assert np.array_equal(np.rint(picture.astype(np.float64) * largest), values)
    assert f"divided by {largest}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 4), np.float32), "expected H x W x 3"),
        (np.zeros((4, 4, 3)), "convert it with .astype"),
        (np.full((4, 4, 3), 200, np.float32), "divide it by its range"),
        (np.full((4, 4, 3), np.nan, np.float32), "NaN"),
        (np.zeros((4, 4, 3), np.int64), "expected float32"),
    ],
)
def test_what_is_no_picture_is_refused(array: np.ndarray, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        benchmark.load_method("input").restore(array)


def test_what_a_method_must_not_see_is_refused(levels: np.ndarray) -> None:
    method = benchmark.load_method("unsharp")
    with pytest.raises(UsageError, match="no oracle"):
        method.restore(levels, blur_map=np.zeros(levels.shape[:2], np.float32))
    with pytest.raises(UsageError, match="not noise-aware"):
        method.restore(levels, noise_sigma=2.0)
    with pytest.raises(UsageError, match="needs the true blur map"):
        benchmark.load_method("zhuo-sim:map=oracle").restore(levels)
    with pytest.raises(UsageError, match="did you mean 'unsharp'"):
        benchmark.load_method("unsharpen")


def test_an_oracle_is_given_its_map(levels: np.ndarray) -> None:
    method = benchmark.load_method("uniform-wiener:map=oracle")
    little = method.restore(levels, blur_map=np.full(levels.shape[:2], 0.3, np.float32))
    much = method.restore(levels, blur_map=np.full(levels.shape[:2], 2.0, np.float32))
    assert not np.allclose(little, much)


def test_views_reach_the_method_in_their_order(tmp_path: Path, levels: np.ndarray) -> None:
    plugin = tmp_path / "views.py"
    plugin.write_text(
        "import numpy as np\n"
        "from benchmark.api import Method, MethodCard\n"
        "from benchmark.registry import METHODS\n"
        "@METHODS.register('left-minus-right')\n"
        "class Difference(Method):\n"
        "    card = MethodCard(title='Difference', family='baseline', inputs='views')\n"
        "    def restore(self, observation):\n"
        "        left, right = observation.views\n"
        "        return left - right\n"
    )
    method = benchmark.load_method("left-minus-right", plugins=[plugin])
    left = as_float_picture(levels, "left")
    right = np.zeros_like(left)
    assert np.array_equal(method.restore(levels, views=(left, right)), left)
    assert np.array_equal(method.restore(levels, views=(right, left)), -left)
    with pytest.raises(UsageError, match="dual-pixel views"):
        method.restore(levels)


def test_a_data_set_is_loaded_with_its_samples() -> None:
    data = benchmark.load_dataset("simulated:size=32")
    sample = data.load(data.ids()[0])
    assert sample.image.shape == (32, 32, 3) and sample.blur_map is not None


@pytest.mark.parametrize("protocol", ["canonical", "drbnet", "nrknet", "dpdnet"])
def test_evaluate_gives_what_the_protocol_gives(protocol: str) -> None:
    target, output = _pictures((37, 45))
    scores = benchmark.evaluate(output, target, protocol)
    chosen = PROTOCOLS.get(protocol)
    framed = [chosen.tracks[0].frame(picture) for picture in (output, target)]
    expected = chosen.score(*framed, "", create_metric)
    assert list(scores) == [score.key for score in expected]
    for score in expected:
        if score.value is None:
            assert np.isnan(scores[score.key])
        else:
            assert scores[score.key] == score.value


def test_a_sixteen_bit_target_is_read_through_the_track() -> None:
    values = keyed_generator("target").integers(0, 65536, (16, 16, 3)).astype(np.uint16)
    truncated = (values >> 8).astype(np.uint8)
    assert benchmark.evaluate(truncated, values)["mae"] == 0
    assert benchmark.evaluate(truncated, values, track="u16")["mae"] > 0


def test_two_sizes_are_refused() -> None:
    target, output = _pictures((8, 9))
    with pytest.raises(UsageError, match="both must have the size"):
        benchmark.evaluate(output[:-1], target)


def test_harm_is_evaluated_against_the_input() -> None:
    target, output = _pictures((80, 80))
    image = np.clip(target, 0.2, 0.8)
    in_focus = np.zeros((80, 80), bool)
    in_focus[:, :50] = True
    scores = benchmark.evaluate(output, target, "harm", image=image, in_focus=in_focus)
    expected = benchmark.evaluate(output[:, :50], image[:, :50])["psnr"]
    assert scores["keep"] == pytest.approx(expected)
    assert np.isnan(benchmark.evaluate(output, target, "harm")["keep"])


@pytest.mark.parametrize(
    "references",
    [
        {"image": np.zeros((8, 7, 3), np.float32)},
        {"in_focus": np.zeros((8, 7), bool)},
        {"in_focus": np.zeros((8, 9))},
        {"blur_map": np.zeros((9, 8))},
        {"blur_map": np.zeros((8, 9), bool)},
    ],
)
def test_references_of_another_size_or_kind_are_refused(references: dict[str, np.ndarray]) -> None:
    target, output = _pictures((8, 9))
    with pytest.raises(UsageError, match="size"):
        benchmark.evaluate(output, target, "harm", **references)


def test_gains_by_blur_are_evaluated_with_the_map_that_is_given(
    capsys: pytest.CaptureFixture[str],
) -> None:
    target, output = _pictures((80, 80))
    image = np.clip(target, 0.2, 0.8)
    blur_map = np.tile(np.arange(80), (80, 1))
    scores = benchmark.evaluate(output, target, "by-blur", image=image, blur_map=blur_map)
    sharp = np.s_[:, :20]
    gain = benchmark.evaluate(output[sharp], target[sharp])["psnr"]
    base = benchmark.evaluate(image[sharp], target[sharp])["psnr"]
    assert scores["psnr_sharp"] == pytest.approx(gain - base)
    assert "sharp and blurred by the blur map that was given" in capsys.readouterr().err


def test_without_a_map_the_blur_is_estimated_from_the_image_and_that_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = benchmark.load_dataset("simulated").load("dogs-2").target
    assert target is not None
    image = np.clip(0.5 * target + 0.25, 0, 1)
    scores = benchmark.evaluate(target, target, "by-blur", image=image)
    assert all(scores[key] > 0 for key in ("psnr_sharp", "psnr_middle", "psnr_blurred"))
    assert "the blur map that ebdb estimates from the input" in capsys.readouterr().err
    assert np.isnan(benchmark.evaluate(target, target, "by-blur")["psnr_blurred"])


def test_a_run_keeps_what_told_the_blur(tmp_path: Path) -> None:
    """A folder without maps has an estimate; the scene generator has the truth."""
    data = benchmark.load_dataset("simulated:set=five,size=64")
    for sample_id in list(data.ids())[:2]:
        sample = data.load(sample_id)
        assert sample.target is not None
        for role, picture in (("input", sample.image), ("target", sample.target)):
            (tmp_path / "data" / role).mkdir(parents=True, exist_ok=True)
            imageio.write(tmp_path / "data" / role / f"{sample_id}.png", picture, 8)
    expected = {
        "simulated:set=five,size=64": "Sharp and blurred: by the true blur map.",
        f"folder:path={tmp_path / 'data'}": "Sharp and blurred: by the blur map that ebdb "
        "estimates from the input.",
    }
    for number, (dataset, note) in enumerate(expected.items()):
        results = benchmark.run(
            ["input", "unsharp"], dataset, protocol="by-blur", jobs=1, limit=2,
            out=tmp_path / f"run{number}", root=tmp_path,
        )  # fmt: skip
        [summary] = results.summaries()
        assert note in summary.footnotes
        scores = results.scores()
        gains = scores[(scores["method"] == "input") & (scores["measure"] == "psnr_sharp")]
        assert (gains["value"] == 0).all() and len(gains) == 2


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A run of two methods over the embedded pictures, made from Python."""
    out = tmp_path_factory.mktemp("run")
    methods = ["input", "unsharp"]
    data = "simulated:set=five,size=48"
    return benchmark.run(methods, data, noise=[0, 2], jobs=1, out=out, root=out)


def test_noise_on_views_is_chosen_for_a_run(toys: Path, tmp_path: Path) -> None:
    """The mean of two views has noise of sigma under `physical`, and less by sqrt(2) else."""
    errors = {}
    for reading in ("same", "physical"):
        results = benchmark.run(
            "wants-views", "tiny:views=true,size=64", noise=[0, 20], noise_on_views=reading,
            protocol="quick", jobs=1, out=tmp_path / reading, plugins=[toys],
        )  # fmt: skip
        outputs = {
            int(path.parent.name.removeprefix("noise-")): imageio.read_output(path)
            for path in sorted((tmp_path / reading / "outputs").rglob("*.tif"))
        }
        errors[reading] = 255 * float((outputs[20] - outputs[0]).std())
        notes = [note for summary in results.summaries() for note in summary.footnotes]
        assert any(f"Noise on dual-pixel views ({reading})" in note for note in notes)
    assert errors["physical"] == pytest.approx(20, rel=0.05)
    assert errors["same"] == pytest.approx(20 / 2**0.5, rel=0.05)
    with pytest.raises(UsageError, match="noise_on_views='both': noise on views is same or phys"):
        benchmark.run("input", "tiny", noise_on_views="both", out=tmp_path)  # type: ignore[arg-type]


def test_a_run_returns_its_results(results: Results) -> None:
    scores = results.scores()
    psnr = scores[(scores["measure"] == "psnr") & (scores["method"] == "unsharp")]
    assert len(psnr) == 10 and set(psnr["sigma"]) == {0, 2} and psnr["value"].notna().all()
    table = results.table()
    assert {"input", "unsharp"} <= set(table["method"])


def test_a_run_scores_as_evaluate_does(results: Results, tmp_path: Path) -> None:
    data = benchmark.load_dataset("simulated:set=five,size=48")
    method = benchmark.load_method("unsharp")
    scores = results.scores()
    for sample_id in data.ids():
        sample = data.load(sample_id)
        expected = benchmark.evaluate(method.restore(sample.image), sample.target)
        rows = scores[
            (scores["sample"] == sample_id)
            & (scores["method"] == "unsharp")
            & (scores["sigma"] == 0)
        ]
        measured = dict(zip(rows["measure"], rows["value"], strict=True))
        for measure, value in expected.items():
            assert measured[measure] == pytest.approx(value, abs=1e-12, nan_ok=True)


def test_two_methods_are_compared(results: Results) -> None:
    test = results.compare("unsharp", "input", noise="0")
    scores = results.scores()
    clean = scores[(scores["measure"] == "psnr") & (scores["sigma"] == 0)]
    means = clean.groupby("method")["value"].mean()
    assert test.difference.mean == pytest.approx(means["unsharp"] - means["input"])
    assert str(test).startswith(f"PSNR, unsharp - input: {test.difference.mean:+.2f} dB [")
    assert results.compare("unsharp", "input", noise=0).p == test.p
    assert results.compare("unsharp", "input", noise=2.0).interval != test.interval


@pytest.mark.slow
def test_a_script_without_a_guard_runs_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import benchmark\n"
        "print('started')\n"
        "results = benchmark.run('input', 'simulated:size=32', jobs=2, limit=2)\n"
        "print(len(results.scores()) > 0)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path, timeout=300
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split()
    assert lines.count("started") == 1 and lines[-1] == "True"


def test_a_method_of_the_script_itself_is_refused_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Local(Method):
        card = MethodCard(title="Local", family="baseline")

        def restore(self, observation: Observation) -> Picture:
            return observation.image

    Local.__module__ = "__main__"
    with METHODS.temporarily({"local": Local}), pytest.raises(UsageError, match="plugins="):
        benchmark.run("local", "simulated:size=32", out=tmp_path)


def _pictures(size: tuple[int, int]) -> tuple[Picture, Picture]:
    generator = np.random.default_rng(5)
    target = generator.random((*size, 3)).astype(np.float32)
    output = target + generator.normal(0, 0.05, target.shape).astype(np.float32)
    return target, output
