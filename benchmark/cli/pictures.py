"""Commands on a user's own pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark import console
from benchmark.api import BenchmarkError, UsageError
from benchmark.cli.app import app
from benchmark.cli.options import (
    DeviceChoice,
    DeviceOption,
    PluginsOption,
    PrecisionChoice,
    PrecisionOption,
    check_device,
    check_out_folder,
    prepare,
)
from benchmark.spec import parse_ids

if TYPE_CHECKING:
    from benchmark.reports.before_after import RestoredPicture

PANEL = "Your own pictures"


PhotographsArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="IMAGE...",
        help="Pictures of any size, or folders of them; PNG, TIFF and PPM also with 16 bits.",
    ),
]
PictureMethodsOption = Annotated[
    list[str],
    typer.Option(
        "--methods",
        "--method",
        help="Ids, comma-separated or repeated; the default is trained for photographs.",
    ),
]
PageOption = Annotated[
    bool,
    typer.Option(
        "--page",
        help="Write index.html beside the results, which shows pictures before and after.",
    ),
]
PictureFolderOption = Annotated[
    Path, typer.Option("--out", callback=check_out_folder, help="Folder for the results.")
]


@app.command(name="deblur", rich_help_panel=PANEL)
def deblur_command(
    images: PhotographsArgument,
    methods: PictureMethodsOption = ["gkmnet.photo"],  # noqa: B006 (typer copies defaults)
    out: PictureFolderOption = Path("deblurred"),
    page: PageOption = False,
    device: DeviceOption = DeviceChoice.auto,
    precision: PrecisionOption = PrecisionChoice.single,
    plugin: PluginsOption = None,
) -> None:
    """Restore your own photographs.

    Format, bit depth, orientation, colour profile, grey and transparency stay as they are; EXIF
    too, but of TIFF.
    """
    prepare(plugin, None)
    check_device(device)
    from benchmark.cli import own_pictures
    from benchmark.reports.before_after import require_own_before_after_page

    pictures = own_pictures.list_photographs(images)
    if page:
        require_own_before_after_page(out)
    results = own_pictures.deblur_pictures(
        pictures, methods, out, device.value, precision.value, plugins=tuple(plugin or [])
    )
    total = len(pictures) * len(parse_ids(methods))
    page_results: list[RestoredPicture] = []
    try:
        for result in console.track_progress(results, total=total, label="restoring"):
            console.print_line(f"{result.source} -> {result.target}")
            if page:
                page_results.append(result)
    except BenchmarkError:
        _write_before_after(out, page_results)  # of what went well
        raise
    _write_before_after(out, page_results)


def _write_before_after(folder: Path, results: Sequence[RestoredPicture]) -> None:
    """Write the page of some results, if there are any, and say where and how large it is."""
    if results:
        from benchmark.reports.before_after import write_before_after_page

        index = write_before_after_page(folder, results)
        console.print_line(f"page: {index} ({index.stat().st_size / 1e6:.1f} MB)")


SharpPictureArgument = Annotated[Path, typer.Argument(metavar="IMAGE", help="A sharp picture.")]
PsfOption = Annotated[
    str,
    typer.Option(
        help="disk, gaussian, polygon, generalised, gkm, cats-eye, or a lens design: summilux, "
        "pentax-da, pentax-q."
    ),
]
ColourShiftOption = Annotated[
    float,
    typer.Option(
        min=-4, max=4, help="Longitudinal colour: radius of blue minus that of green, in pixels."
    ),
]
CameraOption = Annotated[
    str,
    typer.Option(help="none, phone, slr or raw; with one, the target it would take is written."),
]
DepthFileOption = Annotated[
    Path | None,
    typer.Option(help="Disparity map: grey picture or .npy, greater = nearer; default: invented."),
]
MaxRadiusOption = Annotated[
    float, typer.Option(min=0, max=50, help="Largest PSF radius in pixels; 0: all in focus.")
]
RadiusOption = Annotated[
    float | None,
    typer.Option(min=0, max=50, help="The same PSF radius everywhere, in pixels, instead."),
]
KernelFileOption = Annotated[
    Path | None,
    typer.Option(help="One kernel everywhere, instead of a lens: a grey picture, .npy or .mat."),
]
FocusOption = Annotated[
    float,
    typer.Option(min=0, max=1, help="With --depth: what is in focus, 0 nearest, 1 farthest."),
]
SceneSeedOption = Annotated[int, typer.Option(min=0, help="Seed of the invented depth.")]


_OPTIONS_OF_LENSES = ("psf", "colour_shift")
_OPTIONS_OF_DEPTH = ("depth", "max_radius", "focus")


@app.command(name="simulate", rich_help_panel=PANEL)
def simulate_command(
    context: typer.Context,
    image: SharpPictureArgument,
    psf: PsfOption = "disk",
    colour_shift: ColourShiftOption = 0.0,
    camera: CameraOption = "none",
    depth: DepthFileOption = None,
    max_radius: MaxRadiusOption = 8.0,
    radius: RadiusOption = None,
    kernel: KernelFileOption = None,
    focus: FocusOption = 0.5,
    seed: SceneSeedOption = 0,
    out: PictureFolderOption = Path("simulated"),
) -> None:
    """Defocus your own picture with the imaging model; writes the picture and its true blur map."""
    from benchmark.cli import own_pictures

    if kernel is not None:
        _refuse_options(context, "--kernel", (*_OPTIONS_OF_LENSES, "radius", *_OPTIONS_OF_DEPTH))
    if radius is not None:
        _refuse_options(context, "--radius", _OPTIONS_OF_DEPTH)
    defocus: own_pictures.LensDefocus | own_pictures.KernelDefocus
    if kernel is None:
        lens = own_pictures.make_lens(psf, colour_shift)
        defocus = own_pictures.LensDefocus(lens, depth, max_radius, focus, radius)
    else:
        defocus = own_pictures.KernelDefocus(kernel)
    for path in own_pictures.simulate_defocus(image, defocus, camera, seed, out):
        console.print_line(path)


def _refuse_options(context: typer.Context, cause: str, names: Sequence[str]) -> None:
    """Raise UsageError if options were given that another one leaves without effect."""
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"{cause} blurs the whole picture alike, so {option} would change nothing; leave "
                "out one of the two"
            )
