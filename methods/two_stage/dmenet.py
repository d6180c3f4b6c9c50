"""DMENet (Lee, Lee, Cho and Lee, CVPR 2019): a network estimates the blur map, a deconvolver undoes
it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.api import Map, MethodCard, Network, Observation, Precision, Scalar
from benchmark.checkpoints import Checkpoint
from benchmark.methods.learned.method import (
    AppliedNetwork,
    Forward,
    MapCode,
    Tile,
    TrainableMethod,
)
from benchmark.methods.two_stage.estimation import Estimator
from benchmark.methods.two_stage.methods import Pipeline, with_options_of

if TYPE_CHECKING:
    from torch import nn


def sigma_of_defocus(defocus: NDArray[np.float32]) -> Map:
    """Return the blur map (sigma in pixels, 0 to 7) that a defocus map in [0, 1] of the network
    stands for.

    The authors' training pictures are blurred with sigma such that 15 m = 1 + 2 sigma; less is
    sharp.
    """
    blur_map: Map = np.maximum((15 * defocus - 1) / 2, np.float32(0))
    return blur_map


def defocus_of_sigma(blur_map: Map) -> NDArray[np.float32]:
    """Return the defocus map in [1/15, 1] that stands for a blur map (sigma in pixels, >= 0); more
    than sigma 7 is written as 7. The inverse of `sigma_of_defocus`.
    """
    defocus: NDArray[np.float32] = np.minimum((1 + 2 * blur_map) / 15, np.float32(1))
    return defocus


class DmeNetEstimator(AppliedNetwork, Estimator):
    """The blur map of DMENet's network, which needs weights."""

    id = "dmenet"
    multiple = 16
    # A pixel sees 178 pixels through its convolutions (2 + 4 + 16 + 32 + 64 down, 24 + 12 + 6 + 18
    # up again) and 15 through its place in the coarsest cell: 193.
    halo = 208
    released_file = "FILE.npz"
    map_code = MapCode(encode=defocus_of_sigma, decode=sigma_of_defocus)
    card = MethodCard(
        title="DMENet",
        family="learned",
        paper="Lee, Lee, Cho and Lee, Deep defocus map estimation using domain adaptation, CVPR "
        "2019",
        trained_on=None,
        notes="The paper makes the map only, up to sigma 7. Pictures are continued by reflection "
        "to multiples of 16, where the authors cut them. Their released weights are a "
        "re-training; those of the paper are lost. The authors' normalisations have no gains, so "
        "their network has 2,848 parameters fewer than this one (3,365 with auxiliary heads).",
    )

    def __init__(
        self,
        checkpoint: Checkpoint | None = None,
        tile: int = 0,
        precision: Precision = "32",
    ) -> None:
        """Make the estimator from its weights, None for none; the rest as for `DmeNetMethod`."""
        super().__init__(checkpoint, tile=tile, precision=precision)

    def blur_map(self, observation: Observation) -> Map:
        return sigma_of_defocus(self.apply(self.encode_inputs(observation))[..., 0])

    def describe(self, card: MethodCard) -> MethodCard:
        own_card = self.card
        return dataclasses.replace(
            card,
            trained_on=own_card.trained_on,
            budget=own_card.budget,
            hours=own_card.hours,
            generators=own_card.generators,
            precision=own_card.precision,
            notes=own_card.notes,
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


class DmeNetMethod(Pipeline, TrainableMethod):
    """The blur map of DMENet's network, then a deconvolver. With the true map no weights are
    needed.
    """

    variants = MappingProxyType({})
    later_parameters = DmeNetEstimator.later_parameters
    card = DmeNetEstimator.card

    @with_options_of(Pipeline)
    def __init__(
        self,
        *,
        checkpoint: Checkpoint | None = None,
        tile: Tile = 0,
        precision: Precision = "32",
        **options: Any,
    ) -> None:
        """Make the method.

        Args:
            checkpoint: the weights, None for none.
            tile: side in pixels of the tiles in which the map is made, 0 for the whole picture at
                once. The map stays the same; the network needs about 1.6 kB of memory for every
                pixel of a tile and of the 208 around it.
            precision: what the network computes in; the deconvolver stays as it is.
            options: those of `Pipeline`.
        """
        self._checkpoint = checkpoint
        self._tile = tile
        self._precision = precision
        super().__init__(**options)

    @classmethod
    def fixed(cls, checkpoint: Checkpoint | None) -> Mapping[str, Scalar]:
        return DmeNetEstimator.fixed(checkpoint)

    def make_estimator(self) -> Estimator:
        return DmeNetEstimator(self._checkpoint, self._tile, self._precision)

    def network(self) -> Network:
        return DmeNetEstimator().network()

    def trained_network(self) -> AppliedNetwork:
        return DmeNetEstimator(self._checkpoint)
