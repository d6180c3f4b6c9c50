"""`simulated`: sharp photographs put out of focus by `benchmark.optics`, with the true blur map of
every pixel.

The default needs no download: it takes 24 pictures of 17 photographs, five of them scikit-image's,
the others in `photographs`. With `source=DIR` it takes any folder of sharp pictures. Where a
disparity map lies beside a picture, the scene has that depth; elsewhere a scene is invented for it,
from the seed and the picture's id alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from benchmark import imageio
from benchmark.api import DataError, DatasetCard, Map, Picture, Sample, Scalar, UsageError
from benchmark.arrays import Plane
from benchmark.datasets.bundled import (
    CROP_SIZE,
    PhotographSet,
    SharpPicture,
    bundled_photographs,
)
from benchmark.datasets.layout import FileDataset, SampleFiles, sample_ids
from benchmark.files import PICTURE_SUFFIXES, natural_key
from benchmark.left_out import list_left_out_folders
from benchmark.noise import keyed_generator
from benchmark.optics import processing, scenes
from benchmark.optics.camera import (
    CAMERAS,
    Camera,
    CameraName,
    list_settings,
    read_scene_light,
    take_photograph,
    take_reference,
    with_steps,
)
from benchmark.optics.depth_of_field import render_light
from benchmark.optics.lens import Lens, LensPsf
from benchmark.optics.light import Light, to_linear, to_srgb
from benchmark.optics.processing import ChromaSampling
from benchmark.optics.tone import ToneCurve

_DEPTHS = {
    "view1.png": "disp1.png",
    "im2.png": "disp2.png",
    "motorcycle_left.png": "motorcycle_disp.npz",
}


@dataclass(frozen=True, slots=True)
class _RenderRecipe:
    """The parameters that pixels depend on."""

    lens: Lens
    max_radius: float
    seed: int
    views: bool
    bits: int
    size: int | None
    light: Light
    camera: Camera

    def parameters(self) -> dict[str, Scalar]:
        """Return what the fingerprint holds: what came later only where it is set."""
        parameters: dict[str, Scalar] = {
            "psf": self.lens.psf,
            "max_radius": self.max_radius,
            "seed": self.seed,
            "views": self.views,
            "bits": self.bits,
            "size": self.size or 0,
        }
        if self.light != "linear":
            parameters["light"] = self.light
        if self.lens.colour_shift != 0:
            parameters["colour_shift"] = self.lens.colour_shift
        return parameters | list_settings(self.camera)


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
        "Middlebury stereo 2014; the others: CC BY 2.0, CC BY 4.0, CC BY-SA 4.0 or public domain, "
        "with their authors in benchmark/datasets/photographs/NOTICE.md)",
        source="comes with the suite and with scikit-image; source=DIR takes any folder of sharp "
        "pictures",
        layout=(
            "DIR/*                            sharp pictures; their depth is invented\n"
            "DIR/SCENE/view1.png, disp1.png   Middlebury stereo: measured disparity, grey, 0 = "
            "unknown\n"
            "DIR/SCENE/im2.png, disp2.png     likewise"
        ),
        generator=scenes.GENERATOR,
        notes=(
            "Rendered from single pictures: what a foreground hides is invented, and the noise "
            "and compression of the sharp picture are blurred with it, so blurred regions are "
            "cleaner than a camera's. psf=gkm renders the forward model of GKMNet itself, without "
            "occlusion; methods built on that model have an advantage on it. A scene of the tables "
            "is a photograph: two pictures of one photograph count once. Numbers are taken as "
            "sRGB; of the pictures that come with the suite, rocket has a profile of Adobe RGB."
        ),
    )

    def __init__(
        self,
        root: Path,
        *,
        source: Path | None = None,
        set: PhotographSet = "all",
        psf: LensPsf = "disk",
        max_radius: Annotated[float, Field(ge=0, le=50)] = 8.0,
        seed: Annotated[int, Field(ge=0)] = 0,
        views: bool = False,
        bits: Annotated[Literal[8, 16], BeforeValidator(int)] = 8,
        size: Annotated[int, Field(ge=32)] | None = None,
        colour_shift: Annotated[float, Field(ge=-4, le=4)] = 0.0,
        light: Light = "linear",
        camera: CameraName = "none",
        iso: Annotated[float, Field(ge=25, le=409600)] | None = None,
        tone: ToneCurve | None = None,
        grain: Annotated[float, Field(gt=0, le=50)] | None = None,
        jpeg: Annotated[int, Field(ge=1, le=100)] | None = None,
        chroma: ChromaSampling | None = None,
        scale: Annotated[float, Field(ge=0.125, le=8)] | None = None,
    ) -> None:
        """Find the sharp pictures.

        Args:
            root: the data root; not used, this set needs none.
            source: a folder of sharp pictures, relative to the current directory.
            set: which pictures of the suite's own, where there is no source.
            psf: the family of kernels; see `benchmark.optics.lens.LensPsf`.
            max_radius: largest PSF radius in pixels (of a disk; the other families have the same
                second moment); 0 leaves everything in focus.
            seed: of the invented scenes, and of the plane of focus where the depth is measured.
            views: render the dual-pixel left and right pictures; the image is then their mean in
                linear light.
            bits: bits per channel that image and views are rounded to.
            size: side of the square taken from the middle; 256 of set=all if None, else no square.
            colour_shift: longitudinal colour, pixels; the blur map is that of green.
            light: what the lens blurs: linear light, or sRGB code values, as many papers do.
            camera: takes the picture, and the target without blur, noise and JPEG.
            iso, tone, grain, jpeg, chroma, scale: steps of it; see `Camera`.

        Raises:
            UsageError: for options that do not go together.
            DataError: if the folder is missing or holds no picture, or a file is not a picture.
        """
        steps: dict[str, Scalar | None] = {
            "iso": iso, "tone": tone, "grain": grain, "jpeg": jpeg, "chroma": chroma,
            "scale": scale,
        }  # fmt: skip
        self._recipe = _RenderRecipe(
            lens=_make_lens(psf, float(colour_shift)), max_radius=float(max_radius), seed=seed,
            views=views, bits=bits, size=size or _default_size(source, set), light=light,
            camera=with_steps(CAMERAS[camera], steps),
        )  # fmt: skip
        _check_recipe(self._recipe, chroma)
        pictures = _choose_pictures(self.card, source, set)
        facts: dict[str, Scalar] = {"psf": psf, "max_radius": float(max_radius)}
        facts |= _unusual_facts(self._recipe, {"camera": camera, **steps})
        entries = {name: _photograph_entry(picture, facts) for name, picture in pictures.items()}
        remarks = []
        if source is not None:
            paths = [picture.path for picture in pictures.values()]
            remarks = list_left_out_folders(source.expanduser().resolve(), paths)
        super().__init__(
            entries,
            parameters=self._recipe.parameters(),
            remarks=remarks,
            comes_with_suite=source is None,
        )

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
            blur_map=_true_blur_map(scene.radius, self._recipe.camera.scale),
            bit_depth=self._recipe.bits,
            scene=entry.scene,
            meta=entry.meta,
        )

    def fingerprint(self, sample_id: str) -> str:
        """Return a SHA-256 over the id, which the scene is drawn from, the files, all parameters
        and the version.
        """
        return hashlib.sha256(f"{sample_id}\0{super().fingerprint(sample_id)}".encode()).hexdigest()


def _unusual_facts(
    recipe: _RenderRecipe, camera_options: Mapping[str, Scalar | None]
) -> dict[str, Scalar]:
    """Return the options that are not at their defaults: the facts of pictures without them stay as
    they were before there were such options.
    """
    options = {
        "colour_shift": recipe.lens.colour_shift,
        "light": recipe.light,
        **camera_options,
    }
    usual = (0.0, "linear", "none", None)
    return {name: value for name, value in options.items() if value not in usual}


def _make_lens(psf: LensPsf, colour_shift: float) -> Lens:
    if psf == "gkm" and colour_shift != 0:
        raise UsageError(
            "simulated: psf=gkm has one radius for all colours; drop it or colour_shift"
        )
    return Lens(psf, colour_shift=colour_shift)


def _check_recipe(recipe: _RenderRecipe, chroma: ChromaSampling | None) -> None:
    if recipe.views and not recipe.lens.has_halves:
        raise UsageError(
            f"simulated: psf={recipe.lens.psf} has no half apertures, so no dual-pixel views; drop "
            "one of the two"
        )
    is_plain = recipe.lens.colour_shift == 0 and recipe.light == "linear"
    if recipe.views and not (is_plain and recipe.camera == Camera()):
        raise UsageError(
            "simulated: views are rendered with camera=none, light=linear and colour_shift=0 only; "
            "drop views, or these and the settings of the camera"
        )
    if recipe.max_radius == 0 and recipe.lens.colour_shift != 0:
        raise UsageError(
            "simulated: max_radius=0 leaves everything in focus, colour_shift does not; drop one "
            "of the two"
        )
    if recipe.camera.jpeg is None and chroma is not None:
        raise UsageError("simulated: chroma is that of a JPEG; give jpeg=QUALITY too")


# Sources
# --------------------------------------------------------------------------------------------------


def _default_size(source: Path | None, photographs: PhotographSet) -> int | None:
    """Return the side of the crops in the set that holds some; None, which is all, elsewhere."""
    return CROP_SIZE if source is None and photographs == "all" else None


def _choose_pictures(
    card: DatasetCard, source: Path | None, photographs: PhotographSet
) -> dict[str, SharpPicture]:
    """Return id -> sharp picture of a folder, or of those that come with the suite."""
    if source is None:
        return bundled_photographs(photographs)
    if photographs != "all":
        raise UsageError(
            f"simulated: set={photographs} is of the pictures that come with the suite, source="
            f"{source} a folder of others; drop one of the two"
        )
    return _find_photographs(card, source.expanduser().resolve())


def _find_photographs(card: DatasetCard, folder: Path) -> dict[str, SharpPicture]:
    """Return id -> sharp picture: the pictures of a folder, each a photograph of its own, and those
    in its sub-folders that have a disparity map.
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
    ids = sample_ids(list(pictures))
    return {
        sample_id: SharpPicture(picture, sample_id)
        for sample_id, picture in zip(ids, pictures.values(), strict=True)
    }


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


def _photograph_entry(picture: SharpPicture, facts: Mapping[str, Scalar]) -> SampleFiles:
    # Rendered from, and compared with, the same sharp picture.
    files = {"image": picture.path, "target": picture.path}
    depth = _disparity_map(picture.path)
    if depth is not None:
        files["depth"] = depth
    map_origin = "measured" if depth else "invented"
    meta = {**facts, "source": picture.path.name, "map": map_origin}
    return SampleFiles(files=files, scene=picture.photograph, meta=meta)


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
        radius = _radius_of_depth(values, sharp, recipe.max_radius, focus=random.uniform(0.2, 0.8))
    camera_noise = keyed_generator(recipe.seed, sample_id, "camera")
    if recipe.views:
        left, right = _render_views(sharp, radius, recipe.lens)
        image = _mean_in_light(left, right)
        views = (_round_to_bits(left, recipe.bits), _round_to_bits(right, recipe.bits))
    else:
        image = _take_picture(sharp, radius, recipe, camera_noise)
        views = None
    return _RenderedScene(
        image=_round_to_bits(image, recipe.bits),
        views=views,
        sharp=_take_target(sharp, recipe),
        radius=radius,
    )


def _radius_of_depth(depth: Plane, sharp: Picture, max_radius: float, focus: float) -> Plane:
    if max_radius == 0:
        return np.zeros_like(depth)
    radius = scenes.radius_from_depth(depth, max_radius, focus)
    return scenes.align_depth_edges(radius, sharp)


def _middle_slices(picture: Picture, size: int | None) -> tuple[slice, ...]:
    """Return the slices of the middle `size` x `size` pixels, or of as many as there are."""
    if size is None:
        return (slice(None), slice(None))
    margins = [max(0, length - size) // 2 for length in picture.shape[:2]]
    return tuple(slice(margin, margin + size) for margin in margins)


def _take_picture(
    sharp: Picture, radius: Plane, recipe: _RenderRecipe, random: np.random.Generator
) -> Picture:
    if recipe.light == "linear":
        scene_light = read_scene_light(sharp, recipe.camera)
        light_behind_lens = render_light(scene_light, radius, recipe.lens)
    else:
        blurred = np.clip(render_light(sharp, radius, recipe.lens), 0, 1)
        light_behind_lens = read_scene_light(blurred, recipe.camera)
    return take_photograph(light_behind_lens, recipe.camera, random)


def _take_target(sharp: Picture, recipe: _RenderRecipe) -> Picture:
    """Return what the camera makes of the scene without blur, noise and JPEG; without a camera the
    photograph itself, whatever its bits.
    """
    if recipe.camera == Camera():
        return sharp
    target = take_reference(read_scene_light(sharp, recipe.camera), recipe.camera)
    return _round_to_bits(target, recipe.bits)


def _render_views(sharp: Picture, radius: Plane, lens: Lens) -> tuple[Picture, Picture]:
    linear = to_linear(sharp)
    left = to_srgb(render_light(linear, radius, lens, half="left"))
    right = to_srgb(render_light(linear, radius, lens, half="right"))
    return left, right


def _mean_in_light(left: Picture, right: Picture) -> Picture:
    mean_light = (to_linear(left) + to_linear(right)) / 2
    return to_srgb(mean_light.astype(np.float32))


def _true_blur_map(radius: Plane, scale: float | None) -> Map:
    sigma = (np.abs(radius) / 2).astype(np.float32)
    if scale is None:
        return sigma
    return processing.resize_map(sigma, scale)


def _round_to_bits(picture: Picture, bits: int) -> Picture:
    """Return the picture as it would come back from a file of that many bits."""
    top = np.float32(2**bits - 1)
    levels: Picture = np.rint(np.clip(picture, 0, 1) * top)
    return (levels / top).astype(np.float32)
