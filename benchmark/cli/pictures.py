"""Commands on a user's own pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark import console
from benchmark.cli.app import app
from benchmark.cli.options import DeviceChoice, DeviceOption, PluginsOption, check_device, prepare

PANEL = "Your own pictures"


@app.command(name="deblur", rich_help_panel=PANEL)
def deblur_command(
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGE...", help="PNG, TIFF or JPEG, 8 or 16 bit, any size."),
    ],
    method: Annotated[str, typer.Option("--method", help="Id of the method.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path("deblurred"),
    device: DeviceOption = DeviceChoice.auto,
    plugin: PluginsOption = None,
) -> None:
    """Restore your own photographs; bit depth and orientation are kept."""
    prepare(plugin, None)
    check_device(device)
    from benchmark.cli import own_pictures

    for source, made in console.track(
        own_pictures.deblur_pictures(images, method, out, device.value),
        total=len(images),
        what="restoring",
    ):
        console.out.print(f"{source} -> {made}", highlight=False, markup=False)


@app.command(name="simulate", rich_help_panel=PANEL)
def simulate_command(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A sharp picture.")],
    psf: Annotated[str, typer.Option(help="disk, gaussian, polygon or gkm.")] = "disk",
    depth: Annotated[
        Path | None,
        typer.Option(
            help="Disparity map: grey picture or .npy, greater = nearer; default: invented."
        ),
    ] = None,
    max_radius: Annotated[
        float, typer.Option(min=0.1, max=50, help="Largest PSF radius in pixels.")
    ] = 8.0,
    focus: Annotated[
        float,
        typer.Option(min=0, max=1, help="With --depth: what is in focus, 0 nearest, 1 farthest."),
    ] = 0.5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the invented depth.")] = 0,
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path("simulated"),
) -> None:
    """Defocus your own picture with the imaging model; writes the picture and its true blur map."""
    from benchmark.cli import own_pictures

    for made in own_pictures.simulate_defocus(image, psf, depth, max_radius, focus, seed, out):
        console.out.print(str(made), highlight=False, markup=False)
