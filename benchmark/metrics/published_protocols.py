"""The protocols of this benchmark and of the papers whose scripts were read, as data.

`source` says for every protocol where it was read, and what about it is unknown. A protocol
measures our own runs the way a paper measured its; it never makes a published number ours.
"""

from __future__ import annotations

from benchmark.metrics.protocols import Measure, Protocol
from benchmark.metrics.tracks import Track

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
        "it was trained. Default track u8, because most published systems read 16-bit files by "
        "truncation; u16 is exact. psnr_rounded is PSNR after rounding to 8 bits."
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

HARM = Protocol(
    id="harm",
    title="Harm",
    source=(
        "This benchmark's own, to stand beside canonical: what a method does to a picture that it "
        "should not. keep: PSNR against the input where it is in focus (true blur map: sigma below "
        "0.375 px; else the data set's mask). light: mean linear light over that of the target, "
        "or of the input where there is no target. lattice: spectral peaks at periods of 2, 4 and "
        "8 pixels over their neighbours in smooth parts, relative to the target's, or the "
        "input's; the largest, and each alone. unchanged: PSNR against the input above 50 dB. "
        "The input is what the method saw, noise included. Outputs are clamped, as a file would "
        "hold them."
    ),
    version="1",
    tracks=(Track("u8"), Track("u16")),
    measures=(
        Measure("keep", "keep", clamp=True, round8=False),
        Measure("light", "light", clamp=True, round8=False),
        Measure("lattice", "lattice", clamp=True, round8=False),
        Measure("lattice_2", "lattice:period=2", clamp=True, round8=False),
        Measure("lattice_4", "lattice:period=4", clamp=True, round8=False),
        Measure("lattice_8", "lattice:period=8", clamp=True, round8=False),
        Measure("unchanged", "unchanged", clamp=True, round8=False),
    ),
)

BY_BLUR = Protocol(
    id="by-blur",
    title="Gain by blur",
    source=(
        "This benchmark's own, to stand beside canonical: where a method gains, and with what "
        "harm. Gains over the input in the sharp quarter of the pixels, the middle half and the "
        "blurred quarter: PSNR, and LPIPS on tiles of 256 px. keep_sharp: PSNR against the input "
        "over the sharp quarter. Pixels are ordered by the true blur map, else by the disparity of "
        "the dual-pixel views, else by the blur map that ebdb estimates from the input without "
        "noise; tables say which. Outputs and inputs are clamped."
    ),
    version="1",
    tracks=(Track("u8"), Track("u16")),
    measures=(
        Measure("psnr_sharp", "psnr-gain:part=sharp", clamp=True, round8=False),
        Measure("psnr_middle", "psnr-gain:part=middle", clamp=True, round8=False),
        Measure("psnr_blurred", "psnr-gain:part=blurred", clamp=True, round8=False),
        Measure("lpips_sharp", "lpips-gain:part=sharp", clamp=True, round8=False),
        Measure("lpips_middle", "lpips-gain:part=middle", clamp=True, round8=False),
        Measure("lpips_blurred", "lpips-gain:part=blurred", clamp=True, round8=False),
        Measure("keep_sharp", "keep:part=sharp", clamp=True, round8=False),
    ),
)

ALIGNED = Protocol(
    id="aligned",
    title="Aligned",
    source=(
        "This benchmark's own, to stand beside canonical on real pairs, whose two exposures do not "
        "quite lie over each other. psnr_aligned: each tile of the output (at most 512 px) is "
        "moved by up to 2 px to where it fits the target best; 3 px at the border of the picture "
        "do not count. shift: how far tiles were moved in the mean. psnr is that of canonical. "
        "Outputs are clamped."
    ),
    version="1",
    tracks=(Track("u8"), Track("u16")),
    measures=(
        Measure("psnr_aligned", "psnr-aligned", clamp=True, round8=False),
        _PSNR,
        Measure("shift", "shift", clamp=True, round8=False),
    ),
)

NO_REFERENCE = Protocol(
    id="no-reference",
    title="Without a target",
    source=(
        "This benchmark's own, for photographs without targets: scikit-image's blur_effect (Crete "
        "et al. 2007) of the clamped output. It says how blurred a picture looks, not how good it "
        "is, and ranks nothing. NIQE and PIQE are left out: no maintained package provides them "
        "under a free licence."
    ),
    version="1",
    tracks=(Track("u8"), Track("u16")),
    measures=(Measure("blur_effect", "blur-effect", clamp=True, round8=False),),
)

GKMNET = Protocol(
    id="gkmnet",
    title="GKMNet (NeurIPS 2021)",
    source=(
        "csZcWu/GKMNet, test.py, data.py and utils.py (read). 8-bit by truncation (PIL); padded "
        "to multiples of 16, centred on black, and the frame is part of what is scored (RTF: 368 "
        "x 368). PSNR: rounded, then clamped. SSIM: pytorch_msssim (11 x 11 Gaussian, sigma 1.5, "
        "range 255) on the rounded but unclamped output, so values below 0 and above 255 enter. "
        "LPIPS: alex v0.1 fed [0, 1] without normalisation, neither clamped nor rounded: "
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
        "(read). 16-bit, BGR; resized to 1680 x 1120 by cv2.resize's default (bilinear), "
        "portraits turned a quarter counter-clockwise, and scored like that, not rounded; DPDD "
        "has that size already. Its network ends in a sigmoid; clamping is our reading for "
        "methods that can leave [0, 1]. The paper's LPIPS came from a script that is not in the "
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
        "8-bit, cropped to multiples of 8 at the bottom and right; a 16-bit configuration exists "
        "(track u16). The network clips to [0, 1] itself. LPIPS: a vendored copy of alex v0.1 on "
        "[-1, 1]."
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
        "the bottom and right; the network works on [-1, 1] and clips itself, scores are taken on "
        "[0, 1]."
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
        "script. The single-image script reads 8 bits, the dual-pixel script 16 (track u16). No "
        "size handling: DPDD fits its multiple of 8."
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
        "clamped; LPIPS on [-1, 1], fed BGR. Size: cropped to multiples of 16 at the bottom and "
        "right (data.py), so that the slice 4:364 the script takes of RTF keeps 348 x 348. "
        "Unknown: the stored test.py imports another loader, data_v3, which mirrors the picture "
        "up to multiples of 16 on both sides, and there the slice gives the native 360 x 360; "
        "which of the two the paper's RTF numbers used cannot be told. On DPDD, RealDOF and "
        "LFDOF, whose sizes are multiples of 16, the two agree."
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
        "of 32 at the bottom and right (RTF: 352 x 352). PSNR and SSIM of the clipped output; "
        "LPIPS on [-1, 1], fed BGR, not clipped. Its network was trained on LPIPS, which is "
        "therefore no independent measure of it."
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
        "dual pixels (track u16); mirrored to multiples of 8 at the bottom and right, the output "
        "cut back; the network clips to [0, 1]. The script pads the target too and does not cut "
        "it back, so it runs on multiples of 8 only; elsewhere we score at the native size."
    ),
    version="1",
    tracks=(Track("u8", "pad-reflect", 8), Track("u16", "pad-reflect", 8)),
    measures=(_PSNR, _SSIM, _LPIPS),
)
