"""The front door in Python: what `import benchmark` offers.

Pictures are H x W x 3 float32 RGB in [0, 1], as everywhere in the suite. Arrays of 8 and 16 bits
(uint8, uint16) are accepted too: they are divided by 255 or 65535, which loses nothing, and that is
said once. torch is imported only when a network is used.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark import console
from benchmark.api import (
    Dataset,
    Map,
    Mask,
    MethodCard,
    Observation,
    Picture,
    Precision,
    Sample,
    UsageError,
)
from benchmark.files import DATA_VARIABLE

if TYPE_CHECKING:
    from benchmark.apply import PreparedMethod
    from benchmark.engines import Engine
    from benchmark.metrics.blur_order import BlurOrder
    from benchmark.metrics.protocols import Protocol
    from benchmark.metrics.tracks import Track
    from benchmark.noise import Noise, NoiseOnViews
    from benchmark.results import Results
    from benchmark.verification import Verification

_LARGEST = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}
_LARGEST_PLAUSIBLE = 10.0
"""A float picture with larger values is on the 0-255 scale, whatever its noise."""


class LoadedMethod:
    """A method that is ready to restore pictures; made by `load_method`.

    Attributes:
        id: the canonical id, with the checkpoint that it stands for.
        card: what is known about the method.
    """

    def __init__(self, method_id: str, prepared_method: PreparedMethod) -> None:
        """Wrap a prepared method."""
        self.id = method_id
        self.card: MethodCard = prepared_method.method.card
        self._prepared = prepared_method

    def __repr__(self) -> str:
        return f"<{self.id}: {self.card.title}>"

    def restore(
        self,
        picture: ArrayLike,
        views: tuple[ArrayLike, ArrayLike] | None = None,
        *,
        blur_map: ArrayLike | None = None,
        noise_sigma: float | None = None,
    ) -> Picture:
        """Return the restored picture: H x W x 3 float32 RGB, not clamped to [0, 1].

        Args:
            picture: the defocused picture, H x W x 3.
            views: the left and the right dual-pixel picture, for methods that need them.
            blur_map: the true blur map in pixels of sigma, H x W, for oracles only.
            noise_sigma: the noise of the picture on the 0-255 scale, for noise-aware methods only.

        Raises:
            UsageError: if an input is missing that the method needs, or is not a picture; or if the
                method has no weights.

        Warns:
            UserWarning: where the method has a remark, such as how much its tiles show.
        """
        from benchmark.apply import Skip, copy_observation

        observation = Observation(
            image=as_float_picture(picture, "picture"),
            views=_float_views(views),
            bit_depth=_bit_depth(picture),
            blur_map=_oracle_map(self.card, blur_map),
            noise_sigma=_known_noise(self.card, noise_sigma),
        )
        try:
            output = self._prepared.restore(copy_observation(observation))
        except Skip as skip:
            raise UsageError(f"{self.id}: {skip.reason}") from skip
        for remark in self._prepared.list_remarks(observation, output):
            warnings.warn(f"{self.id}: {remark}", stacklevel=2)
        return output


def load_method(
    method: str, *, device: str = "auto", plugins: Sequence[str | Path] = ()
) -> LoadedMethod:
    """Return a method, loaded and ready.

    >>> import benchmark, numpy
    >>> method = benchmark.load_method("unsharp:amount=0.5")
    >>> method.restore(numpy.zeros((8, 8, 3), numpy.float32)).shape
    (8, 8, 3)

    Args:
        method: an id, `name[.checkpoint][:key=value,...]`.
        device: "auto", "cpu" or "cuda"; where a network runs.
        plugins: Python files that register further methods.

    Raises:
        UsageError: an unknown id or parameter, or a method that cannot be prepared here.
    """
    from benchmark.apply import prepare_for_user
    from benchmark.registry import METHODS, create

    _load_plugins(plugins)
    instance, resolved_id = create(METHODS, method)
    return LoadedMethod(resolved_id.label, prepare_for_user(instance, resolved_id.label, device))


def load_dataset(
    dataset: str, *, root: str | Path | None = None, plugins: Sequence[str | Path] = ()
) -> Dataset:
    """Return a data set: `ids()` names its samples, `load(id)` reads one.

    Args:
        dataset: an id, `name[:key=value,...]`.
        root: the folder that holds the data sets; by default BENCHMARK_DATA, or `data`.
        plugins: Python files that register further data sets.

    Raises:
        UsageError: an unknown id or parameter.
        DataError: if its files are missing or damaged.
    """
    from benchmark.registry import DATASETS, create

    _load_plugins(plugins)
    return create(DATASETS, dataset, root=_data_root(root))[0]


def evaluate(
    output: ArrayLike,
    target: ArrayLike,
    protocol: str = "canonical",
    *,
    track: str | None = None,
    dataset: str = "",
    image: ArrayLike | None = None,
    in_focus: ArrayLike | None = None,
    blur_map: ArrayLike | None = None,
) -> dict[str, float]:
    """Return every measure of a protocol for one result; NaN, with a line that says why, where a
    measure is not available.

    All pictures have the size of the data set's pictures. They are brought into the protocol's
    scoring geometry (cropped, padded or resized) as `run` does it with targets.

    Args:
        output: the restored picture, H x W x 3, not clamped.
        target: the all-in-focus picture of the same size. A 16-bit target is truncated to 8 bits
            under a track that reads so.
        protocol: id of the protocol; see `python -m benchmark list protocols`.
        track: "u8" or "u16", for protocols that leave the reading depth open.
        dataset: name of the data set, for protocols that score only a part of its pictures.
        image: the picture that was restored, for measures that compare with it (`harm`).
        in_focus: H x W, true where that picture is in focus, for measures that look only there.
        blur_map: H x W, greater where that picture is more blurred, in any unit, for measures by
            blur (`by-blur`); None to have it estimated from `image`, which is said.

    Raises:
        UsageError: unknown protocol or track, or pictures of different sizes.
    """
    from benchmark import plan
    from benchmark.registry import PROTOCOLS, create_metric

    scoring_protocol = PROTOCOLS.get(protocol)
    input_track = plan.select_tracks([scoring_protocol], track)[protocol]
    output_picture = as_float_picture(output, "output")
    size = output_picture.shape[:2]
    framed_image = None if image is None else _frame_reference(image, "image", size, input_track)
    framed_mask = None if in_focus is None else _frame_mask(in_focus, size, input_track)
    scores = scoring_protocol.score(
        input_track.frame(output_picture),
        _frame_reference(target, "target", size, input_track),
        dataset,
        create_metric,
        image=framed_image,
        in_focus=framed_mask,
        find_blur=_plan_blur_order(blur_map, framed_image, size, input_track),
    )
    for score in scores:
        if score.value is None:
            console.print_note(f"{score.key}: {score.reason}")
    for basis in dict.fromkeys(score.basis for score in scores if score.basis):
        console.print_note(f"sharp and blurred by {basis}")
    return {score.key: float("nan") if score.value is None else score.value for score in scores}


def _frame_reference(picture: ArrayLike, name: str, size: tuple[int, ...], track: Track) -> Picture:
    """Return what an output is compared with, read through a track and in its scoring geometry."""
    pixels = as_float_picture(picture, name)
    if pixels.shape[:2] != size:
        raise UsageError(
            f"the output is {size}, the {name} {pixels.shape[:2]}; both must have the size of the "
            "data set's picture"
        )
    return track.frame(track.read(Sample(name, pixels, bit_depth=_bit_depth(picture))).image)


def _frame_mask(mask: ArrayLike, size: tuple[int, ...], track: Track) -> Mask:
    pixels = np.asarray(mask)
    if pixels.dtype != np.bool_ or pixels.shape != size:
        raise UsageError(
            f"in_focus: expected booleans of the output's size {size}, got {pixels.dtype} "
            f"{pixels.shape}"
        )
    return track.frame_mask(pixels)


def _plan_blur_order(
    blur_map: ArrayLike | None, image: Picture | None, size: tuple[int, ...], track: Track
) -> Callable[[], BlurOrder] | None:
    """Return what says, once asked, which pixels are more blurred than which; None if nothing
    can.
    """
    from benchmark.metrics.blur_order import ESTIMATE, BlurOrder
    from benchmark.registry import estimate_blur

    if blur_map is not None:
        values = np.asarray(blur_map)
        if values.dtype.kind not in "fiu" or values.shape != size:
            raise UsageError(
                f"blur_map: expected numbers of the output's size {size}, got {values.dtype} "
                f"{values.shape}"
            )
        order = BlurOrder(track.frame_map(values.astype(np.float32)), "the blur map that was given")
        return lambda: order
    if image is None:
        return None
    return functools.cache(lambda: BlurOrder(estimate_blur(image), ESTIMATE))


def run(
    methods: str | Sequence[str],
    dataset: str,
    *,
    noise: float | Noise | Sequence[float | Noise] = 0.0,
    noise_on_views: NoiseOnViews = "same",
    protocol: str | Sequence[str] = "canonical",
    track: str | None = None,
    root: str | Path | None = None,
    out: str | Path | None = None,
    limit: int | None = None,
    jobs: int = 0,
    engine: Engine | None = None,
    timeout: float | None = None,
    device: str = "auto",
    precision: Precision = "32",
    save_images: bool = True,
    keep_outputs: Literal["float32", "float16"] = "float32",
    plugins: Sequence[str | Path] = (),
    lpips_trunk: str | Path | None = None,
) -> Results:
    """Run methods over a data set, score them, and return the results of the run folder.

    It is `python -m benchmark run`: the same call again does only what is missing, and whatever
    fails is a row with its reason. Methods run in processes of their own, so a method that is
    defined in a notebook or a script must be saved to a file and named in `plugins`.

    Args:
        methods: ids and groups, as a list or a comma list.
        dataset: id of the data set.
        noise: sigmas on the 0-255 scale, or `benchmark.noise.Noise` objects.
        noise_on_views: where methods take dual-pixel views, `same`: sigma on each view, or
            `physical`: sigma * sqrt(2), so that their mean has sigma; for levels that do not say it
            themselves.
        protocol: ids of the protocols that outputs are scored under.
        track: reading depth, "u8" or "u16"; None for each protocol's own.
        root: the folder that holds the data sets; by default BENCHMARK_DATA, or `data`.
        out: the run folder; by default `results/runs/DATASET`.
        engine: where the cells are done, for example
            `benchmark.engines.dask_engine.DaskEngine("tcp://host:8786")`; None for `jobs` processes
            of this machine.
        limit, jobs, timeout, device, precision, save_images, keep_outputs, plugins, lpips_trunk:
            as the command's options.

    Raises:
        UsageError: unknown ids, parameters or files.
        DataError: missing or damaged data.
        WorkerStartError: a plug-in fails in worker processes only, or Dask's scheduler has ended;
            what was finished is kept.
    """
    from benchmark.engines.local import LocalEngine
    from benchmark.results import read_results
    from benchmark.running import RunRequest, run_methods

    _load_plugins(plugins)
    request = RunRequest(
        methods=_require_importable(_as_tuple(methods)),
        dataset=dataset,
        noises=_noise_levels(noise, noise_on_views),
        protocols=_look_up_protocols(protocol),
        depth=track,
        data=_data_root(root),
        out=None if out is None else Path(out),
        limit=limit,
        engine=engine or LocalEngine(jobs),
        timeout=timeout,
        device=device,
        precision=precision,
        save=save_images,
        rounds_outputs=keep_outputs == "float16",
        plugins=tuple(map(Path, plugins)),
        lpips_trunk=_choose_trunk(lpips_trunk),
    )
    with _main_module_hidden():
        return read_results(run_methods(request).folder)


def verify(
    run: str | Path,
    *,
    cells: int | None = 20,
    restore: int = 0,
    seed: int = 0,
    tolerance: float = 1e-4,
    set_aside: bool = False,
    root: str | Path | None = None,
    jobs: int = 0,
    timeout: float | None = None,
    device: str = "auto",
    plugins: Sequence[str | Path] = (),
    lpips_trunk: str | Path | None = None,
) -> Verification:
    """Check that the outputs of a run are what was written, and that its scores come out again.

    It is `python -m benchmark verify`. `agrees` of the result says whether all is well, and printed
    it says what was checked, and what differs. No score is changed.

    Args:
        run: the run folder, or a bundle, of which files and scores are checked.
        cells: how many outputs to score again, drawn at random; None for all.
        restore: how many cells to restore again, drawn at random.
        seed: of what is drawn.
        tolerance: how far what is computed again may be off: of pixels, as a part of their range;
            of scores, as a part of the score, or of 1 where that is larger.
        set_aside: rename damaged outputs, so that `run` makes them again.
        root: the folder that holds the data sets; by default BENCHMARK_DATA, or `data`.
        jobs, timeout, device, plugins, lpips_trunk: as the command's options.

    Raises:
        UsageError: there is no run, a number below 0, or an unknown file.
        DataError: the run cannot be read.
        WorkerStartError: worker processes cannot start.
    """
    from benchmark.engines.local import LocalEngine
    from benchmark.verification import VerifyRequest, verify_run

    _load_plugins(plugins)
    request = VerifyRequest(
        run=Path(run),
        cells=cells,
        restore=restore,
        seed=seed,
        tolerance=tolerance,
        set_aside=set_aside,
        data=_data_root(root),
        engine=LocalEngine(jobs),
        timeout=timeout,
        device=device,
        plugins=tuple(map(Path, plugins)),
        lpips_trunk=_choose_trunk(lpips_trunk),
    )
    with _main_module_hidden():
        return verify_run(request)


def as_float_picture(array: ArrayLike, name: str) -> Picture:
    """Return an array as a picture, H x W x 3 float32 RGB; 8 and 16 bits are divided by their
    range.

    Raises:
        UsageError: another shape or type, values that are not finite, or a float picture whose
            values are on the 0-255 scale.
    """
    picture = np.asarray(array)
    if picture.ndim != 3 or picture.shape[2] != 3:
        raise UsageError(f"{name}: expected H x W x 3 (RGB), got shape {picture.shape}")
    if picture.dtype in _LARGEST:
        _note_conversion(str(picture.dtype), _LARGEST[picture.dtype])
        return _divide_exactly(picture)
    if picture.dtype != np.float32:
        raise UsageError(
            f"{name}: expected float32 in [0, 1], uint8 or uint16, got {picture.dtype}; convert it "
            "with .astype(numpy.float32) if its values are in [0, 1]"
        )
    if not np.isfinite(picture).all():
        raise UsageError(f"{name}: holds NaN or infinite values")
    if picture.max(initial=0) > _LARGEST_PLAUSIBLE:
        raise UsageError(
            f"{name}: has values up to {picture.max():g}; float pictures are in [0, 1], so divide "
            "it by its range"
        )
    return picture


def _divide_exactly(picture: NDArray[np.generic]) -> Picture:
    return picture.astype(np.float32) / np.float32(_LARGEST[picture.dtype])


@functools.cache
def _note_conversion(dtype: str, largest: int) -> None:
    console.print_note(f"{dtype} arrays are divided by {largest}, which loses nothing")


def _bit_depth(array: ArrayLike) -> int:
    return 16 if np.asarray(array).dtype == np.uint16 else 8


def _float_views(views: tuple[ArrayLike, ArrayLike] | None) -> tuple[Picture, Picture] | None:
    if views is None:
        return None
    left, right = views
    return as_float_picture(left, "left view"), as_float_picture(right, "right view")


def _oracle_map(card: MethodCard, blur_map: ArrayLike | None) -> Map | None:
    if blur_map is None:
        return None
    if not card.oracle:
        raise UsageError(f"{card.title} is no oracle: it must not see the true blur map")
    return np.asarray(blur_map, np.float32)


def _known_noise(card: MethodCard, noise_sigma: float | None) -> float | None:
    if noise_sigma is not None and not card.noise_aware:
        raise UsageError(f"{card.title} is not noise-aware: it must not see the noise level")
    if noise_sigma is None and card.noise_aware:
        return 0.0
    return noise_sigma


def _as_tuple(texts: str | Sequence[str]) -> tuple[str, ...]:
    return (texts,) if isinstance(texts, str) else tuple(texts)


def _look_up_protocols(texts: str | Sequence[str]) -> dict[str, Protocol]:
    from benchmark.registry import PROTOCOLS

    names = [name.strip() for name in ",".join(_as_tuple(texts)).split(",")]
    return {name: PROTOCOLS.get(name) for name in names if name}


def _choose_trunk(lpips_trunk: str | Path | None) -> Path | None:
    from benchmark.metrics.lpips import set_trunk_file

    path = None if lpips_trunk is None else Path(lpips_trunk)
    if path is not None and not path.is_file():
        raise UsageError(f"lpips_trunk={path}: no such file")
    set_trunk_file(path)
    return path


def _as_noise(level: float | Noise) -> Noise:
    from benchmark.noise import Noise

    return level if isinstance(level, Noise) else Noise(float(level))


def _noise_levels(
    levels: float | Noise | Sequence[float | Noise], on_views: NoiseOnViews
) -> tuple[Noise, ...]:
    from benchmark.noise import Noise

    sequence = levels if isinstance(levels, Sequence) else [levels]
    try:
        noises = tuple(map(_as_noise, sequence))
    except (TypeError, ValueError) as error:
        raise UsageError(f"noise={levels!r}: expected numbers >= 0 ({error})") from error
    try:
        default = Noise(on_views=on_views).on_views
    except ValueError as error:
        raise UsageError(f"noise_on_views={on_views!r}: {error}") from error
    return tuple(replace(noise, on_views=noise.on_views or default) for noise in noises)


def _require_importable(methods: tuple[str, ...]) -> tuple[str, ...]:
    """Return the ids; raise UsageError for a method that only this process knows."""
    from benchmark.registry import METHODS
    from benchmark.spec import parse_ids

    names = {spec.name for spec in parse_ids(methods)} & set(METHODS.names())
    for name in sorted(names):
        if METHODS.get(name).__module__ == "__main__":
            raise UsageError(
                f"method {name!r} is defined in this notebook or script, and the processes that "
                "run methods cannot see it; save it to a file and pass plugins=[FILE]"
            )
    return methods


@contextlib.contextmanager
def _main_module_hidden() -> Iterator[None]:
    """Keep new processes from running the caller's script again.

    multiprocessing imports the main module in each process that it starts, by the path in
    `__file__`. A script that calls `run` without a guard would start itself again and again.
    """
    main = sys.modules["__main__"]
    path = main.__dict__.pop("__file__", None)
    try:
        yield
    finally:
        if path is not None:
            main.__dict__["__file__"] = path


def _load_plugins(plugins: Sequence[str | Path]) -> None:
    from benchmark.registry import load_plugin

    for path in plugins:
        load_plugin(Path(path))


def _data_root(root: str | Path | None) -> Path:
    return Path(root or os.environ.get(DATA_VARIABLE) or "data")
