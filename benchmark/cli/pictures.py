"""Commands on a user's own pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark import console
from benchmark.cli.app import app
from benchmark.cli.options import (
    DeviceChoice,
    DeviceOption,
    PluginsOption,
    PrecisionChoice,
    PrecisionOption,
    check_device,
    prepare,
)

PANEL = "Your own pictures"


PhotographsArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="IMAGE...", help="Pictures of any size; PNG, TIFF and PPM also with 16 bits."
    ),
]
OneMethodOption = Annotated[
    str,
    typer.Option("--method", help="Id of the method; the default is trained for photographs."),
]
PictureFolderOption = Annotated[Path, typer.Option("--out", help="Folder for the results.")]


@app.command(name="deblur", rich_help_panel=PANEL)
def deblur_command(
    images: PhotographsArgument,
    method: OneMethodOption = "gkmnet.photo",
    out: PictureFolderOption = Path("deblurred"),
    device: DeviceOption = DeviceChoice.auto,
    precision: PrecisionOption = PrecisionChoice.single,
    plugin: PluginsOption = None,
) -> None:
    """Restore your own photographs; bit depth and orientation are kept."""
    prepare(plugin, None)
    check_device(device)
    from benchmark.cli import own_pictures

    results = own_pictures.deblur_pictures(images, method, out, device.value, precision.value)
    for source, target in console.track_progress(results, total=len(images), label="restoring"):
        console.print_line(f"{source} -> {target}")


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
FocusOption = Annotated[
    float,
    typer.Option(min=0, max=1, help="With --depth: what is in focus, 0 nearest, 1 farthest."),
]
SceneSeedOption = Annotated[int, typer.Option(min=0, help="Seed of the invented depth.")]


@app.command(name="simulate", rich_help_panel=PANEL)
def simulate_command(
    image: SharpPictureArgument,
    psf: PsfOption = "disk",
    colour_shift: ColourShiftOption = 0.0,
    camera: CameraOption = "none",
    depth: DepthFileOption = None,
    max_radius: MaxRadiusOption = 8.0,
    focus: FocusOption = 0.5,
    seed: SceneSeedOption = 0,
    out: PictureFolderOption = Path("simulated"),
) -> None:
    """Defocus your own picture with the imaging model; writes the picture and its true blur map."""
    from benchmark.cli import own_pictures

    lens = own_pictures.make_lens(psf, colour_shift)
    paths = own_pictures.simulate_defocus(image, lens, camera, depth, max_radius, focus, seed, out)
    for path in paths:
        console.print_line(path)
