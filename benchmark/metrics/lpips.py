"""Learned perceptual image patch similarity (LPIPS), AlexNet, version 0.1.

The `lpips` package ships the linear heads only. The AlexNet trunk is looked for in this order, and
nothing is ever scored without it:

1. the file handed to `set_trunk_file`, else the one that the environment variable
   BENCHMARK_LPIPS_TRUNK names, which must then exist: torchvision's ImageNet weights, keys
   `features.N.weight|bias` (others are ignored), saved by `torch.save` or as `.safetensors`;
2. torchvision's own copy in the torch hub folder;
3. a download to that place, which is torchvision's.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import socket
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.api import Metric, MetricCard, Unavailable
from benchmark.metrics.inputs import as_pair

if TYPE_CHECKING:
    from torch import Tensor, nn

TRUNK_VARIABLE = "BENCHMARK_LPIPS_TRUNK"
SMALLEST_SIDE = 31
"""Pixels per side below which the second pooling of AlexNet has nothing left to pool."""
DOWNLOAD_PATIENCE = 10.0
"""Seconds without an answer after which a download gives up."""

_trunk_file: Path | None = None

_ADVICE = (
    f"set {TRUNK_VARIABLE} to a file with torchvision's AlexNet weights (alexnet-owt-7be5be79.pth, "
    "or its features.N.weight|bias alone), or let torchvision download it once"
)


class Lpips(Metric):
    """LPIPS of Zhang et al. (CVPR 2018): net alex, version 0.1, mean over the picture; lower is
    better. float32, CPU.

    Args:
        range: what the network is fed. `unit` maps [0, 1] to [-1, 1], as it was trained; `raw01`
            feeds [0, 1] as it is, which the test script released with GKMNet does, and which gives
            other (incomparable) numbers.
        order: `bgr` feeds the channels in reverse, as scripts do that read with OpenCV and convert
            nothing.
    """

    card = MetricCard(
        title="LPIPS",
        higher_is_better=False,
        paper="Zhang, Isola, Efros, Shechtman, Wang, The Unreasonable Effectiveness of Deep "
        "Features, CVPR 2018",
        digits=3,
        limits=(0, None),
    )

    def __init__(
        self, *, range: Literal["unit", "raw01"] = "unit", order: Literal["rgb", "bgr"] = "rgb"
    ) -> None:
        """Choose what the network is fed; the card of the instance names what is unusual. Nothing
        is loaded yet.
        """
        self._range = range
        self._order = order
        unusual = " ".join(choice for choice in (range, order) if choice not in ("unit", "rgb"))
        self.card = dataclasses.replace(Lpips.card, title=f"LPIPS {unusual}".strip())

    def unavailable(self) -> str | None:
        """Return why there is no usable trunk, or None; builds the network, once per process."""
        network_or_reason = _try_build_network(_trunk_setting())
        if isinstance(network_or_reason, str):
            return network_or_reason
        return None

    def weights_hash(self) -> str | None:
        """Return the SHA-256 of the trunk's file, or None without a usable trunk."""
        if self.unavailable() is not None:
            return None
        return trunk_sha256()

    def __call__(self, output: NDArray[np.floating], target: NDArray[np.floating]) -> float:
        """Return the distance.

        Raises:
            ValueError: as `as_pair` does, and for a picture below 31 x 31.
            Unavailable: without a usable trunk.
        """
        import torch

        output_pixels, target_pixels = as_pair(
            output, target, at_least=SMALLEST_SIDE, metric="LPIPS"
        )
        network = _try_build_network(_trunk_setting())
        if isinstance(network, str):
            raise Unavailable(network)
        with torch.inference_mode():
            output_features = _extract_features(network, self._make_batch(output_pixels))
            target_features = _extract_features_once(
                network, _Content.of(self._make_batch(target_pixels))
            )
            return _compare_features(network, output_features, target_features)

    def _make_batch(self, picture: NDArray[np.float64]) -> Tensor:
        """Return a picture as the network takes it."""
        import torch

        if self._order == "bgr":
            picture = picture[..., ::-1]
        if self._range == "unit":
            picture = 2 * picture - 1
        batch = picture.transpose(2, 0, 1)[None]
        return torch.from_numpy(np.ascontiguousarray(batch, dtype=np.float32))


@dataclasses.dataclass(frozen=True, slots=True)
class _Content:
    """A batch that is equal to others of the same numbers.

    Attributes:
        digest: of its shape and numbers.
        batch: 1 x 3 x H x W.
    """

    digest: bytes
    batch: Tensor = dataclasses.field(compare=False)

    @classmethod
    def of(cls, batch: Tensor) -> _Content:
        """Return a batch with its digest."""
        digest = hashlib.blake2b(str(tuple(batch.shape)).encode(), digest_size=16)
        digest.update(batch.numpy().data)
        return cls(digest.digest(), batch)


@functools.lru_cache(maxsize=2)
def _extract_features_once(network: Any, content: _Content) -> list[Tensor]:
    """Return the features of a target, which several methods in turn are compared with."""
    return _extract_features(network, content.batch)


def _extract_features(network: Any, batch: Tensor) -> list[Tensor]:
    """Return the trunk's features of five layers, of unit length at every place."""
    from lpips import normalize_tensor

    return [normalize_tensor(layer) for layer in network.net.forward(network.scaling_layer(batch))]


def _compare_features(network: Any, output: list[Tensor], target: list[Tensor]) -> float:
    """Return eq. (1) of the paper: squared differences, weighted by channel, averaged over places,
    added over layers.
    """
    layers = zip(network.lins, output, target, strict=True)
    return sum(float(head((ours - theirs).square_()).mean()) for head, ours, theirs in layers)


def resolve_trunk() -> Path:
    """Return the file the trunk is loaded from, downloading it if need be.

    Raises:
        Unavailable: with the reason and what to do; without a network within seconds.
    """
    return _locate_trunk(_trunk_setting())


def trunk_sha256() -> str:
    """Return the SHA-256 of the trunk's file; raises Unavailable as `resolve_trunk` does."""
    with resolve_trunk().open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def set_trunk_file(path: Path | None) -> None:
    """Choose the trunk's file for this process; None for the one that the environment names, or
    torchvision's.
    """
    global _trunk_file
    _trunk_file = path


def _trunk_setting() -> str | None:
    if _trunk_file is not None:
        return str(_trunk_file)
    return os.environ.get(TRUNK_VARIABLE) or None


@functools.cache
def _try_build_network(setting: str | None) -> nn.Module | str:
    """Return the network, or why there is none: loaded, or tried, once per process and setting of
    the variable.
    """
    try:
        return _build_network(_locate_trunk(setting))
    except Unavailable as error:
        return str(error)


def _locate_trunk(setting: str | None) -> Path:
    if setting is None:
        return _torchvision_trunk()
    path = Path(setting)
    if not path.is_file():
        raise Unavailable(f"LPIPS: {TRUNK_VARIABLE} names {setting}, which is no file; {_ADVICE}")
    return path


def _torchvision_trunk() -> Path:
    try:
        import torch
        from torchvision.models import AlexNet_Weights
    except (ImportError, OSError, RuntimeError) as error:
        # A torchvision built for another torch raises RuntimeError.
        raise Unavailable(
            f"LPIPS: torchvision does not import ({_summarise_error(error)})"
        ) from error
    url = AlexNet_Weights.IMAGENET1K_V1.url
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    if not path.is_file():
        _download_trunk(url, path)
    return path


def _download_trunk(url: str, path: Path) -> None:
    import torch

    # torchvision ends the names of its files with the digest's first digits
    digest = path.stem.rpartition("-")[2]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _limit_socket_wait(DOWNLOAD_PATIENCE):
            torch.hub.download_url_to_file(url, str(path), hash_prefix=digest, progress=False)
    except (OSError, HTTPException, RuntimeError) as error:
        reason = _summarise_error(error)
        raise Unavailable(
            f"LPIPS: no AlexNet trunk, and {url} cannot be fetched ({reason}); {_ADVICE}"
        ) from error


@contextmanager
def _limit_socket_wait(seconds: float) -> Iterator[None]:
    """Limit how long a socket waits: torch.hub sets no limit of its own and takes none."""
    previous_timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(previous_timeout)


def _build_network(path: Path) -> nn.Module:
    import torch

    network = _build_without_trunk()
    parameters = {
        f"features.{name.partition('.')[2]}": parameter
        for name, parameter in network.net.named_parameters()
    }
    trunk = _read_trunk(path)
    shapes = {key: tuple(parameter.shape) for key, parameter in parameters.items()}
    _check_trunk(trunk, shapes, path)
    with torch.no_grad():
        for key, parameter in parameters.items():
            parameter.copy_(trunk[key])
    frozen_network: nn.Module = network.eval()
    return frozen_network


def _build_without_trunk() -> Any:
    """Return LPIPS with its trained heads on a trunk yet to be filled."""
    try:
        import lpips
        import torch
    except (ImportError, OSError, RuntimeError) as error:
        raise Unavailable(
            f"LPIPS: the lpips package does not import ({_summarise_error(error)})"
        ) from error
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        # lpips 0.1.4 calls torchvision by an argument name it has since renamed, and offers no way
        # round.
        warnings.filterwarnings("ignore", category=UserWarning, module="torchvision")
        return lpips.LPIPS(net="alex", version="0.1", pnet_rand=True, verbose=False)


def _read_trunk(path: Path) -> Mapping[str, Tensor]:
    """Read without running code from the file: a pickle that needs any is refused."""
    import torch

    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes the two readers raise nearly anything
        raise Unavailable(
            f"LPIPS: {path} cannot be read as weights ({_summarise_error(error)}); {_ADVICE}"
        ) from error
    if not isinstance(state, Mapping):
        raise Unavailable(
            f"LPIPS: {path} holds a {type(state).__name__}, not named weights; {_ADVICE}"
        )
    return state


def _check_trunk(
    trunk: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], path: Path
) -> None:
    import torch

    def fault(key: str) -> str | None:
        value = trunk.get(key)
        if not isinstance(value, torch.Tensor):
            return f"{key} is missing"
        if tuple(value.shape) != shapes[key]:
            return f"{key} is {tuple(value.shape)}, not {shapes[key]}"
        if not value.is_floating_point() or not bool(value.isfinite().all()):
            return f"{key} is not finite floating point"
        return None

    faults = [text for text in map(fault, shapes) if text is not None]
    if faults:
        raise Unavailable(f"LPIPS: {path} is not AlexNet's trunk: {'; '.join(faults)}; {_ADVICE}")


def _summarise_error(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
