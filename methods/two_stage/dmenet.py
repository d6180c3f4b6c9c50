"""DMENet (Lee, Lee, Cho and Lee, CVPR 2019): a network estimates the blur map, a deconvolver undoes
it.
"""

from __future__ import annotations

import dataclasses
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray

from benchmark.api import Map, MethodCard, Network, Observation, Picture
from benchmark.checkpoints import Checkpoint
from benchmark.methods.learned.method import Forward, MethodWithNetwork, Tile
from benchmark.methods.two_stage.deconvolution import Bins, Constants, Light, Name, Psf
from benchmark.methods.two_stage.methods import MapSource, Pipeline

if TYPE_CHECKING:
    from torch import nn


class DmeNetMethod(MethodWithNetwork, Pipeline):
    """The blur map of DMENet's network, then a deconvolver. With the true map no weights are
    needed.
    """

    id = "dmenet"
    multiple = 16
    # A pixel sees 178 pixels through its convolutions (2 + 4 + 16 + 32 + 64 down, 24 + 12 + 6 + 18
    # up again) and 15 through its place in the coarsest cell: 193.
    halo = 208
    variants = MappingProxyType({})
    obtain = ""  # neither its training nor the authors' file is supported
    card = MethodCard(
        title="DMENet",
        family="learned",
        paper="Lee, Lee, Cho and Lee, Deep defocus map estimation using domain adaptation, CVPR "
        "2019",
        trained_on=None,
        notes="The paper makes the map only, up to sigma 7. Pictures are continued by reflection "
        "to multiples of 16, "
        "where the authors cut them. Their released weights are a re-training; those of the paper "
        "are lost.",
    )

    def __init__(
        self,
        *,
        checkpoint: Checkpoint | None = None,
        map: MapSource = "estimate",
        deconvolution: Name = "hyper-laplacian",
        psf: Psf = "gaussian",
        light: Light = "srgb",
        constants: Constants | None = None,
        alpha: Annotated[float, Gt(0), Le(2)] | None = None,
        weight: Annotated[float, Gt(0)] | None = None,
        bins: Bins | None = None,
        eight_bit: bool | None = None,
        iterations: Annotated[int, Ge(0)] | None = None,
        mismatch: Annotated[float, Ge(0)] | None = None,
        tile: Tile = 0,
    ) -> None:
        """Make the method. All options but these two are those of `Pipeline`.

        Args:
            checkpoint: the weights, None for none.
            tile: side in pixels of the tiles in which the map is made, 0 for the whole picture at
                once. The map stays the same; the network needs about 1.6 kB of memory for every
                pixel of a tile and of the 208 around it.
        """
        if map == "oracle":  # no weights take part
            checkpoint = None
            self.card = dataclasses.replace(self.card, trained_on=())
        MethodWithNetwork.__init__(self, checkpoint, tile=tile)
        Pipeline.__init__(
            self,
            map=map,
            deconvolution=deconvolution,
            psf=psf,
            light=light,
            constants=constants,
            alpha=alpha,
            weight=weight,
            bins=bins,
            eight_bit=eight_bit,
            iterations=iterations,
            mismatch=mismatch,
        )

    def build(self) -> nn.Module:
        from benchmark.methods.learned.networks.dmenet import DmeNet

        return DmeNet()

    def compile_network(self, network: nn.Module, device: str) -> Forward:
        from benchmark.methods.learned.networks.dmenet import DmeNet, fold_normalisation

        assert isinstance(network, DmeNet)
        fold_normalisation(network)
        return super().compile_network(network, device)

    def network(self) -> Network:
        from benchmark.methods.learned.networks.dmenet import Supervised

        forms = {"inference": self.build, "with auxiliary heads": Supervised}
        return Network(forms=forms, shapes=super().network().shapes)

    def prepare(self, device: str) -> None:
        MethodWithNetwork.prepare(self, device)
        if self._oracle or self._forward is not None:
            Pipeline.prepare(self, device)

    def skip(self, observation: Observation) -> str | None:
        if self._oracle:
            return Pipeline.skip(self, observation)
        return MethodWithNetwork.skip(self, observation)

    def estimate(self, image: Picture) -> Map:
        return sigma(self.apply(image)[..., 0])


def sigma(defocus: NDArray[np.float32]) -> Map:
    """Return the blur map (sigma in pixels, 0 to 7) that a defocus map in [0, 1] of the network
    stands for.

    The authors' training pictures are blurred with sigma such that 15 m = 1 + 2 sigma; less is
    sharp.
    """
    blur_map: Map = np.maximum((15 * defocus - 1) / 2, np.float32(0))
    return blur_map
