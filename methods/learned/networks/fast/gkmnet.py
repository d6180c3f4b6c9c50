"""GKMNet for inference on a CPU: the plain form's results in a fraction of its time and memory, at
any size.

All layers but one see a neighbourhood only and run over strips (see `strips`), several at a time.
The exception is the triplet attention after every block, one of whose gates pools all rows of the
block's features. So every block is swept twice: once to pool, once to apply the gates, strip by
strip, on behalf of the block after it. Features in between are kept when that is cheap, and
computed again in the second sweep when they are too large to keep. BatchNorm is worked into the
convolutions, filters of the GCM are separable, nothing is computed for a memory that is still zero.
For inference and running statistics only: under the statistics of the picture every layer would
need a sweep of its own, so then the plain form runs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.methods.learned.networks.fast import attention, mixing, strips
from benchmark.methods.learned.networks.fast.strips import (
    DoublePicture,
    Result,
    RowSource,
    Strip,
    SumPicture,
    WholePicture,
    count_strip_rows,
)
from benchmark.methods.learned.networks.gkmnet import (
    BORDERS,
    COLOURS,
    AttentionGate,
    Block,
    ConvLstm,
    Enlargement,
    GaussianConvolution,
    GkmNet,
    Sram,
    extend_indices,
    order_channels,
    uses_batch_statistics,
)

STRIP_MEGABYTES = 3.0
"""Megabytes of a strip of features (measured: between 3 and 12 the time hardly changes)."""
STRIP_ROWS = 32
"""Rows of a strip, at least: up to 11 more are computed on either side, for the layers in between
to consume.
"""
LARGE_WIDTH = 4000
"""Pixels of a row from which on strips are half as high, and made one after the other."""
_GATE_REACH = 3
"""Rows that the 7 x 7 convolutions of the gates reach."""
FEATURES_IN_MEMORY = 3000.0
"""Megabytes of features that may be kept at a time, before those that cost most memory are computed
twice instead.
"""


def make_fast_gkmnet(network: GkmNet) -> Callable[[Tensor], Tensor]:
    """Return the network as a function, N x 3 x H x W to the same; its weights are taken as they
    are now.

    Args:
        network: in eval mode. Without running statistics (see `use_batch_statistics`), and on a
            GPU, it is the plain form.
    """
    if uses_batch_statistics(network) or next(network.parameters()).is_cuda:
        return prepare_plain_gkmnet(network)
    fast_network = FastGkmNet(network)
    # Compiles the loops of `loops`, so that no call that is timed does.
    fast_network(torch.zeros(1, COLOURS, 32, 32))
    return fast_network


def prepare_plain_gkmnet(network: GkmNet) -> Callable[[Tensor], Tensor]:
    """Return the plain form with separable filters in channels_last, for a GPU and for batch
    statistics.
    """
    if network.form.head == "gkm" and network.form.kernels == "fixed":
        device = next(network.parameters()).device
        network.gcm = GaussianConvolution(network.form, "separable").to(device)
    return network.to(memory_format=torch.channels_last)


def _count_rows(channels: int, width: int) -> int:
    """Return how many rows a strip of features has."""
    least = STRIP_ROWS
    if width > LARGE_WIDTH:
        least //= 2
    return count_strip_rows(STRIP_MEGABYTES, least, channels, width)


class FastGate:
    """A gate with its normalisation worked in."""

    def __init__(self, gate: AttentionGate) -> None:
        self._conv = strips.StripConvolution(gate.conv, gate.bn)

    def __call__(self, pools: Tensor) -> Tensor:
        """Return the gate, A x B, for maximum and mean, 2 x A x B; a few rows at a time."""
        height, width = pools.shape[1:]
        gate = torch.empty(height, width)
        for first, end in strips.iterate_strips(height, _count_rows(len(pools), width)):
            above = max(0, first - _GATE_REACH)
            below = min(height, end + _GATE_REACH)
            rows = pools[None, :, above:below].contiguous(memory_format=torch.channels_last)
            logits = self._conv(Strip(rows, above, height))
            gate[first:end] = logits.part(first, end)[0, 0]
        return gate.sigmoid_()


class FastBlock:
    """The weights of a block."""

    def __init__(self, block: Block) -> None:
        conv = block.conv
        bn = block.bn
        self.doubles = not isinstance(conv, nn.Conv2d)
        self.halves = isinstance(conv, nn.Conv2d) and conv.stride[0] == 2
        self.conv: Callable[[Strip], Strip]
        self._reach = 0  # rows of the input around those that the output lies over
        if isinstance(conv, nn.ConvTranspose2d):
            assert bn is not None
            self.conv = strips.StripDeconvolution(conv, bn)
        elif isinstance(conv, Enlargement):
            assert bn is not None
            self.conv = strips.StripEnlargement(conv.conv, bn)
            self._reach = 1
        else:
            self.conv = strips.StripConvolution(conv, bn, relu=bn is not None)
        # Both are rectified where they are added.
        self.first = strips.StripConvolution(block.residual.conv1, block.residual.bn1)
        self.second = strips.StripConvolution(block.residual.conv2, block.residual.bn2)
        self.over_rows = FastGate(block.attention.cw)
        self.over_columns = FastGate(block.attention.hc)
        self.over_channels = FastGate(block.attention.hw)
        self.channels = conv.out_channels

    def scale_side(self, side: int) -> int:
        """Return the height (or width) of the output for that of the input."""
        if self.doubles:
            return 2 * side
        if self.halves:
            return side // 2
        return side

    def input_rows(self, first: int, end: int) -> tuple[int, int]:
        """Return the rows of the input on which rows of the first convolution's output depend."""
        if self.doubles:
            return first // 2 - self._reach, (end + 1) // 2 + self._reach
        if self.halves:
            return 2 * first - 1, 2 * end
        return first - 1, end + 1


class Pools(NamedTuple):
    """Maximum and mean of a block's features 1 x C x H x W, as the three gates see them.

    Attributes:
        over_rows: 2 x W x C.
        over_columns: 2 x H x C.
        over_channels: 2 x H x W.
    """

    over_rows: Tensor
    over_columns: Tensor
    over_channels: Tensor


class Features:
    """The output of a block, by rows: a source for the block after it."""

    def __init__(self, block: FastBlock, source: RowSource, keep: bool = True) -> None:
        """Sweep over the source once, to pool the features for the three gates, and keep them or
        not.
        """
        self._block = block
        self._source = source
        self.height = block.scale_side(source.height)
        self.width = block.scale_side(source.width)
        self._memory: Tensor | None = None
        if keep:
            size = (1, block.channels, self.height, self.width)
            self._memory = torch.empty(size, memory_format=torch.channels_last)
        pools = self._pool()
        # The plain form's gates lie C x W, H x C, H x W.
        self._over_rows = block.over_rows(pools.over_rows.mT).T.contiguous()
        self._over_columns = block.over_columns(pools.over_columns)
        self._over_channels = block.over_channels(pools.over_channels)
        if keep:  # so that what lies before can be let go
            self._source = WholePicture(torch.empty(1, 0, 0, 0))

    def _pool(self) -> Pools:
        """Pool the features, and fill the memory with them if there is one."""
        channels = self._block.channels
        over_rows = torch.zeros(2, self.width, channels)
        over_rows[0] = -torch.inf
        over_columns = torch.empty(2, self.height, channels)
        over_channels = torch.empty(2, self.height, self.width)

        def pool_strip(first: int, end: int) -> Tensor:
            branch, trunk = self._compute_parts(first, end)
            if self._memory is None:
                features = torch.empty_like(branch, memory_format=torch.channels_last)
            else:
                features = self._memory[..., first:end, :]
            return attention.add_rectified_and_pool(
                branch, trunk, features, over_columns[:, first:end], over_channels[:, first:end]
            )

        for peak, total in self._map_strips(pool_strip):
            torch.maximum(over_rows[0], peak, out=over_rows[0])
            over_rows[1] += total
        over_rows[1] /= self.height
        over_columns[1] /= self.width
        over_channels[1] /= channels
        return Pools(over_rows, over_columns, over_channels)

    def strip(self, first: int, end: int) -> Strip:
        """Return the features after the attention."""
        first = max(0, first)
        end = min(self.height, end)
        if self._memory is None:
            branch, trunk = self._compute_parts(first, end)
            features = attention.add_rectified(branch, trunk)
        else:
            features = self._memory[..., first:end, :]
        rows = attention.apply_gates_for_inference(
            features,
            self._over_rows,
            self._over_columns[first:end],
            self._over_channels[first:end],
        )
        return Strip(rows, first, self.height)

    def add(self, other: RowSource) -> RowSource:
        """Return the sum with another picture, in the place of these features, which are gone then;
        they are kept.
        """
        memory = self._memory
        assert memory is not None

        def add_strip(first: int, end: int) -> None:
            rows = self.strip(first, end).rows
            memory[..., first:end, :] = rows.add_(other.strip(first, end).rows)

        for _ in self._map_strips(add_strip):
            pass
        return WholePicture(memory)

    def _map_strips(self, function: Callable[[int, int], Result]) -> Iterator[Result]:
        rows = _count_rows(self._block.channels, self.width)
        return strips.map_strips(function, self.height, rows, large=self.width > LARGE_WIDTH)

    def _compute_parts(self, first: int, end: int) -> tuple[Tensor, Tensor]:
        """Return what adds up to the features before the attention: the last branch, not rectified,
        and the trunk.
        """
        block = self._block
        above = max(0, first - 2)
        below = min(self.height, end + 2)
        inputs = self._source.strip(*block.input_rows(above, below))
        x = block.conv(inputs)
        branch = block.first(x)
        rows = attention.add_rectified(branch.rows, x.part(branch.first, branch.end))
        trunk = Strip(rows, branch.first, branch.height)
        branch = block.second(trunk)
        return branch.part(first, end), trunk.part(first, end)


class FastGcm:
    """The GCM and its mixing for one of y and x: strips of gates and of the picture to 1 x 3 x rows
    x W.
    """

    def __init__(self, network: GkmNet, mix: nn.Conv2d, of_x: bool) -> None:
        form = network.form
        order = order_channels(form)
        count = form.gates // 2
        channels = len(order.gates)
        own_gates = slice(0, count)
        own_channels = slice(0, channels)
        if of_x:
            own_gates = slice(count, 2 * count)
            own_channels = slice(channels, 2 * channels)
        self._gates = own_gates
        self._weight = mix.weight.detach()[:, own_channels, 0, 0].contiguous()
        self._bias: Tensor | None = None
        if mix.bias is not None and not of_x:
            self._bias = mix.bias.detach()[:, None, None]
        self._border = BORDERS[form.variant]
        self._planes: Tensor | None = None
        if form.kernels == "fixed":
            self._filters = mixing.Filters(*network.gcm.channels())
            self._halo = self._filters.taps.shape[1] - 1
        else:
            self._planes = network.gcm.dense().detach()[:, None]
            self._halo = self._planes.shape[-1] // 2
            self._responses = count * torch.tensor(order.colours) + torch.tensor(order.kernels)
            self._gate_of_channel = torch.tensor(order.gates)

    def __call__(self, gates: Tensor, picture: RowSource, first: int, end: int) -> Tensor:
        """Return the mixed responses in these rows, from the gates there and the whole picture; in
        single precision under autocast too, as they are sums.
        """
        with torch.autocast("cpu", enabled=False):
            return self._mix_responses(gates, picture, first, end)

    def _mix_responses(self, gates: Tensor, picture: RowSource, first: int, end: int) -> Tensor:
        rows = self._extend(picture, first, end)
        gates = gates[0, self._gates]
        if self._planes is None:
            mixture = rows.new_zeros(COLOURS, *gates.shape[1:])
            mixing.add_filtered_mixture(
                mixture, rows, gates.permute(1, 2, 0), self._weight, self._filters
            )
        else:
            responses = F.conv2d(rows[:, None], self._planes)
            responses = responses.flatten(0, 1)[self._responses]
            responses = responses.mul_(gates[self._gate_of_channel])
            mixture = torch.einsum("oc,chw->ohw", self._weight, responses)
        if self._bias is not None:
            mixture.add_(self._bias)
        return mixture[None]

    def _extend(self, picture: RowSource, first: int, end: int) -> Tensor:
        """Return the rows with a halo on all sides, 3 x rows x W, continued beyond the picture as
        the variant does.
        """
        halo = self._halo
        height = picture.height
        if self._border == "constant":
            rows = picture.strip(first - halo, end + halo).rows[0].contiguous()
            above = max(0, halo - first)
            below = max(0, end + halo - height)
            return F.pad(rows, (halo, halo, above, below))
        indices = extend_indices(height, halo, self._border)[first : end + 2 * halo]
        strip = picture.strip(int(indices.min()), int(indices.max()) + 1)
        rows = strip.rows[0].contiguous()
        if first < halo or end + halo > height:
            rows = rows.index_select(1, indices - strip.first)
        return rows.index_select(2, extend_indices(picture.width, halo, self._border))


MemorySources = tuple[RowSource, RowSource]
"""Hidden and cell state."""


@dataclass(frozen=True, slots=True)
class MemoryState:
    """Hidden and cell state that a step leaves behind, 1 x gates x H/2 x W/2 each; both None where
    there is none.
    """

    hidden: Tensor | None = None
    cell: Tensor | None = None

    @classmethod
    def empty(cls, gates: int, height: int, width: int) -> MemoryState:
        """Return a state to be filled by `write`."""
        size = (1, gates, height, width)
        hidden = torch.empty(size, memory_format=torch.channels_last)
        cell = torch.empty(size, memory_format=torch.channels_last)
        return cls(hidden, cell)

    def write(self, hidden: Strip, cell: Strip, first: int, end: int) -> None:
        """Write rows into the state, if it is one."""
        if self.hidden is not None and self.cell is not None:
            self.hidden[..., first:end, :] = hidden.part(first, end)
            self.cell[..., first:end, :] = cell.part(first, end)

    def sources(self, at_next_scale: bool) -> MemorySources | None:
        """Return hidden and cell state for the next step, at twice the size if it is one at a finer
        scale.
        """
        if self.hidden is None or self.cell is None:
            return None
        kind = DoublePicture if at_next_scale else WholePicture
        return kind(self.hidden), kind(self.cell)


class FastSram:
    """The weights of an SRAM."""

    def __init__(self, sram: Sram) -> None:
        self.blocks = {
            name: FastBlock(block)
            for name, block in sram.named_children()
            if isinstance(block, Block)
        }
        memory = sram.memory
        self.is_recurrent = isinstance(memory, ConvLstm)
        self._memory = strips.StripConvolution(memory.conv)
        self._first_memory = self._memory
        if isinstance(memory, ConvLstm):
            self._first_memory = strips.StripConvolution(_cut_hidden_inputs(memory))
        first, bn, _, *rest = sram.detail
        assert isinstance(first, nn.Conv2d) and isinstance(bn, nn.BatchNorm2d)
        self._detail = [strips.StripConvolution(first, bn, relu=True)]
        for layer in rest:
            assert isinstance(layer, nn.Conv2d)
            self._detail.append(strips.StripConvolution(layer))
        self._slope = sram.slope
        self._resized = sram.resized
        self.smooth_reach = int(sram.resized)
        """Rows of the hidden state around those that the coefficient maps lie over."""

    def compute_features(self, y: RowSource) -> RowSource:
        """Return the output of the backbone.

        In units of what the bottleneck's features take, those of the six blocks take 4, 2, 1, 1, 2
        and 4. What is alive at a time comes to 5 units in the first decoder and to 6 in the second
        if everything is kept; the first block's 4 stay with a resized decoder.
        """
        block = self.blocks
        pixels = (y.height // 4) * (y.width // 4)
        unit = 4e-6 * block["bottleneck"].channels * pixels
        join = 4 if self._resized else 0
        keep_half = (5 + join) * unit <= FEATURES_IN_MEMORY
        keep_full = (6 + join) * unit <= FEATURES_IN_MEMORY
        # What is no longer needed goes before the largest features of all are made.
        full = Features(block["entrance"], y, keep_full)
        half = Features(block["encoder1"], full)
        detail = full if self._resized else None
        del full
        quarter = Features(block["encoder2"], half)
        bottleneck = Features(block["bottleneck"], quarter)
        quarter_sum = quarter.add(bottleneck)
        del quarter, bottleneck
        decoder = Features(block["decoder1"], quarter_sum, keep_half)
        half_sum = half.add(decoder)
        del half, quarter_sum, decoder
        enlarged = Features(block["decoder2"], half_sum, keep_full)
        if detail is None:
            return enlarged
        return enlarged.add(detail) if keep_full else SumPicture(enlarged, detail)

    def compute_memory(
        self, features: Strip, memory: MemorySources | None, first: int, end: int
    ) -> tuple[Tensor, Tensor]:
        """Return hidden and cell state in these rows, from features at half the size around
        them.
        """
        if not self.is_recurrent:
            hidden = self._memory(features).part(first, end)
            return hidden, hidden
        if memory is None:
            gates = self._first_memory(features).part(first, end)
            enter, _, leave, candidate = gates.chunk(4, 1)
            cell = enter.sigmoid_().mul_(candidate.tanh_())
        else:
            hidden_source, cell_source = memory
            before = hidden_source.strip(features.first, features.end)
            inputs = torch.cat([features.rows, before.rows], 1)
            strip = Strip(inputs, features.first, features.height)
            gates = self._memory(strip).part(first, end)
            enter, forget, leave, candidate = gates.chunk(4, 1)
            cell = enter.sigmoid_().mul_(candidate.tanh_())
            old_cell = cell_source.strip(first, end).part(first, end)
            cell.addcmul_(forget.sigmoid_(), old_cell)
        return leave.sigmoid_().mul_(cell.tanh()), cell

    def compute_gates(self, features: Strip, hidden: Strip, first: int, end: int) -> Tensor:
        """Return the coefficient maps in these rows, from the features and the hidden state around
        them.
        """
        reach = len(self._detail)  # rows
        top = max(features.first, first - reach)
        bottom = min(features.end, end + reach)
        detail = Strip(features.part(top, bottom), top, features.height)
        for layer in self._detail:
            detail = layer(detail)
        mode = "bilinear" if self._resized else "nearest"
        large = F.interpolate(hidden.rows, scale_factor=2, mode=mode)
        smooth = Strip(large, 2 * hidden.first, 2 * hidden.height).part(first, end)
        logits = smooth.addcmul_(detail.part(first, end), smooth)
        if self._slope != 1:
            logits.mul_(self._slope)
        return logits.tanh_()


def _cut_hidden_inputs(memory: ConvLstm) -> nn.Conv2d:
    """Return the convolution of a ConvLSTM as it acts while the hidden state is zero."""
    conv: nn.Conv2d = copy.deepcopy(memory.conv)
    conv.in_channels -= memory.hidden
    conv.weight.data = conv.weight.data[:, : conv.in_channels]
    return conv


class FastGkmNet:
    """The network; called with N x 3 x H x W pictures, it returns the restored ones."""

    def __init__(self, network: GkmNet) -> None:
        """Take the weights of a network in eval mode."""
        self._plain = network
        self._srams = [FastSram(sram) for sram in network.srams if isinstance(sram, Sram)]
        self._mixes = [mix for mix in network.mixes if isinstance(mix, nn.Conv2d)]
        self._gcms_of_y: list[FastGcm] = []
        self._gcms_of_x: list[FastGcm] = []
        if network.form.head == "gkm":
            self._gcms_of_y = [FastGcm(network, mix, of_x=False) for mix in self._mixes]
            self._gcms_of_x = [FastGcm(network, mix, of_x=True) for mix in self._mixes]

    @torch.no_grad()
    def __call__(self, y: Tensor) -> Tensor:
        if len(y) == 1:
            return self._restore(y)
        return torch.cat([self._restore(picture[None]) for picture in y])

    def _restore(self, y: Tensor) -> Tensor:
        form = self._plain.form
        pictures = [
            picture.contiguous(memory_format=torch.channels_last)
            for picture in self._plain.pyramid(y)
        ]
        last = form.scales * form.rounds - 1
        x = pictures[0]
        memory = MemoryState()
        for index in range(last + 1):
            picture = pictures[index // form.rounds]
            at_next_scale = index > 0 and index % form.rounds == 0
            x_source = DoublePicture(x) if at_next_scale else WholePicture(x)
            memory_sources = memory.sources(at_next_scale)
            memory = MemoryState()
            if index < last and self._sram(index).is_recurrent:
                height, width = picture.shape[2:]
                memory = MemoryState.empty(form.gates, height // 2, width // 2)
            x = self._step(picture, x_source, memory_sources, index, memory)
        return x

    def _sram(self, step: int) -> FastSram:
        return self._srams[self._plain.sram_index(step)]

    def _step(
        self,
        y: Tensor,
        x: RowSource,
        memory: MemorySources | None,
        index: int,
        next_memory: MemoryState,
    ) -> Tensor:
        """Return the result of a step, and fill the memory for the next one."""
        sram = self._sram(index)
        picture = WholePicture(y)
        features = sram.compute_features(picture)
        output = torch.empty_like(y)

        def fill_strip(first: int, end: int) -> None:
            # The 5 x 5 convolution at half the size reaches 4 rows.
            reach = 4 + 2 * sram.smooth_reach
            strip = features.strip(first - reach, end + reach)
            half = Strip(F.avg_pool2d(strip.rows, 2), strip.first // 2, strip.height // 2)
            above = max(0, first // 2 - sram.smooth_reach)
            below = min(half.height, end // 2 + sram.smooth_reach)
            hidden_rows, cell_rows = sram.compute_memory(half, memory, above, below)
            hidden = Strip(hidden_rows, above, half.height)
            cell = Strip(cell_rows, above, half.height)
            next_memory.write(hidden, cell, first // 2, end // 2)
            gates = sram.compute_gates(strip, hidden, first, end)
            output[..., first:end, :] = self._mix(picture, x, gates, index, first, end)

        rows = _count_rows(self._plain.form.gates, features.width)
        for _ in strips.map_strips(
            fill_strip, features.height, rows, large=features.width > LARGE_WIDTH
        ):
            pass
        return output

    def _mix(
        self, y: RowSource, x: RowSource, gates: Tensor, index: int, first: int, end: int
    ) -> Tensor:
        """Return rows of a step's result from the gates in those rows."""
        form = self._plain.form
        own_mixture = self._plain.mix_index(index)
        if form.head == "gkm":
            mixture = self._gcms_of_y[own_mixture](gates, y, first, end)
            mixture.add_(self._gcms_of_x[own_mixture](gates, x, first, end))
        else:
            mixture = self._mixes[own_mixture](gates)
        if form.adds:
            return mixture + y.strip(first, end).rows
        if form.head == "sram":
            return torch.sigmoid(mixture)
        return mixture
