"""Protocols: how a paper, or this benchmark, turns pictures into numbers, as data.

A protocol has input tracks (`tracks`) and a ruler: for every number which metric, on the output
clamped or not, rounded to 8 bits or not, on which part of the picture. SSIM on 0-255 values with
range 255 equals SSIM on [0, 1] with range 1 (see `Ssim`), and so does PSNR, so everything here
lives on [0, 1]; metrics run in float64 also where the released scripts ran in float32.

`source` says for every protocol where it was read, and what about it is unknown. A protocol
measures our own runs the way a paper measured its; it never makes a published number ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmark.api import Metric, Picture, Unavailable
from benchmark.cells import Score
from benchmark.metrics.tracks import Track

Pair = tuple[NDArray[np.floating], NDArray[np.floating]]


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of a ruler.

    Attributes:
        key: column key, unique in its protocol.
        metric: id of the metric.
        clamp: the output is clamped to [0, 1] first.
        round8: output and target are rounded to 255ths first (half to even; an unclamped output
            stays so).
    """

    key: str
    metric: str
    clamp: bool
    round8: bool


class Protocol:
    """How a paper, or this benchmark, measures.

    Attributes:
        id: as registered.
        title: for tables.
        source: repository or paper, what was verified how, and every point that is unknown or our
            decision.
        version: changes whenever its scores may change.
        tracks: the input tracks it is defined on, each of another depth; the first is the default.
        measures: the ruler.
        slices: data set name -> (start, stop), on both axes: the only part that is scored.
    """

    id: str
    title: str
    source: str
    version: str
    tracks: tuple[Track, ...]
    measures: tuple[Measure, ...]
    slices: Mapping[str, tuple[int, int]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for what, names in (
            ("tracks", [track.depth for track in self.tracks]),
            ("measures", [measure.key for measure in self.measures]),
        ):
            if not names or len(set(names)) < len(names):
                raise ValueError(
                    f"protocol {self.id!r}: {what} must be there and differ, got {names}"
                )

    def score(
        self,
        output: Picture,
        target: Picture | None,
        dataset: str,
        metrics: Callable[[str], Metric],
    ) -> list[Score]:
        """Return one score per measure.

        Args:
            output: what a method returned, unclamped, in scoring geometry (`Track.finish`).
            target: the all-in-focus picture in scoring geometry (`Track.frame`), or None.
            dataset: registered name of the data set.
            metrics: returns the metric of an id.

        Raises:
            ValueError: if the two differ in shape; a picture that does not fit a metric is a reason
                instead.
        """
        if target is None:
            return [Score(measure.key, None, "no target", "skipped") for measure in self.measures]
        if output.shape != target.shape:
            raise ValueError(
                f"output {output.shape} and target {target.shape} are not in one scoring geometry"
            )
        part = slice(*self.slices.get(dataset, (None, None)))
        ours, theirs = output[part, part], target[part, part]
        kinds = {(measure.clamp, measure.round8) for measure in self.measures}
        pairs = {
            kind: (_prepared(ours, *kind), _prepared(theirs, False, kind[1])) for kind in kinds
        }
        return [_measured(m, pairs[m.clamp, m.round8], metrics(m.metric)) for m in self.measures]


def _prepared(picture: Picture, clamp: bool, round8: bool) -> NDArray[np.floating]:
    clamped = np.clip(picture, 0, 1) if clamp else picture
    # The product stays in float32, as in the released scripts: their ties are ours.
    return np.rint(clamped * np.float32(255)).astype(np.float64) / 255 if round8 else clamped


def _measured(measure: Measure, pair: Pair, metric: Metric) -> Score:
    lack = metric.unavailable()
    if lack is not None:
        return Score(measure.key, None, f"not available: {lack}", "unavailable")
    try:
        value = float(metric(*pair))
    except Unavailable as error:
        return Score(measure.key, None, f"not available: {error}", "unavailable")
    except ValueError as error:
        return Score(measure.key, None, str(error), "skipped")
    except Exception as error:
        # A metric that breaks must not take the method's other scores with it.
        return Score(measure.key, None, f"failed: {type(error).__name__}: {error}", "failed")
    if not math.isfinite(value):
        return Score(measure.key, None, f"{measure.metric} returned {value}", "failed")
    return Score(measure.key, value)


_PSNR = Measure("psnr", "psnr", clamp=True, round8=False)
_SSIM = Measure("ssim_u7", "ssim:window=u7", clamp=True, round8=False)
_LPIPS = Measure("lpips", "lpips", clamp=True, round8=False)
_MAE = Measure("mae", "mae", clamp=True, round8=False)
_PSNR_ROUNDED = Measure("psnr", "psnr", clamp=True, round8=True)
_SSIM_ROUNDED = Measure("ssim_g11", "ssim:window=g11", clamp=False, round8=True)

CANONICAL = Protocol(
    id="canonical",
    title="Canonical",
    source=(
        "This benchmark's own: native size, clamped, nothing rounded, both SSIM windows, LPIPS as "
        "it was trained. "
        "Default track u8, because most published systems read 16-bit files by truncation; u16 is "
        "exact. "
        "psnr_rounded is PSNR after rounding to 8 bits."
    ),
    version="1",
    tracks=(Track("u8"), Track("u16")),
    measures=(
        _PSNR,
        Measure("psnr_rounded", "psnr", clamp=True, round8=True),
        _SSIM,
        Measure("ssim_g11", "ssim:window=g11", clamp=True, round8=False),
        _LPIPS,
        _MAE,
    ),
)

GKMNET = Protocol(
    id="gkmnet",
    title="GKMNet (NeurIPS 2021)",
    source=(
        "csZcWu/GKMNet, test.py, data.py and utils.py (read). 8-bit by truncation (PIL); padded "
        "to multiples of 16, "
        "centred on black, and the frame is part of what is scored (RTF: 368 x 368). PSNR: "
        "rounded, then clamped. "
        "SSIM: pytorch_msssim (11 x 11 Gaussian, sigma 1.5, range 255) on the rounded but "
        "unclamped output, so values "
        "below 0 and above 255 enter. LPIPS: alex v0.1 fed [0, 1] without normalisation, neither "
        "clamped nor rounded: "
        "comparable with nobody else's. That the table of the paper was made by this script is "
        "likely but not known."
    ),
    version="1",
    tracks=(Track("u8", "pad-black", 16),),
    measures=(
        _PSNR_ROUNDED,
        _SSIM_ROUNDED,
        Measure("lpips_raw01", "lpips:range=raw01", clamp=False, round8=False),
    ),
)

DPDNET = Protocol(
    id="dpdnet",
    title="DPDNet (ECCV 2020)",
    source=(
        "Abdullah-Abuolaim/defocus-deblurring-dual-pixel, config.py, data.py and metrics.py "
        "(read). 16-bit, BGR; "
        "resized to 1680 x 1120 by cv2.resize's default (bilinear), portraits turned a quarter "
        "counter-clockwise, and "
        "scored like that, not rounded; DPDD has that size already. Its network ends in a "
        "sigmoid; clamping is our "
        "reading for methods that can leave [0, 1]. The paper's LPIPS came from a script that is "
        "not in the "
        "repository (backbone, range and colour order unknown), so this protocol has none."
    ),
    version="1",
    tracks=(Track("u16", "resize", order="bgr"),),
    measures=(_PSNR, _SSIM, _MAE),
)

IFAN = Protocol(
    id="ifan",
    title="IFAN (CVPR 2021)",
    source=(
        "codeslake/IFAN, eval.py, data_loader/utils.py, models/archs/IFAN.py and configs (read). "
        "8-bit, cropped to "
        "multiples of 8 at the bottom and right; a 16-bit configuration exists (track u16). The "
        "network clips to "
        "[0, 1] itself. LPIPS: a vendored copy of alex v0.1 on [-1, 1]."
    ),
    version="1",
    tracks=(Track("u8", "crop", 8), Track("u16", "crop", 8)),
    measures=(_PSNR, _SSIM, _LPIPS, _MAE),
)

DRBNET = Protocol(
    id="drbnet",
    title="DRBNet (CVPR 2022)",
    source=(
        "lingyanruan/DRBNet, run.py and util/util.py (read). 8-bit, cropped to multiples of 16 at "
        "the bottom and "
        "right; the network works on [-1, 1] and clips itself, scores are taken on [0, 1]."
    ),
    version="1",
    tracks=(Track("u8", "crop", 16),),
    measures=(_PSNR, _SSIM, _LPIPS),
)

RESTORMER = Protocol(
    id="restormer",
    title="Restormer (CVPR 2022)",
    source=(
        "swz30/Restormer, Defocus_Deblurring/test_*.py and utils.py (read). Clamped by the "
        "script. The single-image "
        "script reads 8 bits, the dual-pixel script 16 (track u16). No size handling: DPDD fits "
        "its multiple of 8."
    ),
    version="1",
    tracks=(Track("u8"), Track("u16")),
    measures=(_PSNR, _SSIM, _LPIPS, _MAE),
)

NRKNET = Protocol(
    id="nrknet",
    title="NRKNet (CVPR 2023)",
    source=(
        "csZcWu/NRKNet, test.py and data.py (read). 8-bit, BGR; everything rounded, only PSNR "
        "clamped; LPIPS on "
        "[-1, 1], fed BGR. Size: cropped to multiples of 16 at the bottom and right (data.py), so "
        "that the slice "
        "4:364 the script takes of RTF keeps 348 x 348. Unknown: the stored test.py imports "
        "another loader, data_v3, "
        "which mirrors the picture up to multiples of 16 on both sides, and there the slice gives "
        "the native "
        "360 x 360; which of the two the paper's RTF numbers used cannot be told. On DPDD, "
        "RealDOF and LFDOF, whose "
        "sizes are multiples of 16, the two agree."
    ),
    version="1",
    tracks=(Track("u8", "crop", 16, "bgr"),),
    measures=(
        _PSNR_ROUNDED,
        _SSIM_ROUNDED,
        Measure("lpips_bgr", "lpips:order=bgr", clamp=False, round8=True),
    ),
    slices={"rtf": (4, 364)},
)

INIKNET = Protocol(
    id="iniknet",
    title="INIKNet (ICCV 2023)",
    source=(
        "xinyao240/INIKNet, test.py, data.py and util.py (read). 8-bit, BGR, cropped to multiples "
        "of 32 at the bottom "
        "and right (RTF: 352 x 352). PSNR and SSIM of the clipped output; LPIPS on [-1, 1], fed "
        "BGR, not clipped. "
        "Its network was trained on LPIPS, which is therefore no independent measure of it."
    ),
    version="1",
    tracks=(Track("u8", "crop", 32, "bgr"),),
    measures=(_PSNR, _SSIM, Measure("lpips_bgr", "lpips:order=bgr", clamp=False, round8=False)),
)

LAKDNET = Protocol(
    id="lakdnet",
    title="LaKDNet",
    source=(
        "lingyanruan/LaKDNet, run.py and util/util.py (read). 8-bit for single images, 16-bit for "
        "dual pixels (track "
        "u16); mirrored to multiples of 8 at the bottom and right, the output cut back; the "
        "network clips to [0, 1]. "
        "The script pads the target too and does not cut it back, so it runs on multiples of 8 "
        "only; elsewhere we "
        "score at the native size."
    ),
    version="1",
    tracks=(Track("u8", "pad-reflect", 8), Track("u16", "pad-reflect", 8)),
    measures=(_PSNR, _SSIM, _LPIPS),
)
