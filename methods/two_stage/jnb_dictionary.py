"""Learn what `benchmark.methods.two_stage.jnb` needs: the dictionary, and the sparsity expected at
each sigma.

    python -m benchmark.methods.two_stage.jnb_dictionary --source DIR --out FILE

The dictionary is learned by K-SVD (Aharon, Elad and Bruckstein, IEEE Trans. Signal Processing
54(11), 2006) with the OMP of the estimator, as the JNB paper says, on 8 x 8 patches of sharp grey
pictures blurred by Gaussians. The same pictures and the same seed give the same dictionary, up to
the rounding of the numerical libraries (the file that ships came out twice, byte for byte in its
atoms, on one machine). Atoms that almost equal another are kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from scipy.optimize import curve_fit

from benchmark import console, imageio
from benchmark.api import DataError
from benchmark.arrays import Float32Array, Float64Array
from benchmark.files import replace_file
from benchmark.methods.two_stage import jnb
from benchmark.methods.two_stage.jnb import PATCH, STOP, TEXTURED, Dictionary
from benchmark.optics.psf import psf_kernel

WIDTH = 128
ROUNDS = 30
PER_PICTURE = 200
TRAINING_SIGMA = (0.0, 3.0)
"""Patches are blurred by a sigma (pixels) drawn evenly from this range."""
LADDER = np.arange(0.0, 4.01, 0.25)
"""Sigmas (pixels) that the logistic function is fitted at."""


def blur_gaussian(gray: Float32Array, sigma: float) -> Float32Array:
    """Return a grey picture blurred by a Gaussian of `sigma` pixels, continued by reflection at the
    border.
    """
    psf = psf_kernel("gaussian", sigma)
    return cv2.filter2D(gray, -1, psf, borderType=cv2.BORDER_REFLECT)  # type: ignore[return-value]


def sample_patches(
    pictures: Sequence[Float32Array], random: np.random.Generator, each: int = PER_PICTURE
) -> Float32Array:
    """Return textured patches of pictures, without their mean: N x 64, each picture blurred by two
    sigmas.

    A patch that OMP would explain with no atom at all teaches nothing and is left out.
    """
    samples = []
    for picture in pictures:
        for sigma in random.uniform(*TRAINING_SIGMA, size=2):
            gray = blur_gaussian(picture, float(sigma))
            rows = random.integers(0, gray.shape[0] - PATCH + 1, size=each // 2)
            columns = random.integers(0, gray.shape[1] - PATCH + 1, size=each // 2)
            windows = np.lib.stride_tricks.sliding_window_view(gray, (PATCH, PATCH))
            samples.append(windows[rows, columns].reshape(-1, PATCH * PATCH))
    patches = np.concatenate(samples)
    patches -= patches.mean(axis=1, keepdims=True)
    energy = np.square(patches).sum(axis=1)
    texture: Float32Array = patches[energy > STOP**2]
    return texture


def learn_atoms(
    patches: Float32Array, random: np.random.Generator, *, width: int = WIDTH, rounds: int = ROUNDS
) -> Float32Array:
    """Return a dictionary for patches by K-SVD: 64 x `width`, columns of length 1.

    It starts from patches. An atom that fewer than two patches use is replaced by the patch
    explained worst.

    Args:
        patches: N x 64 without their mean, N >= `width`, none of them 0.
        random: draws the first atoms and the order in which atoms are updated.
        width: number of atoms, at most 256.
        rounds: of coding all patches and updating all atoms.
    """
    start = patches[random.choice(len(patches), width, replace=False)]
    atoms = _normalise_rows(start).T.astype(np.float64)
    for _ in range(rounds):
        codes = encode_patches(patches, atoms.astype(np.float32)).astype(np.float64)
        residual = patches - codes @ atoms.T
        for atom in random.permutation(width):
            _update_atom(atoms, codes, residual, patches, atom)
    return np.ascontiguousarray(atoms, np.float32)


def encode_patches(patches: Float32Array, atoms: Float32Array) -> Float32Array:
    """Return the coefficients of patches (N x 64, without their mean) under error-constrained OMP:
    N x width.
    """
    grid = patches.reshape(-1, 1, PATCH, PATCH)
    counts_grid, columns_grid = jnb.pursue_patches(grid, atoms)
    counts = counts_grid[:, 0]
    codes = np.zeros((len(patches), atoms.shape[1]), np.float32)
    for count in np.unique(counts[counts > 0]):
        rows = np.flatnonzero(counts == count)
        columns = columns_grid[rows, 0, :count]
        basis = atoms.T[columns].astype(np.float64)  # rows x count x 64
        normal = basis @ basis.transpose(0, 2, 1)
        right_side = basis @ patches[rows, :, None]
        codes[rows[:, None], columns] = np.linalg.solve(normal, right_side)[..., 0]
    return codes


def _update_atom(
    atoms: Float64Array,
    codes: Float64Array,
    residual: Float64Array,
    patches: Float32Array,
    atom: int,
) -> None:
    """Replace an atom, and its coefficients, by the best rank-one fit to what the others leave of
    its patches.
    """
    users = np.flatnonzero(codes[:, atom])
    if len(users) < 2:
        worst = int(np.argmax(np.square(residual).sum(axis=1)))
        residual[users] += np.outer(codes[users, atom], atoms[:, atom])
        codes[users, atom] = 0
        atoms[:, atom] = _normalise_rows(patches[worst])
        residual[worst] = 0  # so that the next one takes another patch
        return
    target = residual[users] + np.outer(codes[users, atom], atoms[:, atom])
    _, vectors = np.linalg.eigh(target.T @ target)
    atoms[:, atom] = vectors[:, -1]
    codes[users, atom] = target @ atoms[:, atom]
    residual[users] = target - np.outer(codes[users, atom], atoms[:, atom])


def _normalise_rows(patches: Float32Array) -> Float32Array:
    unit: Float32Array = patches / np.linalg.norm(patches, axis=-1, keepdims=True)
    return unit


def typical_counts(
    pictures: Sequence[Float32Array], atoms: Float32Array, sigmas: Float64Array
) -> Float64Array:
    """Return the median number of atoms of the textured patches of all pictures, blurred by each
    sigma.
    """
    medians = []
    for sigma in sigmas:
        histogram = np.zeros(jnb.MAX_ATOMS + 1, np.int64)
        for picture in pictures:
            counts = jnb.count_atoms(blur_gaussian(picture, float(sigma)), atoms)
            histogram += np.bincount(counts.ravel(), minlength=len(histogram))
        histogram[: TEXTURED + 1] = 0
        medians.append(grouped_median(histogram))
    return np.array(medians)


def grouped_median(histogram: NDArray[np.int64]) -> float:
    """Return the median of whole numbers, each taken as spread evenly over the unit around it.

    Strong blurs differ by less than one atom, which the plain median would round away. Of no
    numbers at all the median is that of the threshold of texture.
    """
    total = histogram.sum()
    if total == 0:
        return float(TEXTURED)
    cumulative = np.cumsum(histogram)
    middle = int(np.searchsorted(cumulative, total / 2))
    before = cumulative[middle] - histogram[middle]
    return float(middle - 0.5 + (total / 2 - before) / histogram[middle])


def fit_logistic(sigmas: Float64Array, counts: Float64Array) -> tuple[float, float, float, float]:
    """Return (a, b, c, d) of the paper's eq. (4), a / (1 + exp(b sigma + c)) + d; a, b > 0.

    Least squares of the relative errors: the curve is steep where sharp and almost flat where
    blurred, and an atom too many means little there and much here.

    Args:
        sigmas: in pixels, at least 4.
        counts: the number of atoms expected at each sigma, > 0.
    """
    start = (float(np.ptp(counts)) + 1, 2.0, 0.0, float(counts.min()))
    bounds = ([1e-3, 1e-2, -20.0, 0.0], [1e3, 50.0, 20.0, 64.0])
    fit = curve_fit(_logistic, sigmas, counts, p0=start, sigma=counts, bounds=bounds, maxfev=20_000)
    a, b, c, d = fit[0]
    return float(a), float(b), float(c), float(d)


def _logistic(sigma: Float64Array, a: float, b: float, c: float, d: float) -> Float64Array:
    return a / (1 + np.exp(b * sigma + c)) + d


def make_dictionary(
    source: Path, seed: int, *, rounds: int = ROUNDS, fitted_on: int = 20
) -> Dictionary:
    """Return a dictionary, and the logistic function of `fitted_on` of the pictures, learned from a
    folder.

    Raises:
        DataError: if the folder holds too few pictures of 8 x 8 pixels or more to learn from.
    """
    random = np.random.default_rng(seed)
    suffixes = {".jpg", ".jpeg", ".png"}
    files = sorted(path for path in source.glob("*") if path.suffix.lower() in suffixes)
    pictures = [jnb.scale_luma(imageio.read(path)[0]) for path in files]
    pictures = [picture for picture in pictures if min(picture.shape) >= PATCH]
    patches = np.zeros((0, PATCH**2), np.float32)
    if pictures:
        patches = sample_patches(pictures, random)
    if len(patches) < WIDTH:
        raise DataError(
            f"{source}: {len(pictures)} pictures yield {len(patches)} textured patches, not the "
            f"{WIDTH} that a dictionary takes; give a folder of sharp pictures (BSDS500 train was "
            "used for the one that ships)"
        )
    atoms = learn_atoms(patches, random, rounds=rounds)
    calibration = pictures[:: max(1, len(pictures) // fitted_on)]
    medians = typical_counts(calibration, atoms, LADDER)
    provenance = _describe_provenance(files, seed, rounds, len(patches), len(calibration), medians)
    return Dictionary(atoms, fit_logistic(LADDER, medians), provenance)


def _describe_provenance(
    files: Sequence[Path],
    seed: int,
    rounds: int,
    patches: int,
    fitted_on: int,
    medians: Float64Array,
) -> str:
    digests = [hashlib.sha256(path.read_bytes()).digest() for path in files]
    digest = hashlib.sha256(b"".join(digests)).hexdigest()
    low, high = TRAINING_SIGMA
    median_texts = " ".join(f"{median:.2f}" for median in medians)
    return (
        f"python -m benchmark.methods.two_stage.jnb_dictionary, seed {seed}. Pictures: "
        f"{len(files)}, SHA-256 {digest}. Atoms: K-SVD, {rounds} rounds, {patches} patches blurred "
        f"by Gaussians of sigma {low:g} to {high:g} px. Logistic function: {fitted_on} of the "
        f"pictures blurred by Gaussians of sigma {LADDER[0]:g} to {LADDER[-1]:g} px every "
        f"{LADDER[1] - LADDER[0]:g}; median atoms of the patches that take more than {TEXTURED}: "
        f"{median_texts}."
    )


def save_dictionary(dictionary: Dictionary, path: Path) -> None:
    """Write what `jnb.load_dictionary` reads."""
    with replace_file(path) as file:
        np.savez(
            file,
            atoms=dictionary.atoms,
            logistic=np.array(dictionary.logistic),
            provenance=np.array(dictionary.provenance),
        )


def main(
    source: Annotated[
        Path, typer.Option(help="Folder of sharp pictures; BSDS500/train for the one that ships.")
    ],
    out: Annotated[Path, typer.Option(help="File to write, .npz.")],
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Learn the dictionary and the sparsity expected at each sigma."""
    dictionary = make_dictionary(source, seed)
    save_dictionary(dictionary, out)
    console.print_note(dictionary.provenance)
    coefficients = ", ".join(f"{value:.4f}" for value in dictionary.logistic)
    console.print_note(f"(a, b, c, d) = {coefficients}")


if __name__ == "__main__":
    typer.run(main)
