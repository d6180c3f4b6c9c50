"""The option `psf=` of two-stage methods: a family of PSFs, or a kernel of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, cast

from annotated_types import Predicate, doc

from benchmark.methods.two_stage.wiener import Psf, SampledPsf
from benchmark.optics.kernel_shape import FILE_PREFIX, KernelShape, read_kernel_shape


def names_kernel_file(option: str) -> bool:
    """Return whether a value of the option names a file."""
    return option.startswith(FILE_PREFIX) and option != FILE_PREFIX


KernelFile = Annotated[str, Predicate(names_kernel_file), doc(f"{FILE_PREFIX}PATH")]
PsfOption = Literal["gaussian", "disk", "gkm"] | KernelFile
SampledPsfOption = Literal["gaussian", "disk"] | KernelFile


def open_psf(option: PsfOption) -> Psf:
    """Return what the option stands for: the family itself, or the shape in the file.

    Raises:
        DataError: a file that `read_kernel_shape` refuses.
    """
    if names_kernel_file(option):
        return read_kernel_shape(Path(option.removeprefix(FILE_PREFIX)).expanduser())
    return cast("Psf", option)


def open_sampled_psf(option: SampledPsfOption) -> SampledPsf:
    """Return the same where `gkm` is no choice; raises DataError as `open_psf` does."""
    return cast("SampledPsf", open_psf(option))


def describe_psf(psf: Psf) -> str:
    """Return what a card says of a PSF: nothing of a family, which its id names."""
    return f" PSF: the shape in {psf.name}." if isinstance(psf, KernelShape) else ""
