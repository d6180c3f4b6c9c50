"""A person's own pictures: restore them, or defocus them with the imaging model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np

from benchmark import console, imageio, plan
from benchmark.api import (
    BenchmarkError,
    DataError,
    Map,
    Observation,
    Picture,
    Precision,
    UsageError,
)
from benchmark.apply import Skip, describe_error, prepare_for_user
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
from benchmark.optics.lens import LENS_PSFS, Lens, LensPsf
from benchmark.registry import METHODS, create
from benchmark.run_layout import file_name
from benchmark.spec import parse_id


def deblur_pictures(
    images: Sequence[Path], text: str, out: Path, device: str, precision: Precision = "32"
) -> Iterator[tuple[Path, Path]]:
    """Restore each picture and write it into `out` under its own name; yield (source, result) as
    they are done.

    Size, bit depth, format, orientation and colour profile are those of the source.

    Args:
        images: the pictures.
        text: id of the method.
        out: folder to write to.
        device: "auto", "cpu" or "cuda".
        precision: what a network computes in, where the id does not say it.

    Raises:
        DataError: a file that is missing, damaged, or would be written over another result; before
            any work is done.
        UsageError: an unknown method, or one that needs what a photograph or the device does not
            have.
    """
    spec = plan.choose_precision(parse_id(text), precision)
    method, method_id = create(METHODS, spec)
    plan.note_precision({method_id.label: method.card}, precision, console.print_note)
    targets = _plan_output_files(images, out, f"-{file_name(method_id.label)}")
    for source in images:
        imageio.read_header(source)
    prepared_method = prepare_for_user(method, method_id.label, device)
    out.mkdir(parents=True, exist_ok=True)
    for source, target in zip(images, targets, strict=True):
        picture, bit_depth = imageio.read(source)
        observation = Observation(picture, bit_depth=bit_depth)
        try:
            result = prepared_method.restore(observation)
        except Skip as skip:
            raise UsageError(f"{method_id.label} cannot restore {source}: {skip.reason}") from skip
        except BenchmarkError:
            raise
        except Exception as error:
            reason = describe_error(error)
            raise DataError(f"{method_id.label} failed on {source}: {reason}") from error
        imageio.write(target, result, bit_depth, like=source)
        for remark in prepared_method.list_remarks(observation, result):
            console.print_note(f"{source}: {remark}")
        yield source, target


def _plan_output_files(images: Sequence[Path], out: Path, ending: str) -> list[Path]:
    targets = [out / f"{path.stem}{ending}{path.suffix}" for path in images]
    for target in targets:
        if targets.count(target) > 1:
            raise DataError(
                f"two of the pictures would be written to {target}; restore them into different "
                "--out folders"
            )
    return targets


def simulate_defocus(
    image: Path,
    lens: Lens,
    camera: str,
    depth: Path | None,
    max_radius: float,
    focus: float,
    seed: int,
    out: Path,
) -> Iterator[Path]:
    """Defocus a sharp picture; yield the files written: the picture (in the source's format), with
    a camera what it should be restored to, and its true blur map.

    Args:
        image: sharp picture.
        lens: its PSF.
        camera: one of `benchmark.optics.camera.CAMERA_NAMES`.
        depth: disparity map of the same size (greater = nearer, 0 = unknown); None makes a scene up
            from `seed`.
        max_radius: largest PSF radius in pixels.
        focus: what is in focus, from 0 (the nearest) to 1 (the farthest); only with `depth`.
        seed: of the made-up scene and of the camera's noise.
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
    radius = _make_radius_map(sharp, depth, max_radius, focus, seed)
    scene_light = read_scene_light(sharp, settings)
    light_behind_lens = render_light(scene_light, radius, lens)
    try:
        picture = take_photograph(light_behind_lens, settings, keyed_generator(seed, "camera"))
    except ValueError as error:
        raise DataError(f"{image}: {error}; give a larger picture") from error
    ending = "" if camera == "none" else f"-{camera}"
    out.mkdir(parents=True, exist_ok=True)
    pictures = {f"{image.stem}-{lens.psf}{ending}": picture}
    if camera != "none":
        pictures[f"{image.stem}-target{ending}"] = take_reference(scene_light, settings)
    for name, pixels in pictures.items():
        path = out / f"{name}{image.suffix}"
        imageio.write(path, pixels, bit_depth, like=image)
        yield path
    blur_map = out / f"{image.stem}-blur-map.npy"
    imageio.write_array(blur_map, np.abs(radius / 2))
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


def _make_radius_map(
    sharp: Picture, depth: Path | None, max_radius: float, focus: float, seed: int
) -> Map:
    if depth is None:
        height, width = sharp.shape[:2]
        generator = np.random.Generator(np.random.Philox(seed))
        return scenes.invent_radius(height, width, max_radius, generator)
    disparity = scenes.read_depth(depth, size_of=sharp)
    if max_radius == 0:
        return np.zeros(sharp.shape[:2], np.float32)
    radius = scenes.radius_from_depth(disparity, max_radius, focus)
    return scenes.align_depth_edges(radius, sharp)
