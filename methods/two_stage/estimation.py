"""The estimators of the blur map under one interface, the true map among them."""

from __future__ import annotations

import dataclasses
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from benchmark.api import Map, MethodCard, Observation
from benchmark.methods.two_stage import blur_posterior, ebdb, jnb, zhuo_sim
from benchmark.methods.two_stage.wiener import SampledPsf

EstimatorName = Literal["posterior", "zhuo-sim", "ebdb", "jnb", "oracle"]
MapSource = Literal["estimate", "oracle"]

_EDGES: Mapping[ebdb.Detector, str] = {
    "octave": "Edges are those of GNU Octave's detector: on two pictures of RTF all edges are the "
    "same as of the authors' program under Octave 7.3, and the map is to 1e-6 px.",
    "matlab": "Edges are those of MATLAB's detector, which was compared with no run of MATLAB.",
}
"""Whose edge detector -> what a card says of it."""
_NO_MAP = "map=oracle needs the true blur map, which this sample does not have"


class Estimator(ABC):
    """Makes the blur map that a picture is restored under."""

    @abstractmethod
    def blur_map(self, observation: Observation) -> Map:
        """Return sigma in pixels at every pixel (H x W); estimators see the picture's sRGB
        codes.
        """

    def describe(self, card: MethodCard) -> MethodCard:
        """Return a method's card with what it must say about the map."""
        return card

    def prepare(self, device: str) -> None:  # noqa: B027 (optional hook)
        """Load weights onto a device ("cpu" or "cuda"), where there are some."""

    def skip(self, observation: Observation) -> str | None:
        """Return why this observation has no map, or None if it has one."""
        return None

    def constants_file(self) -> Path | None:
        """Return the file of learned constants that the map depends on, None without one."""
        return None

    def weights_hash(self) -> str | None:
        """Return the SHA-256 of the file that the map depends on, None without one."""
        path = self.constants_file()
        return None if path is None else file_hash(path)


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a small file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def join_hashes(hashes: Iterable[str | None]) -> str | None:
    """Return one hash for several that results depend on: that hash where it is one, None for
    none.
    """
    parts = list(dict.fromkeys(part for part in hashes if part is not None))
    if len(parts) < 2:
        return parts[0] if parts else None
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class TrueMap(Estimator):
    """The true map of the sample, which only an oracle is given."""

    def blur_map(self, observation: Observation) -> Map:
        """Return the true map.

        Raises:
            ValueError: if it is missing or negative.
        """
        blur_map = observation.blur_map
        if blur_map is None:
            raise ValueError(_NO_MAP)
        if blur_map.min() < 0:
            raise ValueError(
                f"the true blur map holds a negative sigma ({blur_map.min():g} pixels)"
            )
        return blur_map

    def describe(self, card: MethodCard) -> MethodCard:
        # No weights take part, so it does not matter that their training data are unknown.
        return dataclasses.replace(
            card,
            title=f"{card.title} (true map)",
            oracle=True,
            trained_on=card.trained_on or (),
        )

    def skip(self, observation: Observation) -> str | None:
        return _NO_MAP if observation.blur_map is None else None


class ZhuoSimEstimator(Estimator):
    """The map of Zhuo and Sim."""

    def blur_map(self, observation: Observation) -> Map:
        return zhuo_sim.estimate_zhuo_sim_map(observation.image)


class EbdbEstimator(Estimator):
    """The map of Karaali and Jung."""

    def __init__(self, edges: ebdb.Detector = "octave") -> None:
        """Make the estimator that finds edges as a program's detector does."""
        self._edges: ebdb.Detector = edges

    def blur_map(self, observation: Observation) -> Map:
        return ebdb.estimate_ebdb_map(observation.image, edges=self._edges)

    def describe(self, card: MethodCard) -> MethodCard:
        return dataclasses.replace(card, notes=f"{card.notes} {_EDGES[self._edges]}")


class JnbEstimator(Estimator):
    """The map of Shi, Xu and Jia, with the dictionary learned here."""

    def blur_map(self, observation: Observation) -> Map:
        return jnb.estimate_jnb_map(observation.image)

    def constants_file(self) -> Path:
        return jnb.LEARNED


class PosteriorEstimator(Estimator):
    """The posterior mean map of `blur_posterior`."""

    def __init__(self, psf: SampledPsf = "disk") -> None:
        """Make the estimator that assumes a family of PSFs."""
        self._psf: SampledPsf = psf

    def blur_map(self, observation: Observation) -> Map:
        return blur_posterior.estimate_posterior_map(observation.image, psf=self._psf)

    def constants_file(self) -> Path:
        return blur_posterior.CONSTANTS


ESTIMATORS: Mapping[EstimatorName, Callable[[], Estimator]] = MappingProxyType(
    {
        "posterior": PosteriorEstimator,
        "zhuo-sim": ZhuoSimEstimator,
        "ebdb": EbdbEstimator,
        "jnb": JnbEstimator,
        "oracle": TrueMap,
    }
)
"""The estimators that need no weights, by name."""
