"""A person's own pictures: restore them, or defocus them with the imaging model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmark import imageio
from benchmark.api import BenchmarkError, DataError, Map, Observation, Picture, UsageError
from benchmark.apply import Skip, describe_error, prepare_for_user
from benchmark.optics import depth_of_field, scenes
from benchmark.registry import METHODS, create
from benchmark.run_layout import file_name


def deblur_pictures(
    images: Sequence[Path], text: str, out: Path, device: str
) -> Iterator[tuple[Path, Path]]:
    """Restore each picture and write it into `out` under its own name; yield (source, result) as
    they are done.

    Size, bit depth, format, orientation and colour profile are those of the source.

    Raises:
        DataError: a file that is missing, damaged, or would be written over another result; before
            any work is done.
        UsageError: an unknown method, or one that needs what a photograph does not have.
    """
    method, method_id = create(METHODS, text)
    targets = _plan_output_files(images, out, f"-{file_name(method_id.label)}")
    for source in images:
        imageio.read_header(source)
    prepared_method = prepare_for_user(method, method_id.label, device)
    out.mkdir(parents=True, exist_ok=True)
    for source, target in zip(images, targets, strict=True):
        picture, bit_depth = imageio.read(source)
        try:
            result = prepared_method.restore(Observation(picture, bit_depth=bit_depth))
        except Skip as skip:
            raise UsageError(f"{method_id.label} cannot restore {source}: {skip.reason}") from skip
        except BenchmarkError:
            raise
        except Exception as error:
            reason = describe_error(error)
            raise DataError(f"{method_id.label} failed on {source}: {reason}") from error
        imageio.write(target, result, bit_depth, like=source)
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
    image: Path, psf: str, depth: Path | None, max_radius: float, focus: float, seed: int, out: Path
) -> Iterator[Path]:
    """Defocus a sharp picture; yield the files written: the picture (in the source's format) and
    its true blur map.

    Args:
        image: sharp picture.
        psf: "disk", "gaussian", "polygon", or "gkm" for the paper's eq. (4).
        depth: disparity map of the same size (greater = nearer, 0 = unknown); None makes a scene up
            from `seed`.
        max_radius: largest PSF radius in pixels.
        focus: what is in focus, from 0 (the nearest) to 1 (the farthest); only with `depth`.
        seed: of the made-up scene.
        out: folder to write to. The blur map is float32 .npy, the Gaussian-equivalent sigma in
            pixels.

    Raises:
        UsageError: an unknown PSF family.
        DataError: a missing or damaged file, or a depth of another size.
    """
    families = ("disk", "gaussian", "polygon", "gkm")
    if psf not in families:
        raise UsageError(f"--psf {psf}: expected one of {', '.join(families)}")
    sharp, bit_depth = imageio.read(image)
    radius = _make_radius_map(sharp, depth, max_radius, focus, seed)
    blurred = depth_of_field.render_depth_of_field(sharp, radius, psf=psf)  # type: ignore[arg-type]
    out.mkdir(parents=True, exist_ok=True)
    picture = out / f"{image.stem}-{psf}{image.suffix}"
    imageio.write(picture, blurred, bit_depth, like=image)
    yield picture
    blur_map = out / f"{image.stem}-blur-map.npy"
    imageio.write_array(blur_map, np.abs(radius / 2))
    yield blur_map


def _make_radius_map(
    sharp: Picture, depth: Path | None, max_radius: float, focus: float, seed: int
) -> Map:
    if depth is None:
        height, width = sharp.shape[:2]
        generator = np.random.Generator(np.random.Philox(seed))
        return scenes.invent_radius(height, width, max_radius, generator)
    disparity = scenes.read_depth(depth, size_of=sharp)
    radius = scenes.radius_from_depth(disparity, max_radius, focus)
    return scenes.align_depth_edges(radius, sharp)
