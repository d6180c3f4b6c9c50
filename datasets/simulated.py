"""`simulated`: sharp photographs put out of focus by `benchmark.optics`, with the true blur map of
every pixel.

The default needs no download: it takes the five colour photographs that come inside scikit-image.
With `source=DIR` it takes any folder of sharp pictures. Where a disparity map lies beside a
picture, the scene has that depth; elsewhere a scene is invented for it, from the seed and the
picture's id alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import skimage
from pydantic import BeforeValidator, Field

from benchmark import imageio
from benchmark.api import DataError, DatasetCard, Picture, Sample, Scalar, UsageError
from benchmark.arrays import Plane
from benchmark.datasets.layout import FileDataset, SampleFiles, natural_key, sample_ids
from benchmark.files import PICTURE_SUFFIXES
from benchmark.noise import keyed_generator
from benchmark.optics import light, scenes
from benchmark.optics.depth_of_field import render_depth_of_field

RenderedPsf = Literal["disk", "gaussian", "gkm", "polygon"]

_PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
_DEPTHS = {
    "view1.png": "disp1.png",
    "im2.png": "disp2.png",
    "motorcycle_left.png": "motorcycle_disp.npz",
}


@dataclass(frozen=True, slots=True)
class _RenderRecipe:
    """The parameters that pixels depend on."""

    psf: RenderedPsf
    max_radius: float
    seed: int
    views: bool
    bits: int
    size: int | None


@dataclass(frozen=True, slots=True, eq=False)
class _RenderedScene:
    image: Picture
    views: tuple[Picture, Picture] | None
    sharp: Picture
    radius: Plane


class Simulated(FileDataset):
    """Sharp photographs with a rendered shallow depth of field.

    `version` is part of every fingerprint: it changes whenever scenes, rendering or this adapter
    may give other pixels.
    """

    version = "1"
    card = DatasetCard(
        title="Simulated defocus",
        paper="this suite; the default sources are van der Walt et al., scikit-image, PeerJ "
        "2:e453, 2014",
        licence="that of the pictures (scikit-image's: public domain or CC0; motorcycle: "
        "Middlebury stereo 2014)",
        source="comes with scikit-image; source=DIR takes any folder of sharp pictures",
        layout=(
            "DIR/*                            sharp pictures; their depth is invented\n"
            "DIR/SCENE/view1.png, disp1.png   Middlebury stereo: measured disparity, grey, 0 = "
            "unknown\n"
            "DIR/SCENE/im2.png, disp2.png     likewise"
        ),
        notes=(
            "Rendered from single pictures: what a foreground hides is invented, and the noise "
            "and compression of the sharp picture are blurred with it, so blurred regions are "
            "cleaner than a camera's. psf=gkm renders the forward model of GKMNet itself, without "
            "occlusion; methods built on that model have an advantage on it."
        ),
    )

    def __init__(
        self,
        root: Path,
        *,
        source: Path | None = None,
        psf: RenderedPsf = "disk",
        max_radius: Annotated[float, Field(gt=0, le=50)] = 8.0,
        seed: Annotated[int, Field(ge=0)] = 0,
        views: bool = False,
        bits: Annotated[Literal[8, 16], BeforeValidator(int)] = 8,
        size: Annotated[int, Field(ge=32)] | None = None,
    ) -> None:
        """Find the sharp pictures.

        Args:
            root: the data root; not used, this set needs none.
            source: a folder of sharp pictures, relative to the current directory; the default is
                scikit-image's.
            psf: the family of kernels; `gkm` is the Gaussian kernel mixture of Quan et al., eq.
                (4).
            max_radius: largest PSF radius in pixels (of a disk; the other families have the same
                second moment).
            seed: of the invented scenes, and of the plane of focus where the depth is measured.
            views: render the dual-pixel left and right pictures; the image is then their mean in
                linear light.
            bits: bits per channel that image and views are rounded to.
            size: take at most `size` x `size` pixels from the middle of each picture.

        Raises:
            UsageError: for views with psf=gkm, whose kernels have no halves.
            DataError: if the folder is missing or holds no picture, or a file is not a picture.
        """
        if views and psf == "gkm":
            raise UsageError(
                "simulated: psf=gkm has no half apertures, so no dual-pixel views; drop one of "
                "the two"
            )
        self._recipe = _RenderRecipe(psf, float(max_radius), seed, views, bits, size)
        if source is None:
            pictures = _bundled_photographs()
        else:
            pictures = _find_photographs(self.card, source.expanduser().resolve())
        facts = {"psf": psf, "max_radius": float(max_radius)}
        entries = {name: _photograph_entry(picture, facts) for name, picture in pictures.items()}
        super().__init__(entries, parameters={**asdict(self._recipe), "size": size or 0})

    def load(self, sample_id: str) -> Sample:
        """Return the rendered picture, with the sharp one as target, and the true blur map."""
        entry = self.entry(sample_id)
        scene = _render_scene(
            sample_id,
            entry.files["image"],
            entry.files.get("depth"),
            self._recipe,
            self.fingerprint(sample_id),
        )
        return Sample(
            id=sample_id,
            image=scene.image,
            target=scene.sharp,
            views=scene.views,
            blur_map=(np.abs(scene.radius) / 2).astype(np.float32),
            bit_depth=self._recipe.bits,
            meta=entry.meta,
        )

    def fingerprint(self, sample_id: str) -> str:
        """Return a SHA-256 over the id, which the scene is drawn from, the files, all parameters
        and the version.
        """
        return hashlib.sha256(f"{sample_id}\0{super().fingerprint(sample_id)}".encode()).hexdigest()


# Sources
# --------------------------------------------------------------------------------------------------


def _bundled_photographs() -> dict[str, Path]:
    folder = Path(skimage.__file__).parent / "data"
    return {Path(name).stem: folder / name for name in _PHOTOGRAPHS}


def _find_photographs(card: DatasetCard, folder: Path) -> dict[str, Path]:
    """Return id -> sharp picture: the pictures of a folder, and those in its sub-folders that have
    a disparity map.
    """
    inside = list(folder.iterdir()) if folder.is_dir() else []
    visible = [path for path in inside if not path.name.startswith(".")]
    pictures: dict[Path, Path] = {}
    for path in sorted(visible, key=natural_key):
        picture = _sharp_picture(path)
        if picture is not None:
            pictures[path] = picture
    if not pictures:
        problem = "holds no sharp picture" if folder.is_dir() else "no such folder"
        raise DataError(f"simulated: {folder}: {problem}. Give source=DIR with\n{card.layout}")
    return dict(zip(sample_ids(list(pictures)), pictures.values(), strict=True))


def _sharp_picture(path: Path) -> Path | None:
    """Return the sharp picture that a file is, or that a folder holds together with its disparity
    map.
    """
    if path.is_dir():
        pictures = (path / name for name in _DEPTHS)
        return next((picture for picture in pictures if _disparity_map(picture)), None)
    is_map = any(_disparity_map(path.with_name(name)) == path for name in _DEPTHS)
    if is_map or path.suffix.lower() not in PICTURE_SUFFIXES:
        return None
    return path


def _disparity_map(picture: Path) -> Path | None:
    """Return the disparity map that belongs to a picture, if both are there."""
    if picture.name not in _DEPTHS:
        return None
    depth = picture.with_name(_DEPTHS[picture.name])
    if not depth.is_file() or not picture.is_file():
        return None
    return depth


def _photograph_entry(picture: Path, facts: Mapping[str, Scalar]) -> SampleFiles:
    # Rendered from, and compared with, the same sharp picture.
    files = {"image": picture, "target": picture}
    depth = _disparity_map(picture)
    if depth is not None:
        files["depth"] = depth
    map_origin = "measured" if depth else "invented"
    return SampleFiles(files=files, meta={**facts, "source": picture.name, "map": map_origin})


# Rendering
# --------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def _render_scene(
    sample_id: str, picture: Path, depth: Path | None, recipe: _RenderRecipe, fingerprint: str
) -> _RenderedScene:
    """Render a picture. The last few are kept; the fingerprint is there to tell a changed file from
    a known one.
    """
    whole = imageio.read(picture)[0]
    middle = _middle_slices(whole, recipe.size)
    sharp = whole[middle]
    random = keyed_generator(recipe.seed, sample_id)
    if depth is None:
        radius = scenes.invent_radius(sharp.shape[0], sharp.shape[1], recipe.max_radius, random)
    else:
        values = scenes.read_depth(depth, size_of=whole)[middle]
        radius = scenes.radius_from_depth(values, recipe.max_radius, focus=random.uniform(0.2, 0.8))
        radius = scenes.align_depth_edges(radius, sharp)
    image, views = _photograph_scene(sharp, radius, recipe)
    image = _round_to_bits(image, recipe.bits)
    if views is not None:
        views = (_round_to_bits(views[0], recipe.bits), _round_to_bits(views[1], recipe.bits))
    return _RenderedScene(image=image, views=views, sharp=sharp, radius=radius)


def _middle_slices(picture: Picture, size: int | None) -> tuple[slice, ...]:
    """Return the slices of the middle `size` x `size` pixels, or of as many as there are."""
    if size is None:
        return (slice(None), slice(None))
    margins = [max(0, length - size) // 2 for length in picture.shape[:2]]
    return tuple(slice(margin, margin + size) for margin in margins)


def _photograph_scene(
    sharp: Picture, radius: Plane, recipe: _RenderRecipe
) -> tuple[Picture, tuple[Picture, Picture] | None]:
    if recipe.psf == "gkm" or not recipe.views:
        return render_depth_of_field(sharp, radius, psf=recipe.psf), None
    left = render_depth_of_field(sharp, radius, psf=recipe.psf, half="left")
    right = render_depth_of_field(sharp, radius, psf=recipe.psf, half="right")
    mean_light = (light.to_linear(left) + light.to_linear(right)) / 2
    return light.to_srgb(mean_light.astype(np.float32)), (left, right)


def _round_to_bits(picture: Picture, bits: int) -> Picture:
    """Return the picture as it would come back from a file of that many bits."""
    top = np.float32(2**bits - 1)
    levels: Picture = np.rint(np.clip(picture, 0, 1) * top)
    return (levels / top).astype(np.float32)
