from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from benchmark import imageio
from benchmark.api import DataError
from benchmark.arrays import Float32Array
from benchmark.methods.two_stage import jnb, jnb_dictionary
from benchmark.methods.two_stage.domain_transform import recursive_filter

LEARNED = jnb.load_dictionary()


def _texture(height: int, width: int, seed: int = 0) -> Float32Array:
    """Overlapping grey rectangles with some grain, 0-255."""
    random = np.random.default_rng(seed)
    gray = np.full((height, width), 128.0)
    for _ in range(height * width // 150):
        top, left, tall, wide = *random.integers(0, (height, width)), *random.integers(3, 25, 2)
        gray[top : top + tall, left : left + wide] = random.uniform(20, 235)
    return (gray + random.normal(0, 2, gray.shape)).astype(np.float32)


def _picture(gray: Float32Array) -> Float32Array:
    return np.repeat(gray[..., None] / np.float32(255), 3, axis=2)


def _naive(
    patch: NDArray[np.float64], atoms: NDArray[np.float64], stop: float
) -> tuple[int, list[int]]:
    """OMP from its definition in double precision: project on the atoms taken, take the best for
    what is left.
    """
    signal = patch.ravel() - patch.mean()
    rest, taken = signal, []
    while np.linalg.norm(rest) > stop and len(taken) < 64:
        taken.append(int(np.argmax(np.abs(atoms.T @ rest))))
        inside = atoms[:, taken]
        rest = signal - inside @ np.linalg.lstsq(inside, signal, rcond=None)[0]
    return len(taken), taken


# Orthogonal matching pursuit
# ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sigma", "noise"), [(0.0, 0.0), (0.7, 0.0), (1.5, 0.0), (1.5, 5.0)])
def test_omp_against_its_definition(sigma: float, noise: float) -> None:
    gray = gaussian_filter(_texture(18, 20), sigma)
    gray += noise * np.random.default_rng(1).standard_normal(gray.shape).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(gray, (8, 8))
    counts, taken = jnb.pursue_patches(windows, LEARNED.atoms)
    assert counts.shape == (11, 13) and counts.max() > 3
    atoms = LEARNED.atoms.astype(np.float64)
    wrong = []
    for row, column in np.ndindex(counts.shape):
        number, columns = _naive(windows[row, column].astype(np.float64), atoms, 18.4)
        same = min(number, 12)
        assert list(taken[row, column, :same]) == columns[:same]
        wrong.append(abs(int(counts[row, column]) - number))
    # After some thirty atoms that almost depend on each other, single precision may prefer another
    # for the next.
    assert np.count_nonzero(wrong) <= 0.02 * len(wrong) and max(wrong) <= 2


def test_omp_with_orthonormal_atoms_counts_by_parseval() -> None:
    """With an orthonormal basis OMP takes the largest coefficients until the others hold no more
    than the threshold.
    """
    waves = np.kron(*[np.cos(np.pi / 8 * np.outer(np.arange(8) + 0.5, np.arange(8)))] * 2)
    atoms = np.ascontiguousarray(waves / np.linalg.norm(waves, axis=0), np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(_texture(40, 40), (8, 8))
    energy = np.square(windows.reshape(-1, 64).astype(np.float64) @ atoms.astype(np.float64))[
        :, 1:
    ]  # without the mean
    left = np.cumsum(np.sort(energy, axis=1), axis=1)
    expected = 63 - (left <= 18.4**2).sum(axis=1)
    np.testing.assert_array_equal(jnb.pursue_patches(windows, atoms)[0].ravel(), expected)


def test_omp_ends_when_the_atoms_are_used_up() -> None:
    """Three atoms, one a copy of another up to sign, explain two dimensions and no more."""
    atoms = np.zeros((64, 3), np.float32)
    atoms[0, :2], atoms[1, :2], atoms[5, 2], atoms[6, 2] = [1, -1], [-1, 1], 1, -1
    atoms /= np.sqrt(np.float32(2))
    patch = np.random.default_rng(0).uniform(0, 255, (1, 1, 8, 8)).astype(np.float32)
    assert jnb.pursue_patches(patch, atoms)[0].item() == 2


@given(value=st.floats(-500, 500, width=32), grain=st.floats(0, 2.2))
def test_grain_below_the_threshold_takes_no_atom(value: float, grain: float) -> None:
    """A checkerboard of amplitude g has a residual of length 8 g against 18.4."""
    board = value + np.float32(grain) * (1 - 2 * (np.indices((12, 15)).sum(axis=0) % 2))
    assert not jnb.count_atoms(board.astype(np.float32), LEARNED.atoms).any()


@settings(max_examples=20)
@given(shift=st.integers(-200, 200), flip=st.booleans())
def test_counts_do_not_depend_on_brightness_or_sign(shift: int, flip: bool) -> None:
    """Whole grey levels, so that the shifted picture is exact."""
    gray = np.rint(gaussian_filter(_texture(20, 20), 1.0))
    other = (-gray if flip else gray) + shift
    expected, found = (
        jnb.count_atoms(each.astype(np.float32), LEARNED.atoms) for each in (gray, other)
    )
    np.testing.assert_array_equal(found, expected)


def test_bands_make_no_seam() -> None:
    gray = _texture(60, 33)
    windows = np.lib.stride_tricks.sliding_window_view(gray, (8, 8))
    np.testing.assert_array_equal(
        jnb.count_atoms(gray, LEARNED.atoms), jnb.pursue_patches(windows, LEARNED.atoms)[0]
    )


# From counts to sigma
# -------------------------------------------------------------------------------------------------


def test_sigma_inverts_the_logistic_function() -> None:
    sigma = np.linspace(0.01, 3.2, 50)
    a, b, c, d = logistic = (40.0, 2.0, -2.0, 4.0)
    counts = (a / (1 + np.exp(b * sigma + c)) + d).astype(np.float32)
    np.testing.assert_allclose(jnb.sigma_of_counts(counts, logistic), sigma, atol=1e-3)


@given(arrays(np.float32, (20,), elements=st.floats(0, 64, width=32)))
def test_more_atoms_mean_less_blur(counts: Float32Array) -> None:
    sigma = jnb.sigma_of_counts(np.sort(counts), LEARNED.logistic)
    assert sigma.dtype == np.float32 and np.isfinite(sigma).all()
    assert sigma.min() >= 0 and sigma.max() <= np.float32(3.275)
    assert (np.diff(sigma) <= 0).all()


def test_ends_of_the_scale() -> None:
    counts = np.array([0, LEARNED.logistic[3], 64], np.float32)
    np.testing.assert_array_equal(
        jnb.sigma_of_counts(counts, LEARNED.logistic), np.array([3.275, 3.275, 0], np.float32)
    )


# Propagation
# --------------------------------------------------------------------------------------------------


def test_propagation_of_equal_counts_changes_nothing() -> None:
    np.testing.assert_allclose(
        jnb.propagate_counts(np.full((33, 43), 9, np.uint8), _texture(40, 50)), 9, rtol=1e-5
    )


def test_propagation_ignores_what_is_not_textured() -> None:
    """Counts of 3 and less, and their neighbours up to two pixels away, take the value of
    the rest.
    """
    counts = np.full((40, 60), 12, np.uint8)
    counts[:, 30:] = 3
    counts[:, 28:30] = 50
    carried = jnb.propagate_counts(counts, np.full((47, 67), 100, np.float32))
    np.testing.assert_allclose(carried, 12, rtol=1e-4)


def test_propagation_without_texture_is_the_other_mode_of_the_authors() -> None:
    counts = np.random.default_rng(0).integers(0, 4, (30, 31), dtype=np.uint8)
    gray = _texture(37, 38)
    guide = gaussian_filter(np.clip(gray[3:-4, 3:-4] / 255, 0, 1), 1, mode="nearest", radius=2)
    expected = recursive_filter(counts.astype(np.float32), 10, 0.2, 3, guide)
    np.testing.assert_allclose(jnb.propagate_counts(counts, gray), expected, atol=1e-4)


def test_bilateral_filter_against_its_definition() -> None:
    random = np.random.default_rng(0)
    values, guide = random.random((2, 9, 8)).astype(np.float32)
    expected = np.empty_like(values)
    for y, x in np.ndindex(values.shape):
        near = np.ix_(range(max(0, y - 2), min(9, y + 3)), range(max(0, x - 2), min(8, x + 3)))
        weight = np.exp(-((guide[near] - guide[y, x]) ** 2) / (2 * 0.1**2))
        expected[y, x] = (weight * values[near]).sum() / weight.sum()
    np.testing.assert_allclose(jnb._filter_bilateral(values, guide), expected, rtol=1e-5)


# The whole estimate
# --------------------------------------------------------------------------------------------------


def test_the_stronger_blur_reads_as_stronger() -> None:
    """Crowded rectangles take more atoms than photographs, so the strongest blur, 2.5, reads as
    1.5.
    """
    sharp = _texture(96, 96)
    pictures = (_picture(gaussian_filter(sharp, sigma)) for sigma in (0.5, 1.0, 1.5, 2.5))
    medians = [float(np.median(jnb.estimate_jnb_map(picture))) for picture in pictures]
    assert medians == sorted(medians)
    assert medians[0] < 0.8 and medians[-1] > 1.2


def test_two_depths_are_told_apart_where_they_are() -> None:
    sharp = _texture(80, 120)
    image = _picture(
        np.concatenate([gaussian_filter(sharp, 0.5), gaussian_filter(sharp, 2.0)], axis=1)
    )
    blur_map = jnb.estimate_jnb_map(image)
    assert blur_map.shape == (80, 240) and blur_map.dtype == np.float32
    assert blur_map[:, 130:].mean() > blur_map[:, :110].mean() + 0.5


def test_alignment() -> None:
    """The map of the patches begins at the fourth pixel and is replicated beyond its ends."""
    image = _picture(gaussian_filter(_texture(40, 50), 1.0))
    gray = jnb.scale_luma(image)
    inner = jnb.sigma_of_counts(
        jnb.propagate_counts(jnb.count_atoms(gray, LEARNED.atoms), gray), LEARNED.logistic
    )
    blur_map = jnb.estimate_jnb_map(image)
    np.testing.assert_array_equal(blur_map[3:-4, 3:-4], inner)
    np.testing.assert_array_equal(blur_map[0, 3:-4], inner[0])
    np.testing.assert_array_equal(blur_map[-1, -1], inner[-1, -1])


@settings(max_examples=30)
@given(
    shape=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    low=st.floats(-2, 1, width=32),
    high=st.floats(0, 3, width=32),
    seed=st.integers(0, 99),
)
def test_any_picture_has_a_map(shape: tuple[int, int], low: float, high: float, seed: int) -> None:
    image = low + (high - low) * np.random.default_rng(seed).random((*shape, 3), np.float32)
    blur_map = jnb.estimate_jnb_map(np.asarray(image, np.float32))
    assert blur_map.shape == shape and blur_map.dtype == np.float32
    assert (
        np.isfinite(blur_map).all() and blur_map.min() >= 0 and blur_map.max() <= np.float32(3.275)
    )


@given(value=st.floats(-2, 2, width=32), height=st.integers(1, 12), width=st.integers(1, 12))
def test_a_flat_picture_is_in_focus(value: float, height: int, width: int) -> None:
    blur_map = jnb.estimate_jnb_map(np.full((height, width, 3), value, np.float32))
    np.testing.assert_array_equal(blur_map, np.zeros((height, width), np.float32))


def test_texture_at_one_end_reaches_the_other() -> None:
    """Many sharp steps of the guide away from all texture, the weights leave the range of single
    precision.
    """
    gray = np.zeros((24, 400), np.float32)
    gray[:, ::2] = 2
    gray[:, :30] = _texture(24, 30)
    blur_map = jnb.estimate_jnb_map(_picture(gray))
    assert np.isfinite(blur_map).all()


# Learning
# --------------------------------------------------------------------------------------------------


def test_what_ships() -> None:
    assert LEARNED.atoms.shape == (64, 128) and LEARNED.atoms.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(LEARNED.atoms, axis=0), 1, atol=1e-5)
    np.testing.assert_allclose(LEARNED.atoms.sum(axis=0), 0, atol=1e-3)
    assert LEARNED.logistic[0] > 0 and LEARNED.logistic[1] > 0
    assert "K-SVD" in LEARNED.provenance
    assert jnb.LEARNED.stat().st_size < 100_000


def test_codes_are_least_squares() -> None:
    patches = _patches(200)
    codes = jnb_dictionary.encode_patches(patches, LEARNED.atoms)
    counts, taken = (
        array[:, 0] for array in jnb.pursue_patches(patches.reshape(-1, 1, 8, 8), LEARNED.atoms)
    )
    rest = patches - codes @ LEARNED.atoms.T
    assert (np.linalg.norm(rest, axis=1) <= 18.4 + 1e-2).all()
    for row in range(0, 200, 20):
        chosen = taken[row, : counts[row]]
        expected = np.linalg.lstsq(
            LEARNED.atoms[:, chosen].astype(np.float64), patches[row], rcond=None
        )[0]
        np.testing.assert_allclose(codes[row, chosen], expected, rtol=1e-3, atol=0.05)
        assert np.count_nonzero(codes[row]) == counts[row]


def _patches(count: int) -> Float32Array:
    random = np.random.default_rng(0)
    pictures = [_texture(80, 80, seed) for seed in range(3)]
    return jnb_dictionary.sample_patches(pictures, random, each=600)[:count]


def test_ksvd_update_against_the_singular_value_decomposition() -> None:
    patches, atoms = _patches(300), LEARNED.atoms.astype(np.float64)
    codes = jnb_dictionary.encode_patches(patches, LEARNED.atoms).astype(np.float64)
    rest = patches - codes @ atoms.T
    atom = int(np.argmax(np.count_nonzero(codes, axis=0)))
    users = np.flatnonzero(codes[:, atom])
    assert 10 < len(users) < 300
    others = np.delete(np.arange(128), atom)
    left = patches[users] - codes[np.ix_(users, others)] @ atoms[:, others].T
    before, unused, kept = codes.copy(), np.delete(np.arange(300), users), rest.copy()
    jnb_dictionary._update_atom(atoms, codes, rest, patches, atom)
    rank_one = np.linalg.svd(left, full_matrices=False)
    expected = rank_one.S[0] * np.outer(rank_one.U[:, 0], rank_one.Vh[0])
    np.testing.assert_allclose(np.outer(codes[users, atom], atoms[:, atom]), expected, atol=1e-6)
    np.testing.assert_allclose(rest, patches - codes @ atoms.T, atol=1e-3)
    np.testing.assert_array_equal(codes[:, others], before[:, others])
    np.testing.assert_array_equal(rest[unused], kept[unused])


def test_an_atom_that_nobody_uses_becomes_the_worst_patch() -> None:
    patches, atoms = _patches(20), LEARNED.atoms.astype(np.float64)
    codes, rest = np.zeros((20, 128)), patches.astype(np.float64)
    worst = patches[np.argmax(np.linalg.norm(patches, axis=1))]
    jnb_dictionary._update_atom(atoms, codes, rest, patches, 5)
    np.testing.assert_allclose(atoms[:, 5], worst / np.linalg.norm(worst), atol=1e-6)


def test_ksvd_finds_the_atoms_that_made_the_patches() -> None:
    """Each patch is a noisy multiple of one of ten atoms; learning averages the noise away, up to
    the sign.
    """
    random = np.random.default_rng(0)
    truth = random.standard_normal((64, 10))
    truth -= truth.mean(axis=0)
    truth /= np.linalg.norm(truth, axis=0)
    strength = random.uniform(50, 100, 600) * random.choice([-1, 1], 600)
    patches = strength[:, None] * truth.T[random.integers(0, 10, 600)] + random.normal(
        0, 1, (600, 64)
    )
    patches = (patches - patches.mean(axis=1, keepdims=True)).astype(np.float32)
    start, found = (
        jnb_dictionary.learn_atoms(patches, np.random.default_rng(1), width=40, rounds=n)
        for n in (0, 3)
    )
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=0), 1, atol=1e-5)
    wrong = [1 - np.abs(truth.T @ atoms).max(axis=1) for atoms in (start, found)]
    assert (wrong[1] < 0.3 * wrong[0]).all() and wrong[1].max() < 1e-3


def test_rounds_make_patches_sparser() -> None:
    patches = _patches(1500)
    first, last = (
        jnb.pursue_patches(
            patches.reshape(-1, 1, 8, 8),
            jnb_dictionary.learn_atoms(patches, np.random.default_rng(0), rounds=rounds),
        )[0].mean()
        for rounds in (0, 4)
    )
    assert last < 0.9 * first


@given(st.lists(st.integers(0, 20), min_size=1, max_size=40))
def test_grouped_median(values: list[int]) -> None:
    """Half of the mass lies on either side, with every number spread over its unit."""
    median = jnb_dictionary.grouped_median(np.bincount(values, minlength=22))
    below = np.clip(median + 0.5 - np.array(values), 0, 1).sum()
    assert below == pytest.approx(len(values) / 2)
    assert abs(median - np.median(values)) <= 0.5 or len(values) % 2 == 0


def test_grouped_median_of_nothing() -> None:
    assert jnb_dictionary.grouped_median(np.zeros(65, np.int64)) == 3


def test_logistic_fit_recovers_its_function() -> None:
    sigma = np.arange(0, 4.01, 0.25)
    a, b, c, d = expected = (37.0, 2.5, -1.5, 4.2)
    found = jnb_dictionary.fit_logistic(sigma, a / (1 + np.exp(b * sigma + c)) + d)
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_blur_is_the_gaussian_of_the_library() -> None:
    gray = _texture(40, 41)
    np.testing.assert_allclose(
        jnb_dictionary.blur_gaussian(gray, 2.0),
        gaussian_filter(
            gray.astype(np.float64), np.sqrt(4 + 1 / 12), mode="reflect"
        ),  # integrated over pixels
        atol=0.05,
    )


def test_made_and_read_again(tmp_path: Path) -> None:
    for seed in range(2):
        picture = _picture(np.clip(_texture(64, 72, seed), 0, 255))
        imageio.write(tmp_path / f"{seed}.png", picture.astype(np.float32), 8)
    first, again = (jnb_dictionary.make_dictionary(tmp_path, 3, rounds=2) for _ in range(2))
    np.testing.assert_array_equal(first.atoms, again.atoms)
    assert first.logistic == again.logistic and "seed 3" in first.provenance
    jnb_dictionary.save_dictionary(first, tmp_path / "made.npz")
    read = jnb.load_dictionary(tmp_path / "made.npz")
    np.testing.assert_array_equal(read.atoms, first.atoms)
    assert (read.logistic, read.provenance) == (first.logistic, first.provenance)


def test_nothing_to_learn_from(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="0 pictures"):
        jnb_dictionary.make_dictionary(tmp_path, 0)
    cv2.imwrite(os.fspath(tmp_path / "flat.png"), np.full((40, 40, 3), 90, np.uint8))
    with pytest.raises(DataError, match="0 textured patches"):
        jnb_dictionary.make_dictionary(tmp_path, 0)


@pytest.mark.data
def test_photographs_read_what_they_were_blurred_by(data_root: Path) -> None:
    files = sorted((data_root / "BSDS500" / "val").glob("*.jpg"))[:3]
    if not files:
        pytest.skip("BENCHMARK_DATA has no BSDS500/val")
    grays = [jnb.scale_luma(imageio.read(path)[0])[60:200, 60:260] for path in files]
    medians = [
        np.median(
            [
                jnb.estimate_jnb_map(_picture(jnb_dictionary.blur_gaussian(gray, sigma)))
                for gray in grays
            ]
        )
        for sigma in (0.5, 1.0, 2.0)
    ]
    assert medians == sorted(medians)
    np.testing.assert_allclose(medians, [0.5, 1.0, 2.0], atol=0.7)
