"""Pixel 4: real dual-pixel pictures of a telephone with all-in-focus targets made from focus
stacks.

Files hold linear sensor values of the green channel, and input and target are not registered.
`load` brings them onto one another, the same way for every method:

1. black level off, negative values to 0, common scale (14-bit range x 4 on 65535, as the targets
   have it);
2. the displacement between the combined input (left + right) / 2 and the target is estimated on
   tiles (see `registration`), and the *input* is resampled. Not the target: it stays the published
   picture bit for bit, and the input has a larger frame, so that no border is lost and nothing is
   invented. The price is that interpolation takes some of the input's finest noise away, for every
   method alike. Left and right move by the same displacement, so the disparity between them is
   untouched;
3. the input, views included, is multiplied by one number that makes its light agree with the
   target's;
4. the declared tone curve is applied to input and target, and green is repeated as red, green and
   blue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.api import DataError, DatasetCard, Picture, Sample
from benchmark.arrays import Plane
from benchmark.datasets.layout import (
    FileDataset,
    PixelSize,
    SampleFiles,
    check_same_size,
    find_folder,
    list_files,
    missing_dataset_error,
    pair_files,
)
from benchmark.datasets.registration import Shift, estimate_shift, fit_gain, resample_plane
from benchmark.optics.light import to_srgb

ToneCurve = Literal["srgb", "linear"]

BLACK: Final = 1024 / 65535
SCALE: Final = 4.0
_ROLES: Final = ("left", "right", "target")
_MARGIN: Final = 16  # px of the input kept around the target's frame while it is resampled
_FOLDERS = ("pixel4", "DP_data_pixel_4", "dual_pixel_defocus_estimation_deblurring/DP_data_pixel_4")


@dataclass(frozen=True, slots=True)
class _RegisteredScene:
    """Linear light of one scene after registration; left, right and target are H x W."""

    left: Plane
    right: Plane
    target: Plane
    shift: Shift
    gain: float


class Pixel4(FileDataset):
    """The dual-pixel scenes of Xin et al., registered and with a declared tone curve."""

    card = DatasetCard(
        title="Pixel 4",
        paper="Xin et al., Defocus Map Estimation and Deblurring from a Single Dual-Pixel Image, "
        "ICCV 2021",
        licence="not stated (the authors ask for citation)",
        source="github.com/cmu-ci-lab/dual_pixel_defocus_estimation_deblurring, folder "
        "DP_data_pixel_4",
        layout=(
            "pixel4/   (or DP_data_pixel_4/)\n"
            "  001_left.png, 001_right.png ...     2016x1512, 16-bit file with 14-bit linear "
            "green, black level 1024\n"
            "  gt_all_in_focus_im/001_gt.png ...   1344x1008, 16 bits, linear, black level "
            "removed\n"
            "  calibration/blur_kernels_left.npy, blur_kernels_right.npy   48 measured PSFs each "
            "(optional)"
        ),
        count=17,
        notes=(
            "Grey pictures: the sensor's green channel, repeated as RGB. Linear values get the "
            "sRGB curve (tone=srgb) or stay as they are (tone=linear); scores under the two are "
            "not comparable. Image = tone((left + right) / 2). Input and target are not "
            "registered in the files: the input (with its views) is moved onto the target by the "
            "median displacement of tiles and multiplied by a fitted gain; meta holds "
            "displacement (shift_x_px, shift_y_px), its spread over the tiles and the gain. What "
            "remains after one displacement for the whole picture (spread 0.2 to 0.8 px in 8 "
            "scenes, more at the edges; presumably focus breathing and parallax) is not corrected "
            "and bounds the scores of sharp results. Vignetting is left in input and target: "
            "their smoothed ratio is even to about 5 % where the scene is near focus; left and "
            "right views shade opposite sides. The targets of those scenes have at most 251 grey "
            "levels. The 8-bit gt_defocus_map has no stated unit and is not offered as a blur map."
        ),
    )

    version = "1"  # to be raised also when `registration` changes its results

    def __init__(self, root: Path, *, tone: ToneCurve = "srgb") -> None:
        """Find the scenes.

        Args:
            root: folder that holds one of the layouts on the card.
            tone: curve between linear light and picture values, for input and target alike.

        Raises:
            DataError: if there are no scenes, files are unpaired, not 16 bits, or their sizes do
                not fit.
        """
        folder = find_folder(root, *_FOLDERS)
        targets = folder and find_folder(folder, "gt_all_in_focus_im")
        if folder is None or targets is None:
            raise missing_dataset_error(self.card, root)
        views = list_files(folder)
        left = [path for path in views if _side_name(path) == "left"]
        right = [path for path in views if _side_name(path) == "right"]
        right = pair_files(left, right, "name", _scene_name)
        sharp = pair_files(left, list_files(targets), "name", _scene_name)
        entries = {}
        for row in zip(left, right, sharp, strict=True):
            files = dict(zip(_ROLES, row, strict=True))
            entries[_scene_name(files["left"])] = SampleFiles(files=files)
        self._tone = tone
        self._folder = folder
        super().__init__(entries, parameters={"tone": tone}, bit_depth=16)

    def check_sizes(self, entry: SampleFiles, sizes: Mapping[str, PixelSize]) -> None:
        """Raise DataError unless the views are of one size and the target has two thirds of their
        width and height.
        """
        check_same_size(entry.files["right"], sizes["right"], entry.files["left"], sizes["left"])
        for full_size, target_size in zip(sizes["left"], sizes["target"], strict=True):
            border = full_size - target_size
            if 2 * full_size != 3 * target_size or border % 2 or border < 2 * _MARGIN:
                target = sizes["target"]
                view = sizes["left"]
                raise DataError(
                    f"{entry.files['target']}: is {target[0]}x{target[1]} px, which is not the "
                    f"central two thirds of {entry.files['left']} ({view[0]}x{view[1]} px). The "
                    "originals are 1344x1008 in 2016x1512; get those"
                )

    def load(self, sample_id: str) -> Sample:
        """Return a registered scene (a second or two); raises DataError if a file is damaged or
        nothing registers.
        """
        entry = self.entry(sample_id)
        pictures, _ = self.read_pictures(entry)
        left, right, target = (pictures[role][..., 0] for role in _ROLES)
        try:
            scene = _register_views(_linear_light(left), _linear_light(right), target)
        except ValueError as error:
            raise DataError(
                f"{entry.files['left']}: {error}; is {entry.files['target']} the same scene?"
            ) from error
        return Sample(
            id=sample_id,
            image=self._picture(_combine_views(scene.left, scene.right)),
            target=self._picture(scene.target),
            views=(self._picture(scene.left), self._picture(scene.right)),
            bit_depth=16,
            meta={
                "shift_x_px": scene.shift.dx,
                "shift_y_px": scene.shift.dy,
                "shift_spread_px": scene.shift.spread,
                "shift_tiles": scene.shift.tiles,
                "gain": scene.gain,
            },
        )

    def psfs(self) -> Mapping[str, NDArray[np.float64]]:
        """Return the PSFs that the authors measured over the field of view of the camera, at one
        focus setting.

        Returns:
            `left`, `right` (as the two photodiodes of a pixel see a point) and `combined`, each N x
            h x w with h and w odd and every PSF of sum 1; empty where the copy lacks the folder
            `calibration`. They are not centred. The files hold PSFs of sum 1, so that `combined` is
            their plain mean: what share of the light each half of the pixel gets is not in it, nor
                in the pictures that `load` combines.

        Raises:
            DataError: if one file is missing or damaged, or they do not hold as many PSFs of the
                same size.
        """
        folder = find_folder(self._folder, "calibration")
        if folder is None:
            return {}
        left_path = folder / "blur_kernels_left.npy"
        right_path = folder / "blur_kernels_right.npy"
        if not left_path.exists() and not right_path.exists():
            return {}
        left = _read_kernels(left_path)
        right = _read_kernels(right_path)
        if left.shape != right.shape:
            raise DataError(
                f"{right_path}: holds PSFs of shape {right.shape}, {left_path.name} of "
                f"{left.shape}; get both"
            )
        return {"left": left, "right": right, "combined": (left + right) / 2}

    def _picture(self, linear: Plane) -> Picture:
        green = np.clip(linear, 0, 1)
        if self._tone == "srgb":
            green = to_srgb(green)
        return np.repeat(green[..., None], 3, axis=2)


def _read_kernels(path: Path) -> NDArray[np.float64]:
    """Return measured PSFs, N x h x w, each of sum 1; raises DataError if the file does not hold
    any.
    """
    try:
        psfs = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: cannot be read ({error}); get the original file") from error
    is_array = isinstance(psfs, np.ndarray) and psfs.dtype.kind == "f"
    if not is_array or psfs.ndim != 3 or 0 in psfs.shape:
        raise DataError(f"{path}: expected N x h x w PSFs of floating point; get the original file")
    if any(size % 2 == 0 for size in psfs.shape[1:]):
        raise DataError(
            f"{path}: expected PSFs of odd height and width, got {psfs.shape}; get the original "
            "file"
        )
    kernels = psfs.astype(np.float64)
    total = kernels.sum(axis=(1, 2), keepdims=True)
    if not (np.isfinite(kernels).all() and (total > 0).all()):
        raise DataError(
            f"{path}: holds a PSF that is not finite or has no light; get the original file"
        )
    return np.asarray(kernels / total)


def _linear_light(sensor: Plane) -> Plane:
    """Return sensor values without black level, on the scale of the targets."""
    light: Plane = np.maximum((sensor - np.float32(BLACK)) * np.float32(SCALE), np.float32(0))
    return light


def _combine_views(left: Plane, right: Plane) -> Plane:
    """Return what an ordinary pixel, which both halves make up, would have recorded."""
    return (left + right) * np.float32(0.5)


def _register_views(left: Plane, right: Plane, target: Plane) -> _RegisteredScene:
    """Bring both views onto the target; raises ValueError if that cannot be done."""
    height, width = target.shape
    left = _centre_frame(left, height, width, _MARGIN)
    right = _centre_frame(right, height, width, _MARGIN)
    inside = np.s_[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    shift = estimate_shift(to_srgb(_combine_views(left, right))[inside], to_srgb(target))
    if max(abs(shift.dy), abs(shift.dx)) > _MARGIN / 2:
        raise ValueError(
            f"seems displaced by ({shift.dx:.1f}, {shift.dy:.1f}) px, more than {_MARGIN / 2:.0f}"
        )
    left = resample_plane(left, shift, _MARGIN)
    right = resample_plane(right, shift, _MARGIN)
    gain = fit_gain(_combine_views(left, right), target)
    return _RegisteredScene(left * np.float32(gain), right * np.float32(gain), target, shift, gain)


def _centre_frame(view: Plane, height: int, width: int, margin: int) -> Plane:
    """Return the centred frame of a size, with a margin on every side."""
    top = (view.shape[0] - height) // 2 - margin
    left = (view.shape[1] - width) // 2 - margin
    return view[top : top + height + 2 * margin, left : left + width + 2 * margin]


def _scene_name(path: Path) -> str:
    """Return 001 for 001_left.png, 001_right.png and 001_gt.png."""
    return path.stem.rpartition("_")[0]


def _side_name(path: Path) -> str:
    return path.stem.rpartition("_")[2].casefold()
