"""What holds for every method that makes a blur map and undoes it."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from benchmark.api import Observation, UsageError
from benchmark.methods.fixed_point import FixedPoint
from benchmark.methods.two_stage import (
    blur_posterior,
    ebdb,
    hyper_laplacian,
    jnb,
    richardson_lucy,
    wiener,
    zhuo_sim,
)
from benchmark.methods.two_stage.deconvolution import DECONVOLVERS as DECONVOLVER_CLASSES
from benchmark.methods.two_stage.methods import BlurPosterior, Ebdb, Jnb, TwoStage, ZhuoSim
from benchmark.methods.uniform_wiener import UniformWiener
from benchmark.optics import gkm
from benchmark.optics.light import to_linear, to_srgb
from benchmark.optics.psf import psf_kernel
from benchmark.registry import METHODS, create, describe_parameters

Picture = NDArray[np.float32]
CLASSES: list[Callable[..., TwoStage]] = [
    ZhuoSim,
    Ebdb,
    Jnb,
    UniformWiener,
    FixedPoint,
    BlurPosterior,
]
METHODS_WITH_DEFAULTS = [
    "zhuo-sim",
    "ebdb",
    "jnb",
    "uniform-wiener",
    "fixed-point",
    "blur-posterior",
]
NAMES = ["hyper-laplacian", "richardson-lucy", "wiener"]
PLAIN: dict[str, Any] = {
    "light": "srgb",
    "iterations": 2,
    "psf": "gaussian",
    "damping": 1.0,
    "noise_weight": 0.0,
}


def _scene(shape: tuple[int, int] = (96, 128), noise: float = 0.0) -> tuple[Picture, Observation]:
    """Overlapping flat patches with sharp edges, blurred by Gaussians that widen from left to
    right.
    """
    rng = np.random.default_rng(7)
    sharp = np.full((*shape, 3), 0.5, np.float32)
    for _ in range(60):
        top, left = rng.integers(0, shape[0]), rng.integers(0, shape[1])
        tall, wide = rng.integers(8, 40, 2)
        sharp[top : top + tall, left : left + wide] = rng.uniform(0.1, 0.9, 3)
    blur_map = np.tile(np.linspace(0.5, 3, shape[1], dtype=np.float32), (shape[0], 1))
    bank = gkm.paper_bank()
    image = gkm.blur_picture(sharp, gkm.mixing_coefficients(blur_map, bank), bank)
    image += np.float32(noise / 255) * rng.standard_normal(image.shape, np.float32)
    return sharp, Observation(image=image, blur_map=blur_map)


def _psnr(picture: Picture, target: Picture) -> float:
    return -10 * float(np.log10(np.mean((picture.astype(np.float64) - target) ** 2)))


@pytest.mark.parametrize(
    ("method", "least"),
    [
        (ZhuoSim(map="oracle", deconvolution="wiener", mismatch=0.01), 2.0),
        (ZhuoSim(map="oracle"), 0.5),
        (ZhuoSim(map="oracle", constants="tuned"), 1.0),
        (ZhuoSim(map="oracle", deconvolution="richardson-lucy"), 2.0),
        (ZhuoSim(deconvolution="wiener"), 0.6),
        (ZhuoSim(deconvolution="wiener", light="linear"), 0.4),
        (FixedPoint(map="oracle", **PLAIN), 1.5),
        (FixedPoint(map="zhuo-sim", **PLAIN), 1.2),
        (FixedPoint(), 0.2),
        (BlurPosterior(), 0.3),
        (UniformWiener(), 0.3),
    ],
    ids=lambda value: str(value) if isinstance(value, float) else value.card.title,
)
def test_gains_on_gaussian_blur(method: TwoStage, least: float) -> None:
    sharp, observation = _scene()
    assert _psnr(method.restore(observation), sharp) - _psnr(observation.image, sharp) > least


def test_what_spatial_variation_buys() -> None:
    sharp, observation = _scene()
    varying = ZhuoSim(deconvolution="wiener")
    assert _psnr(varying.restore(observation), sharp) > _psnr(
        UniformWiener().restore(observation), sharp
    )


@pytest.mark.parametrize(
    "method",
    [
        ZhuoSim(deconvolution="wiener"),
        UniformWiener(),
        FixedPoint(),
        FixedPoint(map="oracle"),
        BlurPosterior(),
    ],
)
def test_noise_of_5_does_no_harm(method: TwoStage) -> None:
    sharp, observation = _scene(noise=5)
    assert _psnr(method.restore(observation), sharp) > _psnr(observation.image, sharp) - 0.05


@pytest.mark.parametrize("make", CLASSES)
def test_the_card_says_what_it_is_given(make: Callable[..., TwoStage]) -> None:
    blind, oracle = make(), make(map="oracle")
    assert not blind.card.oracle and oracle.card.oracle
    assert oracle.card.title != blind.card.title
    assert not make().card.oracle  # the class is not changed
    oracles = blind.variants.get("oracle", ())
    assert all(create(METHODS, f"{_name(make)}:{text}")[0].card.oracle for text in oracles)


def _name(make: Callable[..., TwoStage]) -> str:
    return next(name for name in METHODS.names() if METHODS.get(name) is make)


@pytest.mark.parametrize("make", CLASSES)
def test_an_oracle_without_a_map_is_skipped_with_the_reason(make: Callable[..., TwoStage]) -> None:
    _, observation = _scene((16, 16))
    bare = Observation(image=observation.image)
    assert make().skip(bare) is None
    assert make(map="oracle").skip(observation) is None
    reason = make(map="oracle").skip(bare)
    assert reason is not None and "true blur map" in reason
    with pytest.raises(ValueError, match="true blur map"):
        make(map="oracle").restore(bare)


@pytest.mark.parametrize("make", CLASSES)
def test_a_negative_sigma_is_refused(make: Callable[..., TwoStage]) -> None:
    _, observation = _scene((16, 16))
    with pytest.raises(ValueError, match="negative sigma"):
        make(map="oracle").restore(
            Observation(image=observation.image, blur_map=np.full((16, 16), -1, np.float32))
        )


@pytest.mark.parametrize(
    ("method", "estimate"),
    [
        (ZhuoSim(light="linear"), zhuo_sim.estimate_zhuo_sim_map),
        (Ebdb(light="linear"), ebdb.estimate_ebdb_map),
        (Jnb(), jnb.estimate_jnb_map),
        (BlurPosterior(), blur_posterior.estimate_posterior_map),
        (FixedPoint(), blur_posterior.estimate_posterior_map),
        (FixedPoint(map="ebdb", light="linear"), ebdb.estimate_ebdb_map),
    ],
    ids=lambda value: value.card.title if isinstance(value, TwoStage) else value.__module__,
)
def test_estimators_see_the_codes_of_the_picture(
    method: TwoStage, estimate: Callable[[Picture], Picture]
) -> None:
    """In whatever light the method deconvolves."""
    _, observation = _scene()
    np.testing.assert_array_equal(method.estimate_blur(observation), estimate(observation.image))


def test_the_true_map_is_what_an_oracle_restores_under() -> None:
    _, observation = _scene()
    np.testing.assert_array_equal(
        ZhuoSim(map="oracle").estimate_blur(observation), observation.blur_map
    )


@pytest.mark.parametrize(
    ("estimate", "most"),
    [
        (zhuo_sim.estimate_zhuo_sim_map, 0.4),
        (ebdb.estimate_ebdb_map, 0.5),
        (jnb.estimate_jnb_map, 1.2),
    ],
)
def test_estimated_maps_are_near_the_truth(
    estimate: Callable[[Picture], Picture], most: float
) -> None:
    _, observation = _scene()
    assert np.abs(estimate(observation.image) - observation.blur_map).mean() < most


DECONVOLVERS: dict[str, Callable[[Picture, Picture], Picture]] = {
    "deconvolution=wiener": lambda y, m: wiener.deconvolve_wiener(
        y, m, psf="gaussian", mismatch=0.1
    ),
    "deconvolution=wiener,psf=gkm,mismatch=0.02": lambda y, m: wiener.deconvolve_wiener(
        y, m, psf="gkm", mismatch=0.02
    ),
    "deconvolution=richardson-lucy,psf=disk,iterations=3": lambda y, m: (
        richardson_lucy.deconvolve_richardson_lucy(y, m, psf="disk", iterations=3)
    ),
    "alpha=1,weight=50,bins=feathered,mismatch=0.01,eight_bit=false,psf=disk": lambda y, m: (
        hyper_laplacian.deconvolve_hyper_laplacian(
            y, m, psf="disk", alpha=1, weight=50, mismatch=0.01, bins="feathered", eight_bit=False
        )
    ),
    "constants=tuned": lambda y, m: hyper_laplacian.deconvolve_hyper_laplacian(
        y, m, psf="gaussian", **dataclasses.asdict(hyper_laplacian.TUNED)
    ),
    "constants=released": lambda y, m: hyper_laplacian.deconvolve_hyper_laplacian(
        y, m, psf="gaussian", alpha=1.5, weight=16.8, mismatch=0, bins="hard", eight_bit=True
    ),
}


@pytest.mark.parametrize("name", ["zhuo-sim", "ebdb", "jnb"])
@pytest.mark.parametrize("text", DECONVOLVERS)
def test_any_estimator_combines_with_any_deconvolver(name: str, text: str) -> None:
    _, observation = _scene((48, 64))
    method = create(METHODS, f"{name}:{text}")[0]
    blur_map = method.estimate_blur(observation)
    assert blur_map is not None
    np.testing.assert_array_equal(
        method.restore(observation), DECONVOLVERS[text](observation.image, blur_map)
    )


def test_the_default_is_what_was_released() -> None:
    _, observation = _scene((48, 64))
    for make in (ZhuoSim, Ebdb, Jnb):
        np.testing.assert_array_equal(
            make().restore(observation), make(constants="released").restore(observation)
        )


@pytest.mark.parametrize(
    "text",
    ["iterations=3", "deconvolution=wiener,alpha=1", "deconvolution=richardson-lucy,bins=hard"],
)
def test_an_option_of_another_deconvolver_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is an option of deconvolution="):
        create(METHODS, f"ebdb:{text}")


def test_the_edge_detector_of_ebdb_is_an_option() -> None:
    _, observation = _scene((64, 80))
    maps = {}
    for edges in ("octave", "matlab"):
        method = create(METHODS, f"ebdb:edges={edges}")[0]
        assert f"{edges}'s detector" in method.card.notes.lower()
        maps[edges] = method.estimate_blur(observation)
        expected = ebdb.estimate_ebdb_map(observation.image, edges=edges)  # type: ignore[arg-type]
        np.testing.assert_array_equal(maps[edges], expected)
    np.testing.assert_array_equal(Ebdb().estimate_blur(observation), maps["octave"])
    assert np.abs(maps["octave"] - maps["matlab"]).max() > 0.01
    with pytest.raises(UsageError, match="edges=matlab is an option of map=estimate"):
        create(METHODS, "ebdb:map=oracle,edges=matlab")


@pytest.mark.parametrize("name", DECONVOLVER_CLASSES)
def test_a_deconvolver_reads_options_that_an_id_can_set(name: str) -> None:
    fields = {field.name for field in dataclasses.fields(DECONVOLVER_CLASSES[name])}
    assert {"psf", "light"} < fields <= set(describe_parameters(ZhuoSim))


def test_every_option_of_an_id_is_read_by_a_deconvolver() -> None:
    fields = {f.name for kind in DECONVOLVER_CLASSES.values() for f in dataclasses.fields(kind)}
    assert set(describe_parameters(ZhuoSim)) == fields | {"map", "deconvolution"}


def test_iterative_deconvolvers_can_be_followed() -> None:
    _, observation = _scene((48, 64))
    method = ZhuoSim(map="oracle", deconvolution="richardson-lucy", iterations=4, light="linear")
    steps = method.iterates(observation)
    assert steps is not None
    made = list(steps)
    np.testing.assert_allclose(made[0].picture, observation.image, atol=1e-6)
    np.testing.assert_array_equal(made[-1].picture, method.restore(observation))
    assert made[0].residual > made[-1].residual > 0
    assert ZhuoSim().iterates(observation) is None


def test_uniform_wiener_takes_the_median() -> None:
    _, observation = _scene()
    blur_map = UniformWiener().estimate_blur(observation)
    assert blur_map is not None
    sigma = np.float32(np.nanmedian(zhuo_sim.estimate_zhuo_sim_edges(observation.image)))
    np.testing.assert_array_equal(blur_map, np.full(observation.image.shape[:2], sigma))
    nsr = wiener.noise_to_signal(observation.image)
    blind = wiener.filter_wiener(observation.image, psf_kernel("disk", float(sigma)), nsr, 0.05)
    np.testing.assert_array_equal(
        UniformWiener(psf="disk", mismatch=0.05).restore(observation), blind
    )
    assert observation.blur_map is not None
    true = wiener.filter_wiener(
        observation.image, psf_kernel("gaussian", float(np.median(observation.blur_map))), nsr, 0.1
    )
    np.testing.assert_array_equal(UniformWiener(map="oracle").restore(observation), true)


def test_linear_light_wraps_the_deconvolution() -> None:
    _, observation = _scene()
    linear = Observation(image=to_linear(observation.image), blur_map=observation.blur_map)
    inside = ZhuoSim(map="oracle", deconvolution="wiener").restore(linear)
    outside = ZhuoSim(map="oracle", deconvolution="wiener", light="linear").restore(observation)
    np.testing.assert_array_equal(outside, to_srgb(inside))


ODD = [
    *METHODS_WITH_DEFAULTS,
    *(
        f"zhuo-sim:map=oracle,deconvolution={name},light={light}"
        for name in NAMES
        for light in ("srgb", "linear")
    ),
    "fixed-point:map=oracle,light=linear,scales=3",
    "uniform-wiener:map=oracle,light=linear",
]


@pytest.mark.parametrize("text", ODD)
def test_odd_pictures(text: str) -> None:
    rng = np.random.default_rng(0)
    pictures = {
        "flat": np.full((20, 24, 3), 0.4),
        "one pixel": np.full((1, 1, 3), 0.3),
        "tiny": rng.random((3, 3, 3)),
        "column": rng.random((40, 1, 3)),
        "row": rng.random((1, 40, 3)),
        "noise": rng.random((30, 31, 3)),
        "grey": np.repeat(rng.random((30, 30, 1)), 3, axis=2),
        "out of range": 50 * rng.standard_normal((30, 30, 3)),
    }
    method = create(METHODS, text)[0]
    for name, values in pictures.items():
        image = values.astype(np.float32)
        before = image.copy()
        observation = Observation(image=image, blur_map=np.full(image.shape[:2], 2.3, np.float32))
        restored = method.restore(observation)
        assert restored.shape == image.shape and restored.dtype == np.float32, name
        assert np.isfinite(restored).all(), name
        np.testing.assert_array_equal(image, before, err_msg=name)
        assert not np.shares_memory(restored, image), name
        np.testing.assert_array_equal(method.restore(observation), restored, err_msg=name)


@pytest.mark.parametrize("make", CLASSES)
def test_flat_pictures_come_back_flat(make: Callable[..., TwoStage]) -> None:
    flat = np.full((20, 24, 3), 102 / 255, np.float32)  # survives 8 bits
    np.testing.assert_allclose(make().restore(Observation(image=flat)), flat, atol=1e-5)


@pytest.mark.parametrize(
    "text",
    [
        "zhuo-sim:map=guess",
        "zhuo-sim:psf=square",
        "ebdb:weight=0",
        "uniform-wiener:light=gamma",
        "jnb:x=1",
    ],
)
def test_refuses_bad_parameters(text: str) -> None:
    with pytest.raises(UsageError, match=text.partition(":")[0]):
        create(METHODS, text)


def test_importing_the_methods_does_not_compile() -> None:
    """The matting library compiles on import; that must wait for `prepare`, which is never
    timed.
    """
    script = (
        "import sys, benchmark.methods.two_stage.methods as m\n"
        "assert not any(name.startswith(('pymatting', 'numba')) for name in sys.modules)\n"
        "m.ZhuoSim(map='oracle').prepare('cpu')\n"
        "assert 'pymatting' not in sys.modules\n"
        "m.ZhuoSim().prepare('cpu')\n"
        "assert 'pymatting.laplacian.cf_laplacian' in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("make", [ZhuoSim, FixedPoint])
def test_smoothing_beyond_the_largest_kernel_is_handled(make: Callable[..., TwoStage]) -> None:
    """A true map may exceed what the estimator or the kernel bank reaches."""
    sharp = gaussian_filter(np.random.default_rng(0).random((40, 40, 3)), (2, 2, 0)).astype(
        np.float32
    )
    observation = Observation(image=sharp, blur_map=np.full((40, 40), 12, np.float32))
    assert np.isfinite(make(map="oracle").restore(observation)).all()


@pytest.mark.parametrize(
    "name", ["zhuo-sim", "jnb", "ebdb", "uniform-wiener", "fixed-point", "blur-posterior"]
)
def test_every_choice_of_every_option_works(name: str) -> None:
    _, observation = _scene((32, 40))
    hints = get_type_hints(METHODS.get(name).__init__, include_extras=True)
    for option, kind in hints.items():
        choices = next(
            (get_args(part) for part in (kind, *get_args(kind)) if get_origin(part) is Literal), ()
        )
        for choice in choices:
            assert np.isfinite(
                create(METHODS, f"{name}:{option}={choice}")[0].restore(observation)
            ).all(), (option, choice)


@pytest.mark.parametrize(
    "text", ["zhuo-sim:weight=inf", "uniform-wiener:mismatch=nan", "fixed-point:noise_weight=inf"]
)
def test_numbers_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="finite"):
        create(METHODS, text)


def test_learned_constants_are_part_of_what_a_result_depends_on(
    monkeypatch: Any, tmp_path: Any
) -> None:
    for text in ("jnb", "blur-posterior", "fixed-point", "fixed-point:map=jnb"):
        assert len(create(METHODS, text)[0].weights_hash() or "") == 64
    for text in ("jnb:map=oracle", "fixed-point:map=ebdb", "zhuo-sim"):
        assert create(METHODS, text)[0].weights_hash() is None
    other = tmp_path / "constants"
    other.write_bytes(b"others")
    before = Jnb().weights_hash()
    monkeypatch.setattr(jnb, "LEARNED", other)
    assert Jnb().weights_hash() != before


def test_cards_say_what_the_constants_saw() -> None:
    assert ZhuoSim().card.trained_on == ("DPD test",)
    assert ZhuoSim(constants="tuned").card.trained_on == ("BSDS500",)
    assert Jnb().card.trained_on == ("BSDS500", "DPD test")
    assert Ebdb(deconvolution="wiener").card.trained_on == ("BSDS500",)
    assert "Richardson-Lucy" in Ebdb(deconvolution="richardson-lucy").card.notes
    assert ZhuoSim.card.trained_on == ()  # the class is not changed


def test_in_linear_light_nothing_is_rounded_to_eight_bits() -> None:
    _, observation = _scene((32, 40))
    default = ZhuoSim(map="oracle", light="linear").restore(observation)
    np.testing.assert_array_equal(
        default, ZhuoSim(map="oracle", light="linear", eight_bit=False).restore(observation)
    )
    assert (
        np.abs(
            default - ZhuoSim(map="oracle", light="linear", eight_bit=True).restore(observation)
        ).max()
        > 0
    )
