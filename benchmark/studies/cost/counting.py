"""What a network is made of and what it does for one picture, counted exactly and without doing it.

The network runs once on torch's `meta` device, where tensors have a shape and no numbers, so a
count at 1680 x 1120 takes no memory and next to no time. What is watched are the operations that
torch executes, not modules, so a call like `F.conv2d` counts as a `Conv2d` does.

Conventions:

- A MAC is one multiplication and addition of a convolution or matrix product; FLOPs are 2 x MACs.
  Products with the padding are counted. A transposed convolution takes kernel x output channels
  MACs per *input* element.
- Biases, activations, normalisation, pooling and interpolation are no MACs. Products of two
  tensors, element by element (gates, attention), are counted apart, so that filters applied that
  way are seen too.
- An operation that is neither is named in `uncounted`: nothing is passed over in silence.
- The thop-style figure is what the tool thop (0.0.31, of 2020) prints as FLOPs; see
  `count_thop_style`.

Two other counters check the result: torch's own on the same run, and fvcore, which traces a real
run of a small picture. (fvcore cannot trace a convolution on the meta device.)
"""

from __future__ import annotations

import io
import math
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmark.api import Network
from benchmark.apply import describe_error

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.utils._python_dispatch import TorchDispatchMode

FVCORE_SIZE = (64, 64)
"""Height and width of the picture on which fvcore is asked; fvcore needs a real run."""


@dataclass(frozen=True, slots=True)
class CounterCheck:
    """Another counter's MACs beside ours.

    Attributes:
        ratio: theirs / ours; None if it could not count.
        difference: where they differ, or why there is no ratio; empty if they agree.
    """

    ratio: float | None
    difference: str = ""


@dataclass(frozen=True, slots=True)
class NetworkCount:
    """A network in one form, counted for one picture.

    Attributes:
        parameters: learned numbers.
        weight_bytes: what they take as float32.
        buffer_bytes: what else a checkpoint holds (statistics of normalisation, counters), as
            stored.
        saved_bytes: size of the state dict as `torch.save` writes it.
        inputs: shapes of the tensors fed, padding included.
        operations: name of an operation of torch -> MACs.
        products: products of two tensors, element by element.
        thop: the thop-style figure.
        uncounted: name of an operation whose MACs are not known -> how often it was called.
        checks: name of another counter -> what it says.
    """

    parameters: int
    weight_bytes: int
    buffer_bytes: int
    saved_bytes: int
    inputs: tuple[tuple[int, ...], ...]
    operations: Mapping[str, int]
    products: int
    thop: int
    uncounted: Mapping[str, int]
    checks: Mapping[str, CounterCheck]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all operations."""
        return sum(self.operations.values())


@dataclass(slots=True)
class OperationTally:
    """What one run executes; see `NetworkCount`."""

    operations: Counter[str] = field(default_factory=Counter)
    products: int = 0
    uncounted: Counter[str] = field(default_factory=Counter)
    thop: int = 0


def count_network(network: Network, form: str, height: int, width: int) -> NetworkCount:
    """Return what one form of a network costs for one picture.

    Args:
        network: as `Method.network` gives it.
        form: which of `network.forms`.
        height, width: of the picture in pixels, before any padding.
    """
    shapes = network.shapes(height, width)
    module, tally, torch_macs = _run_on_meta(network, form, shapes)
    state = module.state_dict()
    parameters = dict(module.named_parameters(remove_duplicate=False))
    buffers = [value for name, value in state.items() if name not in parameters]
    return NetworkCount(
        parameters=sum(value.numel() for value in module.parameters()),
        weight_bytes=sum(4 * value.numel() for value in module.parameters()),
        buffer_bytes=sum(value.nbytes for value in buffers),
        saved_bytes=_measure_saved_bytes(state),
        inputs=shapes,
        operations=dict(tally.operations),
        products=tally.products,
        thop=tally.thop,
        uncounted=dict(tally.uncounted),
        checks={
            "torch": _compare_mac_counts(torch_macs, tally.operations),
            "fvcore": _check_with_fvcore(network, form),
        },
    )


def _run_on_meta(
    network: Network, form: str, shapes: Sequence[tuple[int, ...]]
) -> tuple[nn.Module, OperationTally, dict[str, int]]:
    """Build a network and run it without numbers; return it, what it executes, and torch's own MACs
    by operation.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = network.forms[form]().eval().to("meta")
        with FlopCounterMode(display=False) as torch_counter:
            tally = tally_operations(module, [torch.empty(shape) for shape in shapes])
    flops = torch_counter.get_flop_counts().get("Global", {})
    torch_macs = {_operation_name(operation): count // 2 for operation, count in flops.items()}
    return module, tally, torch_macs


def tally_operations(module: nn.Module, inputs: Sequence[Tensor]) -> OperationTally:
    """Run a network once, on whatever device it is, and return what it executed."""
    tally = OperationTally()

    def add_thop_count(leaf: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        tally.thop += count_thop_style(leaf, inputs[0], output)

    leaves = [part for part in module.modules() if not list(part.children())]
    hooks = [leaf.register_forward_hook(add_thop_count) for leaf in leaves]
    try:
        with _make_operation_watcher(tally):
            module(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return tally


def _make_operation_watcher(tally: OperationTally) -> TorchDispatchMode:
    from torch import Tensor
    from torch.utils._python_dispatch import TorchDispatchMode

    class Watcher(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            output = func(*args, **(kwargs or {}))
            name = _operation_name(func.overloadpacket)
            if name in _MAC_FORMULAS:
                tally.operations[name] += _MAC_FORMULAS[name](args, output)
            elif name in _ELEMENTWISE_PRODUCTS:
                factors = [arg for arg in args if isinstance(arg, Tensor)]
                if len(factors) > 1:
                    tally.products += output.numel()
            elif not func.is_view and name not in _NO_MACS:
                tally.uncounted[name] += 1
            return output

    return Watcher()  # type: ignore[no-untyped-call]


def _operation_name(operation: object) -> str:
    """Return "add" for torch's `aten.add_`; operations of other libraries keep their prefix."""
    return str(operation).removeprefix("aten.").removesuffix("_")


# MACs
# --------------------------------------------------------------------------------------------------


def _count_convolution_macs(args: Sequence[Any], output: Tensor) -> int:
    """Every weight meets every position of the output once, or, if transposed (argument 6), of the
    input.
    """
    x, weight = args[:2]
    transposed = args[6]
    grid = x.shape if transposed else output.shape
    return int(weight.numel() * grid[0] * math.prod(grid[2:]))


def _matrix_product_counter(first: int) -> Callable[[Sequence[Any], Tensor], int]:
    """Every element of the product is a sum over the last axis of the left factor, which is
    argument `first`.
    """
    return lambda args, output: int(output.numel() * args[first].shape[-1])


_MAC_FORMULAS: Mapping[str, Callable[[Sequence[Any], Any], int]] = {
    "convolution": _count_convolution_macs,
    **dict.fromkeys(("mm", "bmm", "mv", "dot", "linear"), _matrix_product_counter(0)),
    **dict.fromkeys(("addmm", "baddbmm", "addmv"), _matrix_product_counter(1)),
}
_ELEMENTWISE_PRODUCTS = {"mul", "addcmul"}
_NO_MACS = set(
    # making, moving and choosing numbers
    """
    empty empty_like empty_strided new_empty new_empty_strided new_zeros new_ones new_full zeros
    zeros_like ones ones_like full full_like arange linspace eye scalar_tensor lift_fresh
    lift_fresh_copy clone copy _to_copy fill zero uniform normal _unsafe_view cat stack
    constant_pad_nd reflection_pad1d reflection_pad2d replication_pad2d index index_select
    index_put gather scatter flip roll repeat repeat_interleave im2col pixel_shuffle
    pixel_unshuffle tril triu where masked_fill unsafe_split unsafe_chunk sort topk argmax argmin
    """.split()  # noqa: SIM905 (one name a line would be a page)
    # arithmetic of single elements
    + """
    add sub rsub div addcdiv neg abs sign square sqrt rsqrt reciprocal pow exp log log2 log1p expm1
    sin cos atan2 floor ceil round trunc remainder clamp clamp_min clamp_max minimum maximum eq ne
    lt le gt ge logical_and logical_or logical_not bitwise_and bitwise_not isnan isfinite lerp
    sigmoid tanh relu leaky_relu prelu _prelu_kernel elu gelu silu mish hardtanh hardsigmoid
    hardswish softplus log_sigmoid_forward glu erf
    """.split()  # noqa: SIM905
    # sums, normalisation, pooling, interpolation
    + """
    sum mean amax amin max min prod cumsum var var_mean std std_mean norm linalg_vector_norm all
    any _softmax _safe_softmax _log_softmax native_batch_norm _native_batch_norm_legit
    _native_batch_norm_legit_no_training native_layer_norm native_group_norm native_dropout
    max_pool2d_with_indices avg_pool2d _adaptive_avg_pool2d upsample_nearest2d
    _upsample_nearest_exact2d upsample_bilinear2d upsample_bicubic2d _upsample_bilinear2d_aa
    _upsample_bicubic2d_aa grid_sampler_2d col2im
    """.split()  # noqa: SIM905
)


# What other counters say
# ----------------------------------------------------------------------------------------------


def count_thop_style(module: nn.Module, x: Tensor, output: Tensor) -> int:
    """Return what thop 0.0.31 (2020) adds to its "FLOPs" for one call of a module without children.

    It sees modules only, so that a functional call costs nothing. Measured with that release: a
    convolution takes inputs / groups x kernel (+ 1 with a bias) per *output* element, which is
    stride^2 too much for a transposed one; a BatchNorm 2 per element; pooling and interpolation a
    little. (From 0.1 on, thop leaves biases out, takes 4 for a BatchNorm and 1 per pixel of nearest
    interpolation.)
    """
    from torch import nn

    match module:
        case nn.Conv1d() | nn.Conv2d() | nn.Conv3d() | nn.ConvTranspose1d() | nn.ConvTranspose2d():
            weights = module.in_channels // module.groups * math.prod(module.kernel_size)
            return output.numel() * (weights + (module.bias is not None))
        case nn.Linear():
            return output.numel() * module.in_features
        case nn.BatchNorm1d() | nn.BatchNorm2d() | nn.BatchNorm3d():
            return 2 * x.numel()
        case nn.LeakyReLU():
            return x.numel()
        case nn.AvgPool2d():
            return output.numel()
        case nn.AdaptiveAvgPool2d():
            return x.numel() + output.numel()
        case nn.Upsample():
            return _THOP_UPSAMPLING.get(module.mode, 0) * output.numel()
    return 0


_THOP_UPSAMPLING = {"bilinear": 11, "bicubic": 259}


def _compare_mac_counts(
    other_counts: Mapping[str, int], own_counts: Mapping[str, int]
) -> CounterCheck:
    differences = []
    for name in {**other_counts, **own_counts}:
        their_count = other_counts.get(name, 0)
        our_count = own_counts.get(name, 0)
        if their_count != our_count:
            differences.append(f"{name}: {their_count} MACs against {our_count}")
    difference = ", ".join(differences)
    total = sum(own_counts.values())
    if not total:
        return CounterCheck(None, difference or "nothing to count")
    return CounterCheck(sum(other_counts.values()) / total, difference)


def _check_with_fvcore(network: Network, form: str) -> CounterCheck:
    """Compare fvcore's count of a real, small run with ours of the same size."""
    shapes = network.shapes(*FVCORE_SIZE)
    try:
        _, tally, _ = _run_on_meta(network, form, shapes)
        theirs = _count_with_fvcore(network, form, shapes)
    except Exception as error:  # it refuses small pictures, or the tracer cannot follow it
        return CounterCheck(None, describe_error(error))
    ours = sum(tally.operations.values())
    if not ours:
        return CounterCheck(None, "nothing to count")
    difference = ""
    # fvcore reads what an einsum takes off a text with four digits
    if not math.isclose(theirs, ours, rel_tol=1e-3):
        height, width = FVCORE_SIZE
        difference = f"{theirs} MACs against {ours} for {width} x {height} pixels"
    return CounterCheck(theirs / ours, difference)


def _count_with_fvcore(network: Network, form: str, shapes: Sequence[tuple[int, ...]]) -> int:
    """Return the MACs that fvcore counts in a real run; on one thread, as waking others takes
    longer than the run.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracer has many, from its import on
            from fvcore.nn import FlopCountAnalysis

            inputs = tuple(torch.rand(shape) for shape in shapes)
            analysis = FlopCountAnalysis(network.forms[form]().eval(), inputs)
            analysis.unsupported_ops_warnings(False)
            analysis.uncalled_modules_warnings(False)
            analysis.tracer_warnings("none")
            analysis.set_op_handle("aten::_convolution_mode", _count_convolution_padded_by_name)
            operations = analysis.by_operator().items()
            return int(sum(count for name, count in operations if name in _FVCORE_OPERATIONS))
    finally:
        torch.set_num_threads(threads)


_FVCORE_OPERATIONS = {
    "conv",
    "_convolution_mode",
    "linear",
    "matmul",
    "mm",
    "bmm",
    "addmm",
    "baddbmm",
    "einsum",
}


def _count_convolution_padded_by_name(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Count a convolution with padding="same", which fvcore does not know."""
    from fvcore.nn.jit_handles import conv_flop_count, get_shape

    return int(conv_flop_count(get_shape(inputs[0]), get_shape(inputs[1]), get_shape(outputs[0])))


def _measure_saved_bytes(state: Mapping[str, Tensor]) -> int:
    import torch

    file = io.BytesIO()
    torch.save({name: torch.empty_like(value, device="cpu") for name, value in state.items()}, file)
    return file.tell()
