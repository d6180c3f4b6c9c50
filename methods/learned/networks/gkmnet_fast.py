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
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.methods.learned.networks import fused, strips
from benchmark.methods.learned.networks.gkmnet import (
    BORDERS,
    COLOURS,
    Block,
    ConvLstm,
    Gate,
    GaussianConvolution,
    GkmNet,
    Sram,
    continuation,
    layout,
)
from benchmark.methods.learned.networks.strips import Doubled, Source, Strip, Whole, rows_of

STRIP = 3.0
"""Megabytes of a strip of features (measured: between 3 and 12 the time hardly changes)."""
LEAST = 32
"""Rows of a strip, at least: up to 11 more are computed on either side, for the layers in between
to consume.
"""
WIDE = 4000
"""Pixels of a row from which on strips are half as high, and made one after the other."""
_REACH = 3
"""Rows that the 7 x 7 convolutions of the gates reach."""
KEPT = 3000.0
"""Megabytes of features that may be kept at a time, before those that cost most memory are computed
twice instead.
"""


def compiled(network: GkmNet, batch_statistics: bool) -> Callable[[Tensor], Tensor]:
    """Return the network as a function, N x 3 x H x W to the same; its weights are taken as they
    are now.

    Args:
        network: in eval mode.
        batch_statistics: normalise by the statistics of the very picture, as the released test
            program does.
    """
    if batch_statistics:
        for module in network.modules():
            if isinstance(
                module, nn.BatchNorm2d
            ):  # without running statistics BatchNorm falls back on the batch's
                module.running_mean = module.running_var = None
    if batch_statistics or next(network.parameters()).is_cuda:
        return whole(network)
    fast = FastGkmNet(network)
    fast(
        torch.zeros(1, COLOURS, 32, 32)
    )  # compiles the loops of `fused`, so that no call that is timed does
    return fast


def whole(network: GkmNet) -> Callable[[Tensor], Tensor]:
    """Return the plain form with separable filters in channels_last, for a GPU and for batch
    statistics.
    """
    if network.form.head == "gkm" and network.form.kernels == "fixed":
        device = next(network.parameters()).device
        network.gcm = GaussianConvolution(network.form, "separable").to(device)
    return network.to(memory_format=torch.channels_last)


def _rows(channels: int, width: int) -> int:
    """Return how many rows a strip of features has."""
    return rows_of(STRIP, LEAST if width <= WIDE else LEAST // 2, channels, width)


class FastGate:
    """A gate with its normalisation worked in."""

    def __init__(self, gate: Gate) -> None:
        self._conv = strips.Convolution(gate.conv, gate.bn)

    def __call__(self, pooled: Tensor) -> Tensor:
        """Return the gate, A x B, for the pooled maximum and mean, 2 x A x B; a few rows
        at a time.
        """
        height, width = pooled.shape[1:]
        made = torch.empty(height, width)
        for first, end in strips.spans(height, _rows(len(pooled), width)):
            above, below = max(0, first - _REACH), min(height, end + _REACH)
            seen = pooled[None, :, above:below].contiguous(memory_format=torch.channels_last)
            made[first:end] = self._conv(Strip(seen, above, height)).part(first, end)[0, 0]
        return made.sigmoid_()


class FastBlock:
    """The weights of a block."""

    def __init__(self, block: Block) -> None:
        conv, bn = block.conv, block.bn
        self.doubles = isinstance(conv, nn.ConvTranspose2d)
        self.halves = conv.stride[0] == 2 and not self.doubles
        self.conv: Callable[[Strip], Strip]
        if isinstance(conv, nn.ConvTranspose2d):
            assert bn is not None
            self.conv = strips.Doubling(conv, bn)
        else:
            self.conv = strips.Convolution(conv, bn, relu=bn is not None)
        residual, attention = block.residual, block.attention
        self.first = strips.Convolution(
            residual.conv1, residual.bn1
        )  # both are rectified where they are added
        self.second = strips.Convolution(residual.conv2, residual.bn2)
        self.over_rows, self.over_columns = FastGate(attention.cw), FastGate(attention.hc)
        self.over_channels = FastGate(attention.hw)
        self.channels = conv.out_channels


class Features:
    """The output of a block, by rows: a source for the block after it."""

    def __init__(self, block: FastBlock, source: Source, keep: bool = True) -> None:
        """Sweep over the source once, to pool the features for the three gates, and keep them or
        not.
        """
        self._block, self._source = block, source
        self.height, self.width = (self._size(side) for side in (source.height, source.width))
        size = (1, block.channels, self.height, self.width)
        self._kept = torch.empty(size, memory_format=torch.channels_last) if keep else None
        of_columns = torch.empty(2, self.height, block.channels)
        of_channels = torch.empty(2, self.height, self.width)

        def sweep(first: int, end: int) -> Tensor:
            branch, trunk = self._parts(first, end)
            if self._kept is None:
                made = torch.empty_like(branch, memory_format=torch.channels_last)
            else:
                made = self._kept[..., first:end, :]
            return fused.rectified(
                branch, trunk, made, of_columns[:, first:end], of_channels[:, first:end]
            )

        rows = _rows(block.channels, self.width)
        of_rows = torch.zeros(2, self.width, block.channels)
        of_rows[0] = -torch.inf
        for peak, total in strips.parallel(sweep, self.height, rows, self.width > WIDE):
            torch.maximum(of_rows[0], peak, out=of_rows[0])
            of_rows[1] += total
        for pooled, count in (
            (of_rows, self.height),
            (of_columns, self.width),
            (of_channels, block.channels),
        ):
            pooled[1] /= count
        self._over_rows = block.over_rows(
            of_rows.mT
        ).T.contiguous()  # the plain form's gates lie C x W, H x C, H x W
        self._over_columns, self._over_channels = (
            block.over_columns(of_columns),
            block.over_channels(of_channels),
        )
        if keep:
            self._source = Whole(torch.empty(1, 0, 0, 0))  # so that what lies before can be let go

    def strip(self, first: int, end: int) -> Strip:
        """Return the attended features."""
        first, end = max(0, first), min(self.height, end)
        if self._kept is None:
            branch, trunk = self._parts(first, end)
            x = fused.added(branch, trunk)
        else:
            x = self._kept[..., first:end, :]
        made = fused.attend(
            x, self._over_rows, self._over_columns[first:end], self._over_channels[first:end]
        )
        return Strip(made, first, self.height)

    def add(self, other: Source) -> Source:
        """Return the sum with another picture, in the place of these features, which are gone then;
        they are kept.
        """
        kept = self._kept
        assert kept is not None

        def sweep(first: int, end: int) -> None:
            kept[..., first:end, :] = self.strip(first, end).rows.add_(other.strip(first, end).rows)

        for _ in strips.parallel(
            sweep, self.height, _rows(kept.shape[1], self.width), self.width > WIDE
        ):
            pass
        return Whole(kept)

    def _parts(self, first: int, end: int) -> tuple[Tensor, Tensor]:
        """Return what adds up to the features before the attention: the last branch, not rectified,
        and the trunk.
        """
        block = self._block
        x = block.conv(self._source.strip(*self._needs(first - 2, end + 2)))
        branch = block.first(x)
        y = Strip(
            fused.added(branch.rows, x.part(branch.first, branch.end)), branch.first, branch.height
        )
        return block.second(y).part(first, end), y.part(first, end)

    def _needs(self, first: int, end: int) -> tuple[int, int]:
        """Return the rows of the source on which these rows after the first convolution depend."""
        first, end = max(0, first), min(self.height, end)
        if self._block.doubles:
            return first // 2, (end + 1) // 2
        return (2 * first - 1, 2 * end) if self._block.halves else (first - 1, end + 1)

    def _size(self, side: int) -> int:
        return 2 * side if self._block.doubles else side // 2 if self._block.halves else side


class FastGcm:
    """The GCM and its mixing for one of y and x: strips of gates and of the picture to 1 x 3 x rows
    x W.
    """

    def __init__(self, network: GkmNet, mix: nn.Conv2d, of_x: bool) -> None:
        form = network.form
        order = layout(form)
        count, channels = form.gates // 2, len(order.gates)
        self._gates = slice(count, 2 * count) if of_x else slice(0, count)
        self._weight = mix.weight.detach()[:, channels * of_x :, 0, 0][:, :channels].contiguous()
        self._bias = mix.bias.detach()[:, None, None] if mix.bias is not None and not of_x else None
        self._border = BORDERS[form.variant]
        self._planes = None
        if form.kernels != "fixed":
            self._planes = network.gcm.dense().detach()[:, None]
            self._halo = self._planes.shape[-1] // 2
            kernels, colours = torch.tensor(order.kernels), torch.tensor(order.colours)
            self._places, self._of_gates = count * colours + kernels, torch.tensor(order.gates)
            return
        self._filters = fused.Filters(*network.gcm.channels())
        self._halo = self._filters.taps.shape[1] - 1

    def __call__(self, gates: Tensor, picture: Source, first: int, end: int) -> Tensor:
        """Return the mixed responses in these rows, from the gates there and the whole picture."""
        continued = self._continued(picture, first, end)
        gates = gates[0, self._gates]
        if self._planes is None:
            made = continued.new_zeros(COLOURS, *gates.shape[1:])
            fused.add_filtered(made, continued, gates.permute(1, 2, 0), self._weight, self._filters)
        else:
            responses = F.conv2d(continued[:, None], self._planes).flatten(0, 1)[self._places]
            made = torch.einsum("oc,chw->ohw", self._weight, responses.mul_(gates[self._of_gates]))
        return (made if self._bias is None else made.add_(self._bias))[None]

    def _continued(self, picture: Source, first: int, end: int) -> Tensor:
        """Return the rows with a halo on all sides, 3 x rows x W, continued beyond the picture as
        the variant does.
        """
        halo, height = self._halo, picture.height
        if self._border == "constant":
            above, below = max(0, halo - first), max(0, end + halo - height)
            return F.pad(
                picture.strip(first - halo, end + halo).rows[0].contiguous(),
                (halo, halo, above, below),
            )
        wanted = continuation(height, halo, self._border)[first : end + 2 * halo]
        seen = picture.strip(int(wanted.min()), int(wanted.max()) + 1)
        planes = seen.rows[0].contiguous()
        if first < halo or end + halo > height:
            planes = planes.index_select(1, wanted - seen.first)
        return planes.index_select(2, continuation(picture.width, halo, self._border))


Sources = tuple[Source, Source]


@dataclass(frozen=True, slots=True)
class State:
    """Hidden and cell state that a step leaves behind, 1 x gates x H/2 x W/2 each; both None where
    there is none.
    """

    hidden: Tensor | None = None
    cell: Tensor | None = None

    @classmethod
    def empty(cls, gates: int, height: int, width: int) -> State:
        """Return a state to be filled by `keep`."""
        return cls(
            *(
                torch.empty((1, gates, height, width), memory_format=torch.channels_last)
                for _ in range(2)
            )
        )

    def keep(self, hidden: Tensor, cell: Tensor, rows: tuple[int, int]) -> None:
        """Write rows into the state, if it is one."""
        if self.hidden is not None and self.cell is not None:
            self.hidden[..., rows[0] : rows[1], :] = hidden
            self.cell[..., rows[0] : rows[1], :] = cell

    def sources(self, grown: bool) -> Sources | None:
        """Return hidden and cell state for the next step, at twice the size if it is one at a finer
        scale.
        """
        if self.hidden is None or self.cell is None:
            return None
        kind = Doubled if grown else Whole
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
        self.recurrent = isinstance(memory, ConvLstm)
        self._memory = strips.Convolution(memory.conv)
        self._fresh = (
            strips.Convolution(_without_memory(memory))
            if isinstance(memory, ConvLstm)
            else self._memory
        )
        first, bn, _, *rest = sram.detail
        assert isinstance(first, nn.Conv2d) and isinstance(bn, nn.BatchNorm2d)
        self._detail = [strips.Convolution(first, bn, relu=True)]
        self._detail += [
            strips.Convolution(layer) for layer in rest if isinstance(layer, nn.Conv2d)
        ]
        self._slope = sram.slope

    def features(self, y: Source) -> Features:
        """Return the output of the backbone.

        In units of what the bottleneck's features take, those of the six blocks take 4, 2, 1, 1, 2
        and 4. What is alive at a time comes to 5 units in the first decoder and to 6 in the second
        if everything is kept.
        """
        block = self.blocks
        unit = 4e-6 * block["bottleneck"].channels * (y.height // 4) * (y.width // 4)
        keep_half, keep_full = 5 * unit <= KEPT, 6 * unit <= KEPT
        first = Features(block["encoder1"], Features(block["entrance"], y, keep_full))
        second = Features(block["encoder2"], first)
        low = second.add(Features(block["bottleneck"], second))
        del second  # what is no longer needed goes before the largest features of all are made
        both = first.add(Features(block["decoder1"], low, keep_half))
        del first, low
        return Features(block["decoder2"], both, keep_full)

    def memory(
        self, pooled: Strip, state: Sources | None, rows: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Return hidden and cell state in these rows."""
        if not self.recurrent:
            made = self._memory(pooled).part(*rows)
            return made, made
        if state is None:
            i, _, o, g = self._fresh(pooled).part(*rows).chunk(4, 1)
            c = i.sigmoid_().mul_(g.tanh_())
        else:
            h = state[0].strip(pooled.first, pooled.end)
            both = Strip(torch.cat([pooled.rows, h.rows], 1), pooled.first, pooled.height)
            i, f, o, g = self._memory(both).part(*rows).chunk(4, 1)
            c = (
                i.sigmoid_()
                .mul_(g.tanh_())
                .addcmul_(f.sigmoid_(), state[1].strip(*rows).part(*rows))
            )
        return o.sigmoid_().mul_(c.tanh()), c

    def gates(self, features: Strip, hidden: Tensor, first: int, end: int) -> Tensor:
        """Return the coefficient maps in these rows, from the features and the hidden state of the
        same rows.
        """
        reach = len(self._detail)  # rows
        top = max(features.first, first - reach)
        detail = Strip(features.part(top, min(features.end, end + reach)), top, features.height)
        for layer in self._detail:
            detail = layer(detail)
        smooth = F.interpolate(hidden, scale_factor=2, mode="nearest")
        made = smooth.addcmul_(detail.part(first, end), smooth)
        return (made if self._slope == 1 else made.mul_(self._slope)).tanh_()


def _without_memory(memory: ConvLstm) -> nn.Conv2d:
    """Return the convolution of a ConvLSTM as it acts while the hidden state is zero."""
    part: nn.Conv2d = copy.deepcopy(memory.conv)
    part.in_channels -= memory.hidden
    part.weight.data = part.weight.data[:, : part.in_channels]
    return part


class FastGkmNet:
    """The network; called with N x 3 x H x W pictures, it returns the restored ones."""

    def __init__(self, network: GkmNet) -> None:
        """Take the weights of a network in eval mode."""
        self._plain = network
        self._srams = [FastSram(sram) for sram in network.srams if isinstance(sram, Sram)]
        self._mixes = [mix for mix in network.mixes if isinstance(mix, nn.Conv2d)]
        self._gcms: list[tuple[FastGcm, FastGcm]] = []
        if network.form.head == "gkm":
            self._gcms = [
                (FastGcm(network, mix, False), FastGcm(network, mix, True)) for mix in self._mixes
            ]

    @torch.no_grad()
    def __call__(self, y: Tensor) -> Tensor:
        return (
            torch.cat([self._restored(picture[None]) for picture in y])
            if len(y) > 1
            else self._restored(y)
        )

    def _restored(self, y: Tensor) -> Tensor:
        form = self._plain.form
        pictures = [p.contiguous(memory_format=torch.channels_last) for p in self._plain.pyramid(y)]
        steps = form.scales * form.rounds
        x, state = pictures[0], State()
        for index in range(steps):
            grown = index > 0 and index % form.rounds == 0
            before = (Doubled(x) if grown else Whole(x), state.sources(grown))
            x, state = self._step(
                pictures[index // form.rounds], *before, index, last=index == steps - 1
            )
        return x

    def _step(
        self, y: Tensor, x: Source, state: Sources | None, index: int, last: bool
    ) -> tuple[Tensor, State]:
        form = self._plain.form
        sram = self._srams[0 if form.shared else index % form.rounds]
        picture = Whole(y)
        features = sram.features(picture)
        mixed = self._mixing(picture, x, index)
        made, after = torch.empty_like(y), State()
        if sram.recurrent and not last:
            after = State.empty(form.gates, y.shape[2] // 2, y.shape[3] // 2)

        def sweep(first: int, end: int) -> None:
            seen = features.strip(
                first - 4, end + 4
            )  # the 5 x 5 convolution at half the size reaches 4 rows
            pooled = Strip(F.avg_pool2d(seen.rows, 2), seen.first // 2, seen.height // 2)
            rows = first // 2, end // 2
            h, c = sram.memory(pooled, state, rows)
            after.keep(h, c, rows)
            made[..., first:end, :] = mixed(sram.gates(seen, h, first, end), first, end)

        rows = _rows(form.gates, features.width)
        for _ in strips.parallel(sweep, features.height, rows, features.width > WIDE):
            pass  # a sweep writes what it makes
        return made, after

    def _mixing(self, y: Source, x: Source, index: int) -> Callable[[Tensor, int, int], Tensor]:
        """Return how a step makes rows of its result from the gates in those rows."""
        form = self._plain.form
        own = index if form.variant == "paper" else 0
        if form.head == "sram":
            return lambda gates, first, end: torch.sigmoid(self._mixes[own](gates))
        of_y, of_x = self._gcms[own]

        def mixed(gates: Tensor, first: int, end: int) -> Tensor:
            made = of_y(gates, y, first, end).add_(of_x(gates, x, first, end))
            return made.add_(y.strip(first, end).rows) if form.variant == "paper" else made

        return mixed
