"""Networks that start as the identity: at first they return the blurred picture, and learn what to add to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def start(network: nn.Module) -> bool:
    """Set the last layers of a network that adds to the picture to zero; return whether this is such a network.

    They are the 1 x 1 mixing of GKMNet as in the paper (its released forms do not add to the picture, nor does SRAM
    alone) and the last convolution of AttNet.
    """
    from torch.nn.init import zeros_

    from methods.learned.networks.attnet import AttNet
    from methods.learned.networks.gkmnet import GkmNet

    last: list[nn.Module] = []
    if isinstance(network, GkmNet) and network.form.variant == "paper" and network.form.head == "gkm":
        last = list(network.mixes)
    elif isinstance(network, AttNet):
        last = [network.leave_fine[-1]]
    for layer in last:
        for parameter in layer.parameters():
            zeros_(parameter)
    return bool(last)
