"""Numbers that papers printed for released weights, as the cards of importers hold them."""

from __future__ import annotations

from benchmark.api import PrintedScore

_PSNR_TOLERANCE = 0.02
_SSIM_TOLERANCE = 0.002


def expect_psnr(
    dataset: str, protocol: str, pictures: int, value: float, source: str
) -> PrintedScore:
    """Return the PSNR in dB that was printed for a data set, a mean of so many pictures."""
    return PrintedScore(
        dataset=dataset, protocol=protocol, measure="psnr", value=value,
        tolerance=_PSNR_TOLERANCE, pictures=pictures, source=source,
    )  # fmt: skip


def expect_psnr_and_ssim(
    dataset: str, protocol: str, pictures: int, psnr: float, ssim: float, source: str
) -> tuple[PrintedScore, PrintedScore]:
    """Return what was printed for a data set, both numbers a mean of so many pictures; SSIM is that
    of uniform windows.
    """
    ssim_score = PrintedScore(
        dataset=dataset, protocol=protocol, measure="ssim_u7", value=ssim,
        tolerance=_SSIM_TOLERANCE, pictures=pictures, source=source,
    )  # fmt: skip
    return expect_psnr(dataset, protocol, pictures, psnr, source), ssim_score
