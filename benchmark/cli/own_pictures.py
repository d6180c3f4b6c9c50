"""A person's own pictures: restore them, or defocus them with the imaging model."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np

from benchmark import console, imageio, plan
from benchmark.api import (
    BenchmarkError,
    DataError,
    Map,
    MethodCard,
    Observation,
    Picture,
    Precision,
    UsageError,
)
from benchmark.apply import PreparedMethod, Skip, prepare_for_user
from benchmark.engines.local import count_threads
from benchmark.files import natural_key
from benchmark.left_out import list_left_out_files, list_left_out_folders
from benchmark.noise import keyed_generator
from benchmark.optics import scenes
from benchmark.optics.camera import (
    CAMERA_NAMES,
    CAMERAS,
    read_scene_light,
    take_photograph,
    take_reference,
)
from benchmark.optics.depth_of_field import render_light
from benchmark.optics.kernel_files import convolve_light, measure_kernel_sigma, read_kernel
from benchmark.optics.lens import LENS_PSFS, Lens, LensPsf
from benchmark.precision import require_bf16
from benchmark.registry import METHODS, build_plugin, create
from benchmark.reports.before_after import RestoredPicture
from benchmark.run_layout import file_name
from benchmark.spec import ResolvedId, parse_ids
from benchmark.worker import RunSettings, start_worker
from benchmark.worker_pool import Failure, WorkerPool


class _PictureJob(NamedTuple):
    """A picture to restore.

    Attributes:
        source: the picture.
        target: where the result goes.
        method: id of the method.
        device: "auto", "cpu" or "cuda".
    """

    source: Path
    target: Path
    method: ResolvedId
    device: str


def list_photographs(paths: Sequence[Path]) -> list[Path]:
    """Return the pictures that files and folders name, those of a folder in natural order; what is
    left out of a folder is told.

    Raises:
        DataError: a folder without a picture of a format that is read.
    """
    images: list[Path] = []
    for path in paths:
        images += _list_folder(path) if path.is_dir() else [path]
    return list(dict.fromkeys(images))


def _list_folder(folder: Path) -> list[Path]:
    files = [path for path in folder.iterdir() if path.is_file() and path.name[0] != "."]
    images = sorted(filter(imageio.is_picture, files), key=natural_key)
    if not images:
        raise DataError(
            f"{folder}: holds no picture of a format that is read; name a folder of PNG, TIFF, "
            "JPEG, PPM, BMP or WebP files"
        )
    for remark in [*list_left_out_files(images), *list_left_out_folders(folder, images)]:
        console.print_note(remark)
    return images


def deblur_pictures(
    images: Sequence[Path],
    texts: Sequence[str],
    out: Path,
    device: str,
    precision: Precision = "32",
    plugins: tuple[Path, ...] = (),
) -> Iterator[RestoredPicture]:
    """Restore each picture by each method and write it into `out` under its own name; yield the
    results as they are done. Methods work in a process of their own, which they may end.

    Size, bit depth, format, orientation, colour profile, EXIF (but of TIFF) and transparency are
    those of the source, and grey stays grey; formats that are only read become PNG. Where a method
    fails on a picture, the others are restored first.

    Args:
        images: the pictures.
        texts: ids of methods, or comma lists of them.
        out: folder to write to.
        device: "auto", "cpu" or "cuda".
        precision: what a network computes in, where the id does not say it.
        plugins: plug-in files that the methods may need.

    Raises:
        DataError: a file that is missing, damaged, or would be written over another result, before
            any work is done; at the end, pictures that a method failed on, or ended its process at.
        UsageError: an unknown method, or one that needs what a photograph or the device does not
            have.
        WorkerStartError: there can be no such process.
    """
    method_ids = _resolve_methods(texts, device, precision)
    jobs = _plan_jobs(images, method_ids, out, device)
    _note_colours(images)
    settings = RunSettings(out, Path(), plugins, device, threads=count_threads(1))
    failures: list[BenchmarkError] = []
    with WorkerPool(functools.partial(start_worker, settings), 1, tries=1) as pool:
        for job, answer in pool.map(_restore_picture, jobs):
            if isinstance(answer, Failure):
                label = job.method.label
                failures.append(DataError(f"{label} failed on {job.source}: {answer.reason}"))
            elif isinstance(answer, BenchmarkError):
                failures.append(answer)
            else:
                for remark in answer:
                    console.print_note(f"{job.source}: {remark}")
                yield RestoredPicture(job.source, job.target, job.method.label)
    _raise_failures(failures, len(jobs))


def _resolve_methods(
    texts: Sequence[str], device: str, precision: Precision
) -> dict[str, ResolvedId]:
    """Return the methods by label, in the order named."""
    cards: dict[str, MethodCard] = {}
    method_ids: dict[str, ResolvedId] = {}
    for parsed_id in parse_ids(texts):
        method, method_id = create(METHODS, plan.choose_precision(parsed_id, precision))
        cards[method_id.label] = method.card
        method_ids[method_id.label] = method_id
    plan.note_precision(cards, precision, console.print_note)
    for label, card in cards.items():
        if card.precision == "bf16":
            require_bf16(label, device)
    return method_ids


def _plan_jobs(
    images: Sequence[Path], method_ids: Mapping[str, ResolvedId], out: Path, device: str
) -> list[_PictureJob]:
    """Return what is to be done, method by method, so that each is prepared once."""
    jobs: list[_PictureJob] = []
    for label, method_id in method_ids.items():
        targets = _plan_output_files(images, out, f"-{file_name(label)}")
        jobs += [
            _PictureJob(source, target, method_id, device)
            for source, target in zip(images, targets, strict=True)
        ]
    return jobs


def _raise_failures(failures: Sequence[BenchmarkError], count: int) -> None:
    """Raise what went wrong with some of so many pictures, if anything did."""
    if not failures:
        return
    if count == 1:
        raise failures[0]
    reasons = "\n".join(f"  {error}" for error in failures)
    raise DataError(f"{len(failures)} of {count} pictures were not made:\n{reasons}")


# Inside the process
# --------------------------------------------------------------------------------------------------


def _restore_picture(job: _PictureJob) -> Sequence[str] | BenchmarkError:
    """Restore a picture and write the result; return what there is to say of it, or what the user
    can mend.
    """
    label = job.method.label
    try:
        prepared_method = _prepare_method_once(job.method, job.device)
        picture, bit_depth = imageio.read(job.source, allow_transparent=True)
        observation = Observation(picture, bit_depth=bit_depth)
        result = prepared_method.restore(observation)
        job.target.parent.mkdir(parents=True, exist_ok=True)
        imageio.write(job.target, result, bit_depth, like=job.source)
    except Skip as skip:
        return UsageError(f"{label} cannot restore {job.source}: {skip.reason}")
    except BenchmarkError as error:
        return error
    return prepared_method.list_remarks(observation, result)


@functools.lru_cache(maxsize=1)
def _prepare_method_once(method_id: ResolvedId, device: str) -> PreparedMethod:
    return prepare_for_user(build_plugin(METHODS, method_id), method_id.label, device)


# Files
# --------------------------------------------------------------------------------------------------


def _plan_output_files(images: Sequence[Path], out: Path, ending: str) -> list[Path]:
    """Return where the results go; raises DataError for pictures that cannot be read, or of which
    two would go to one place.
    """
    targets = [out / f"{path.stem}{ending}{_choose_suffix(path)}" for path in images]
    for target in targets:
        if targets.count(target) > 1:
            raise DataError(
                f"two of the pictures would be written to {target}; restore them into different "
                "--out folders"
            )
    return targets


def _choose_suffix(source: Path) -> str:
    """Return the suffix of what is made of a picture: its own, or .png for formats that are only
    read.
    """
    return imageio.choose_suffix(source, imageio.read_header(source).bit_depth)


def _note_colours(images: Sequence[Path]) -> None:
    """Print which pictures have other colours than those of sRGB."""
    for path in images:
        colour_space = imageio.read_display_tags(path).colour_space
        if colour_space != imageio.SRGB:
            console.print_note(
                f"{path}: has the colours of {colour_space}; its numbers are used as stored"
            )


class LensDefocus(NamedTuple):
    """Defocus by a lens.

    Attributes:
        lens: its PSF.
        depth: disparity map of the picture's size (greater = nearer, 0 = unknown); None makes a
            scene up.
        max_radius: largest PSF radius in pixels.
        focus: what is in focus, from 0 (the nearest) to 1 (the farthest); only with `depth`.
        constant_radius: the PSF radius everywhere, instead of depth and largest radius.
    """

    lens: Lens
    depth: Path | None = None
    max_radius: float = 8.0
    focus: float = 0.5
    constant_radius: float | None = None

    @property
    def name(self) -> str:
        """What the files are called by."""
        return self.lens.psf

    def blur(self, sharp: Picture, scene_light: Picture, seed: int) -> tuple[Picture, Map]:
        """Return the light behind the lens, and the true blur map."""
        radius = self._make_radius_map(sharp, seed)
        return render_light(scene_light, radius, self.lens), np.abs(radius / 2)

    def _make_radius_map(self, sharp: Picture, seed: int) -> Map:
        height, width = sharp.shape[:2]
        if self.constant_radius is not None:
            return np.full((height, width), self.constant_radius, np.float32)
        if self.depth is None:
            generator = np.random.Generator(np.random.Philox(seed))
            return scenes.invent_radius(height, width, self.max_radius, generator)
        disparity = scenes.read_depth(self.depth, size_of=sharp)
        if self.max_radius == 0:
            return np.zeros((height, width), np.float32)
        radius = scenes.radius_from_depth(disparity, self.max_radius, self.focus)
        return scenes.align_depth_edges(radius, sharp)


class KernelDefocus(NamedTuple):
    """Defocus by one kernel everywhere.

    Attributes:
        path: a file that `benchmark.optics.kernel_files.read_kernel` reads.
    """

    path: Path

    @property
    def name(self) -> str:
        """What the files are called by."""
        return self.path.stem

    def blur(self, sharp: Picture, scene_light: Picture, seed: int) -> tuple[Picture, Map]:
        """Return the convolved light, and a map of the kernel's Gaussian-equivalent sigma."""
        kernel = read_kernel(self.path)
        sigma = measure_kernel_sigma(kernel)
        height, width = sharp.shape[:2]
        return convolve_light(scene_light, kernel), np.full((height, width), sigma, np.float32)


def simulate_defocus(
    image: Path, defocus: LensDefocus | KernelDefocus, camera: str, seed: int, out: Path
) -> Iterator[Path]:
    """Defocus a sharp picture; yield the files written: the picture (in the source's format, or
    PNG where that is only read), with a camera what it should be restored to, and its true blur
    map.

    Args:
        image: sharp picture.
        defocus: by a lens, or by one kernel.
        camera: one of `benchmark.optics.camera.CAMERA_NAMES`.
        seed: of a made-up scene and of the camera's noise.
        out: folder to write to. The blur map is float32 .npy, the Gaussian-equivalent sigma in
            pixels.

    Raises:
        UsageError: an unknown camera.
        DataError: a missing or damaged file, a depth of another size, or a picture that is too
            small for the camera.
    """
    if camera not in CAMERAS:
        raise UsageError(f"--camera {camera}: expected one of {', '.join(CAMERA_NAMES)}")
    settings = CAMERAS[camera]
    sharp, bit_depth = imageio.read(image)
    suffix = imageio.choose_suffix(image, bit_depth)
    _note_colours([image])
    scene_light = read_scene_light(sharp, settings)
    blurred_light, sigma = defocus.blur(sharp, scene_light, seed)
    try:
        picture = take_photograph(blurred_light, settings, keyed_generator(seed, "camera"))
    except ValueError as error:
        raise DataError(f"{image}: {error}; give a larger picture") from error
    ending = "" if camera == "none" else f"-{camera}"
    out.mkdir(parents=True, exist_ok=True)
    pictures = {f"{image.stem}-{defocus.name}{ending}": picture}
    if camera != "none":
        pictures[f"{image.stem}-target{ending}"] = take_reference(scene_light, settings)
    for name, pixels in pictures.items():
        path = out / f"{name}{suffix}"
        imageio.write(path, pixels, bit_depth, like=image)
        yield path
    blur_map = out / f"{image.stem}-blur-map.npy"
    imageio.write_array(blur_map, sigma)
    yield blur_map


def make_lens(psf: str, colour_shift: float) -> Lens:
    """Return the lens of two options; raises UsageError for an unknown PSF, or a colour shift of
    `gkm`.
    """
    if psf not in LENS_PSFS:
        raise UsageError(f"--psf {psf}: expected one of {', '.join(LENS_PSFS)}")
    try:
        return Lens(cast(LensPsf, psf), colour_shift=colour_shift)
    except ValueError as error:
        raise UsageError(f"--colour-shift {colour_shift:g}: {error}") from error
