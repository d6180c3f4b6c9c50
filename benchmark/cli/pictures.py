"""Commands on a user's own pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark import console
from benchmark.cli.app import app
from benchmark.cli.options import DeviceChoice, DeviceOption, PluginsOption, check_device, prepare

PANEL = "Your own pictures"


PhotographsArgument = Annotated[
    list[Path],
    typer.Argument(metavar="IMAGE...", help="PNG, TIFF or JPEG, 8 or 16 bit, any size."),
]
OneMethodOption = Annotated[str, typer.Option("--method", help="Id of the method.")]
PictureFolderOption = Annotated[Path, typer.Option("--out", help="Folder for the results.")]


@app.command(name="deblur", rich_help_panel=PANEL)
def deblur_command(
    images: PhotographsArgument,
    method: OneMethodOption,
    out: PictureFolderOption = Path("deblurred"),
    device: DeviceOption = DeviceChoice.auto,
    plugin: PluginsOption = None,
) -> None:
    """Restore your own photographs; bit depth and orientation are kept."""
    prepare(plugin, None)
    check_device(device)
    from benchmark.cli import own_pictures

    results = own_pictures.deblur_pictures(images, method, out, device.value)
    for source, target in console.track_progress(results, total=len(images), label="restoring"):
        console.print_line(f"{source} -> {target}")


SharpPictureArgument = Annotated[Path, typer.Argument(metavar="IMAGE", help="A sharp picture.")]
PsfOption = Annotated[str, typer.Option(help="disk, gaussian, polygon or gkm.")]
DepthFileOption = Annotated[
    Path | None,
    typer.Option(help="Disparity map: grey picture or .npy, greater = nearer; default: invented."),
]
MaxRadiusOption = Annotated[
    float, typer.Option(min=0.1, max=50, help="Largest PSF radius in pixels.")
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
    depth: DepthFileOption = None,
    max_radius: MaxRadiusOption = 8.0,
    focus: FocusOption = 0.5,
    seed: SceneSeedOption = 0,
    out: PictureFolderOption = Path("simulated"),
) -> None:
    """Defocus your own picture with the imaging model; writes the picture and its true blur map."""
    from benchmark.cli import own_pictures

    for path in own_pictures.simulate_defocus(image, psf, depth, max_radius, focus, seed, out):
        console.print_line(path)
