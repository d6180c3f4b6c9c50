"""The one door from reports to what runs do not keep: data sets themselves, and methods to ask
again.

Everything else in `benchmark.reports` reads results only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmark import checkpoints
from benchmark.api import (
    DataError,
    Dataset,
    Map,
    Method,
    Mixture,
    Observation,
    Sample,
    Unavailable,
    UsageError,
)
from benchmark.apply import Skip, describe_error, prepare_method
from benchmark.metrics.tracks import Track
from benchmark.registry import DATASETS, METHODS, PROTOCOLS, create, list_checkpoint_files
from benchmark.source_digest import fingerprint_sample


def open_dataset(dataset: str, root: Path) -> Dataset:
    """Return a data set of an id; raises as `benchmark.registry.create` does."""
    return create(DATASETS, dataset, root=root)[0]


def require_dataset(dataset: str, root: Path) -> Dataset:
    """Return a data set that a figure needs.

    Raises:
        Unavailable: if it is not found under the data root.
        UsageError: if its adapter is a plug-in that is not loaded.
    """
    try:
        return open_dataset(dataset, root)
    except DataError as error:
        hint = f"not found under {root}; name the root by --data"
        raise Unavailable(f"it needs {dataset} itself, {hint}") from error


def read_sample(
    adapter: Dataset, dataset: str, sample: str, fingerprint: str, track: str
) -> Sample:
    """Return a sample as the runs met it: read through their track, before any noise.

    Args:
        adapter: the data set, which is called `dataset`.
        dataset, sample: ids.
        fingerprint: of the content that the runs met.
        track: id of the input track.

    Raises:
        Unavailable: if it is no longer what it was.
    """
    if fingerprint_sample(adapter, sample) != fingerprint:
        raise Unavailable(f"{dataset}: {sample} is not what it was when it was run; run again")
    return Track.parse(track).read(adapter.load(sample))


def read_true_maps(
    adapter: Dataset, track: str, fingerprints: Mapping[str, str]
) -> Iterator[tuple[str, Map]]:
    """Yield the true blur maps that there are, in the geometry in which outputs are kept.

    Either a data set has maps or it has none: if the first sample has none, the others are not
    read.

    Args:
        adapter: the data set.
        track: id of the input track.
        fingerprints: sample -> of the content that the runs met; others are left out.
    """
    names = [name for name in adapter.ids() if name in fingerprints]
    if not names or adapter.load(names[0]).blur_map is None:
        return
    geometry = Track.parse(track)
    for name in names:
        sample = adapter.load(name)
        if sample.blur_map is None or fingerprint_sample(adapter, name) != fingerprints[name]:
            continue
        observation = Observation(sample.image, blur_map=sample.blur_map)
        fitted = geometry.fit(observation).blur_map
        assert fitted is not None
        stacked = np.dstack([fitted] * 3)
        yield name, geometry.finish(stacked, sample.image.shape[:2])[..., 0]


class MethodMixture(NamedTuple):
    """The mixture that a method estimates for a sample, and the hash of the weights it used."""

    method: str
    mixture: Mixture
    weights: str | None


def estimate_mixtures(
    methods: Mapping[str, str], sample: Sample, track: str, reasons: list[str]
) -> Iterator[MethodMixture]:
    """Yield the mixture of each method that has some; why one that might have has none goes to
    `reasons`.

    Args:
        methods: id -> registered name; a method that never has a mixture need not be built.
        sample: without added noise.
        track: id of the input track.
        reasons: takes a line for each method without.
    """
    for name, registered_name in methods.items():
        try:
            if METHODS.get(registered_name).mixture is Method.mixture:
                continue
            method = create(METHODS, name)[0]
            prepared_method = prepare_method(method, "cpu")
            observation = prepared_method.observe(sample, track=Track.parse(track))
            mixture = prepared_method.mixture(observation)
            yield MethodMixture(name, mixture, method.weights_hash())
        except Skip as skip:
            reasons.append(f"{name}: {skip.reason}")
        except Exception as error:  # a plug-in may raise anything; the others are drawn
            reasons.append(f"{name}: {describe_error(error)}")


def registered_tracks() -> dict[str, list[str]]:
    """Return the input tracks of every protocol that can be loaded."""
    tracks: dict[str, list[str]] = {}
    for name in PROTOCOLS.names():
        with contextlib.suppress(UsageError):
            tracks[name] = [track.id for track in PROTOCOLS.get(name).tracks]
    return tracks


def available_checkpoints() -> Iterator[tuple[str, Path]]:
    """Yield METHOD.TAG and file of every checkpoint of a registered method that loads."""
    catalogue = checkpoints.CheckpointCatalogue.of_user()
    for name in METHODS.names():
        try:
            files = list_checkpoint_files(name, catalogue)
        except UsageError:  # `list methods` says why it does not load
            continue
        yield from ((f"{name}.{tag}", path) for tag, path in files.items())
