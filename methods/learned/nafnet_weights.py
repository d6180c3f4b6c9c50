"""Weights of NAFNet for defocus that others published."""

from __future__ import annotations

import dataclasses
from types import MappingProxyType

from benchmark.api import ExpectedInputs, ImporterCard
from benchmark.checkpoint_import import UNVERIFIED_LAYOUT, VERIFIED_NETWORK, WeightsImporter

_STAGES = MappingProxyType(
    {
        "embed": "intro", "out": "ending", "encoder": "encoders", "down": "downs",
        "middle": "middle_blks.0",
        "up.0": "ups.3.0", "up.1": "ups.2.0", "up.2": "ups.1.0", "up.3": "ups.0.0",
        "decoder.0": "decoders.3.0", "decoder.1": "decoders.2.0",
        "decoder.2": "decoders.1.0", "decoder.3": "decoders.0.0",
    }
)  # fmt: skip
_INSIDE_BLOCK = MappingProxyType(
    {
        "mixer_norm": "norm1", "mixer_expand": "conv1", "mixer_local": "conv2",
        "mixer_weigh": "sca.1", "mixer_project": "conv3", "mixer_scale": "beta",
        "feed_norm": "norm2", "feed_expand": "conv4", "feed_project": "conv5",
        "feed_scale": "gamma",
    }
)  # fmt: skip
_CARD = ImporterCard(
    title="NAFNet, the weights of CLDefocus",
    method="nafnet",
    tag="official",
    source="https://github.com/lykelee/CLDefocus (nafnet-train-dpdd.pth, nafnet-train-ours.pth or "
    "nafnet-train-syndof.pth)",
    parameters=MappingProxyType({"width": "64"}),
    licence="MIT (programs of NAFNet and CLDefocus); the weights' own terms are not stated",
    expects=ExpectedInputs(order="rgb", multiple=16, padding="zero", bits=8),
    notes="NAFNet's authors released no weights for defocus. CLDefocus has three files, trained on "
    "DPD, on its own simulation or on SYNDOF; nothing in a file of weights tells which. They are "
    f"meant for local statistics (tlc=true). {UNVERIFIED_LAYOUT} {VERIFIED_NETWORK}",
)


class NafNetOfficial(WeightsImporter):
    """CLDefocus's NAFNet: 664 entries, 67,888,835 parameters at width 64, 17,111,907 at 32."""

    words = (_STAGES, _INSIDE_BLOCK)
    card = _CARD
    other_cards = (dataclasses.replace(_CARD, parameters=MappingProxyType({"width": "32"})),)
