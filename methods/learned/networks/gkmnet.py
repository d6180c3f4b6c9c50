"""GKMNet (Quan, Wu and Ji, NeurIPS 2021): the network of the paper, the one that was released, and
its correction.

One step refines the picture by gated Gaussian filters (eqs. 8 and 9). With y the blurred picture of
a scale, x the result so far and z_k = g(sigma_k) conv . the responses of the Gaussian convolution
module (GCM),

    paper       x' = y + mix(gamma_k * z_k(y), gamma_{K+k} * z_k(x))
    released    x' =     mix(gamma_k * z_k(y), gamma_{K+k} * z_k(x))

where mix is a 1 x 1 convolution and the gates gamma come from the scale-recurrent attention module
(SRAM), which sees y alone. Steps run from the coarsest scale to the full one; x goes on bilinearly
enlarged, and so does the memory of the SRAM. This is the plain form, one operation of torch after
the other: the reference for every faster one, for training and for counting. Tensors are N x C x H
x W, pictures RGB in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.methods.learned.networks.blocks import (
    LstmState,
    build_pyramid,
    double_size,
    halve_size,
    update_lstm,
)
from benchmark.optics.gkm import Bank, official_bank, paper_bank

Variant = Literal["paper", "official", "v2"]
Memory = Literal["conv-lstm", "convolution"]
Kernels = Literal["fixed", "gaussian", "xavier"]
Head = Literal["gkm", "sram"]
Border = Literal["symmetric", "constant", "reflect"]
Decoder = Literal["transposed", "resized"]
Output = Literal["published", "added"]
Filtering = Literal["dense", "separable", "banded"]

WIDTHS = (32, 64, 128)
COLOURS = 3
BORDERS: dict[Variant, Border] = {"paper": "symmetric", "official": "constant", "v2": "reflect"}
"""How a GCM continues a picture, in the words of `numpy.pad`."""


@dataclass(frozen=True, slots=True)
class Form:
    """Which GKMNet.

    Attributes:
        variant: `paper`; `official`, the released program; `v2`, its authors' later correction of
            the GCM.
        scales: S, from the coarsest of 2^-(S-1) up to the full one (the paper's T).
        rounds: R, steps at each scale (Table 5).
        shared: whether the rounds of a scale share one SRAM, or have one each.
        memory: what the first path of the attention prediction unit has: a ConvLSTM, or one
            convolution of the same size (row "w/o Conv-LSTM" of Table 4).
        kernels: of the GCM: fixed Gaussians, or learned from Gaussians or from Xavier's
            initialisation.
        head: `gkm`, or `sram` for row "SRAM*": no GCM, a 1 x 1 convolution and a sigmoid make the
            picture.
        decoder: how features are enlarged. `transposed`: by transposed convolutions of size and
            stride 2, as released. Each place of a lattice of 2 pixels has filters of its own then,
            and what they make shows as a lattice in smooth regions. `resized`, this suite's own:
            bilinearly, and the features of the full size join the enlarged ones.
        output: `published`, or `added`, this suite's own: what the last layer of a step gives is
            added to the picture, as it is in the paper's network with `gkm`. `sram` then has no
            sigmoid.
    """

    variant: Variant = "paper"
    scales: int = 3
    rounds: int = 1
    shared: bool = True
    memory: Memory = "conv-lstm"
    kernels: Kernels = "fixed"
    head: Head = "gkm"
    decoder: Decoder = "transposed"
    output: Output = "published"

    @property
    def adds(self) -> bool:
        """Whether a step adds what its last layer gives to the picture."""
        return self.output == "added" or (self.variant == "paper" and self.head == "gkm")

    @property
    def bank(self) -> Bank:
        """The Gaussian kernels: 21 of the paper with M = 21, or the 22 that were released."""
        if self.variant == "paper":
            return paper_bank(21)
        return official_bank()

    @property
    def gates(self) -> int:
        """How many coefficient maps a step has: one for each kernel and each of y and x."""
        return 2 * len(self.bank.taps)


@dataclass(frozen=True, slots=True)
class ChannelOrder:
    """Which response each channel of a GCM holds: a colour filtered by a kernel, and the gate that
    weights it.

    Attributes:
        colours, kernels, gates: for every channel, as 1 x 1 mixing meets them.
    """

    colours: tuple[int, ...]
    kernels: tuple[int, ...]
    gates: tuple[int, ...]


def order_channels(form: Form) -> ChannelOrder:
    """Return the order of the channels.

    Paper: colour after colour, all K kernels each. Correction (v2): kernel after kernel, three
    colours each. The released program repeats its kernels element by element and then groups by
    colour, so that channel c holds colour c // 22 filtered by kernel c // 3 and weighted by gate c
    % 22: red sees the eight narrowest kernels only, blue the eight widest. Its weights mean nothing
    in any other order.
    """
    count = len(form.bank.taps)
    colour_by_colour = tuple(c // count for c in range(COLOURS * count))
    kernels_of_a_colour = tuple(c % count for c in range(COLOURS * count))
    kernel_by_kernel = tuple(c // COLOURS for c in range(COLOURS * count))
    colours_of_a_kernel = tuple(c % COLOURS for c in range(COLOURS * count))
    if form.variant == "v2":
        return ChannelOrder(colours_of_a_kernel, kernel_by_kernel, kernel_by_kernel)
    if form.variant == "official":
        return ChannelOrder(colour_by_colour, kernel_by_kernel, kernels_of_a_colour)
    return ChannelOrder(colour_by_colour, kernels_of_a_colour, kernels_of_a_colour)


class GaussianConvolution(nn.Module):
    """The GCM: N x 3 x H x W to N x 3K x H x W.

    Pictures are continued beyond their border by half-sample reflection (the paper is silent; this
    is what makes the operator of eq. 4 symmetric), by zeros as released, or by whole-sample
    reflection as corrected.
    """

    def __init__(self, form: Form, filtering: Filtering = "dense") -> None:
        """Make the module.

        Args:
            form: says bank, order of the channels, border, and whether the kernels are learned.
            filtering: three ways to the same result. `dense`: 21 x 21 kernels, as released. For
                fixed kernels only, rows after columns, `separable`: by convolutions; `banded`: by
                products with matrices whose rows hold the kernel at each place and what continues
                the picture. Those have the cheapest gradient for crops; for large pictures nearly
                all of such a matrix is zeros.

        Raises:
            ValueError: for kernels that are learned and not dense.
        """
        super().__init__()
        if filtering != "dense" and form.kernels != "fixed":
            raise ValueError("learned kernels are not separable")
        self._border = BORDERS[form.variant]
        self._order = order_channels(form)
        self._filtering = filtering
        bank = form.bank
        self._halves = [len(taps) // 2 for taps in bank.taps]
        self._halo = max(self._halves)
        self._band_matrices: dict[int, Tensor] = {}  # by side, for `banded`
        if form.kernels == "fixed":
            self._register_fixed_kernels(bank)
        else:
            self.learned = nn.ParameterList(_make_learned_kernels(bank, form.kernels))

    def _register_fixed_kernels(self, bank: Bank) -> None:
        lines = torch.stack([_centre_taps(taps, self._halo) for taps in bank.taps])
        planes = lines[:, :, None] * lines[:, None, :]
        self.register_buffer("lines", lines.float(), persistent=False)
        self.register_buffer("planes", planes.float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Filter each colour by all kernels, as pictures of one channel, then bring the channels
        into their order.
        """
        count = len(self._order.kernels) // COLOURS
        if self._filtering == "banded":
            planes = self._filter_by_matrices(x)
        else:
            planes = self._filter_by_convolutions(x)
        responses = planes.view(len(x), COLOURS * count, *x.shape[-2:])
        indices = [
            colour * count + kernel
            for colour, kernel in zip(self._order.colours, self._order.kernels, strict=True)
        ]
        if indices == list(range(len(indices))):
            return responses
        return responses[:, indices]

    def _filter_by_convolutions(self, x: Tensor) -> Tensor:
        """Return every colour filtered by every kernel, 3N x K x H x W."""
        colours = self.extend(x).flatten(0, 1)[:, None]
        if self._filtering == "dense":
            return F.conv2d(colours, self.dense().to(x.dtype)[:, None])
        lines = self.get_buffer("lines").to(x.dtype)[:, None]
        rows = F.conv2d(colours, lines[:, :, None, :])
        return F.conv2d(rows, lines[:, :, :, None], groups=len(lines))

    def _filter_by_matrices(self, x: Tensor) -> Tensor:
        """Return the same by matrices: those of all kernels below one another for columns, then one
        each for rows.
        """
        height, width = x.shape[-2:]
        down = self._make_band_matrix(height).to(x.dtype)
        across = self._make_band_matrix(width).to(x.dtype)
        columns = down.flatten(0, 1) @ x.flatten(0, 1)
        columns = columns.view(-1, *down.shape[:2], width)
        return columns @ across.mT

    def _make_band_matrix(self, side: int) -> Tensor:
        """Return for every kernel the matrix that filters a line of so many pixels, K x side x
        side.
        """
        lines = self.get_buffer("lines")
        matrix = self._band_matrices.get(side)
        if matrix is None or matrix.device != lines.device or matrix.dtype != lines.dtype:
            points = torch.eye(side).to(lines)[None]
            points = extend_picture(points, self._halo, self._border)[0]
            points = points[:, self._halo : -self._halo]  # a point each, continued along its line
            responses = F.conv1d(points.mT[:, None], lines[:, None])
            matrix = responses.permute(1, 2, 0).contiguous()
            self._band_matrices[side] = matrix
        return matrix

    def channels(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return for every channel of fixed kernels the taps of one axis from the centre outwards,
        C x (h + 1) with zeros beyond the kernel, the kernel's half size, the colour, and the gate
        that weights it.
        """
        lines = self.get_buffer("lines")
        order = self._order
        halves = torch.tensor([self._halves[kernel] for kernel in order.kernels])
        taps = lines[list(order.kernels), self._halo :].contiguous()
        colours = torch.tensor(order.colours)
        gates = torch.tensor(order.gates)
        return taps, halves, colours, gates

    def extend(self, x: Tensor) -> Tensor:
        """Return pictures continued by the half size h of the largest kernel on all sides."""
        return extend_picture(x, self._halo, self._border)

    def dense(self) -> Tensor:
        """Return the K kernels as K x size x size, all of the largest size."""
        if not hasattr(self, "learned"):
            return self.get_buffer("planes")
        kernels = []
        for kernel in self.learned.parameters():
            rim = self._halo - len(kernel) // 2
            kernels.append(F.pad(kernel, [rim] * 4))
        return torch.stack(kernels)


def _centre_taps(taps: NDArray[np.float64], halo: int) -> Tensor:
    """Return the taps of a kernel amid zeros, 2 halo + 1 in all."""
    rim = halo - len(taps) // 2
    return F.pad(torch.tensor(taps), [rim, rim])


def _make_learned_kernels(bank: Bank, kernels: Kernels) -> list[nn.Parameter]:
    """Return the kernels to learn from, each at its own size and for all colours together.

    The 3,541 numbers of the paper's bank are what its Table 4 has room for (1.41 M parameters in
    all); 21 x 21 for every kernel and colour are not.
    """
    parameters = [
        nn.Parameter(torch.tensor(kernel, dtype=torch.float32)) for kernel in bank.kernels
    ]
    if kernels == "xavier":
        for parameter in parameters:
            nn.init.xavier_uniform_(parameter)
    return parameters


def extend_picture(x: Tensor, halo: int, border: Border) -> Tensor:
    """Return pictures continued by `halo` pixels on all sides, in the words of `numpy.pad`, however
    small they are.
    """
    if border == "constant":
        return F.pad(x, [halo] * 4)
    # By index, as torch's own reflection refuses pictures smaller than the halo.
    for axis in (-2, -1):
        indices = extend_indices(x.shape[axis], halo, border)
        x = x.index_select(axis, indices.to(x.device))
    return x


def extend_indices(size: int, halo: int, border: Literal["symmetric", "reflect"]) -> Tensor:
    """Return which rows (or columns) of a picture follow one another when it is continued."""
    return torch.as_tensor(np.pad(np.arange(size), halo, mode=border))


class AttentionGate(nn.Module):
    """A gate of triplet attention: N x A x B x C to N x 1 x B x C in (0, 1), from maximum and mean
    over A.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.bn = nn.BatchNorm2d(1, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        maximum = x.amax(1, keepdim=True)
        mean = x.mean(1, keepdim=True)
        return self.gate_from_pools(torch.cat([maximum, mean], 1))

    def gate_from_pools(self, pools: Tensor) -> Tensor:
        """Return the gate for maximum and mean, N x 2 x B x C."""
        gate: Tensor = self.bn(self.conv(pools))
        return gate.sigmoid()


def use_batch_statistics(network: nn.Module) -> None:
    """Let a network normalise by the statistics of the very picture, as the released test program
    does; in place.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            # Without running statistics BatchNorm falls back on the batch's.
            module.running_mean = None
            module.running_var = None


def uses_batch_statistics(network: nn.Module) -> bool:
    """Return whether `use_batch_statistics` was applied to a network."""
    norms = (module for module in network.modules() if isinstance(module, nn.BatchNorm2d))
    return any(norm.running_mean is None for norm in norms)


class TripletAttention(nn.Module):
    """Misra et al., WACV 2021: a picture times the mean of three gates, over columns, rows and
    channels.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cw = AttentionGate()
        self.hc = AttentionGate()
        self.hw = AttentionGate()

    def forward(self, x: Tensor) -> Tensor:
        over_rows = self.cw(x.transpose(1, 2)).transpose(1, 2)  # N x C x 1 x W
        over_columns = self.hc(x.transpose(1, 3)).transpose(1, 3)  # N x C x H x 1
        mean: Tensor = (over_rows + over_columns + self.hw(x)) / 3
        return x * mean


class Residual(nn.Module):
    """Two convolutions, each added to what it saw; the rectifiers sit inside the branches."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.bn1(self.conv1(x))
        y = x + F.relu(branch)
        branch = self.bn2(self.conv2(y))
        return y + F.relu(branch)


class Enlargement(nn.Module):
    """A 1 x 1 convolution, then twice the size (`blocks.double_size`)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1)
        self.out_channels = outputs

    def forward(self, x: Tensor) -> Tensor:
        return double_size(self.conv(x))


class Block(nn.Module):
    """A convolution that changes width or size, two residual ones, and attention; the first block
    is bare of BN.
    """

    def __init__(
        self, conv: nn.Conv2d | nn.ConvTranspose2d | Enlargement, normalise: bool = True
    ) -> None:
        super().__init__()
        self.conv = conv
        self.bn = nn.BatchNorm2d(conv.out_channels) if normalise else None
        self.residual = Residual(conv.out_channels)
        self.attention = TripletAttention()

    def forward(self, x: Tensor) -> Tensor:
        features = self.conv(x)
        if self.bn is not None:
            features = F.relu(self.bn(features))
        features = self.residual(features)
        output: Tensor = self.attention(features)
        return output


class ConvLstm(nn.Module):
    """Convolutional LSTM, 5 x 5, see `blocks.update_lstm`."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.conv = nn.Conv2d(inputs + hidden, 4 * hidden, 5, padding=2)

    def forward(self, x: Tensor, state: LstmState | None) -> tuple[Tensor, LstmState | None]:
        if state is None:
            zeros = x.new_zeros(len(x), self.hidden, *x.shape[-2:])
            state = (zeros, zeros)
        hidden, cell = state
        gates = self.conv(torch.cat([x, hidden], 1))
        hidden, cell = update_lstm(gates, cell)
        return hidden, (hidden, cell)


class MemorylessConvolution(nn.Module):
    """What stands in for the ConvLSTM without memory: a convolution of the same size, shared over
    the scales.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 5, padding=2)

    def forward(self, x: Tensor, state: LstmState | None) -> tuple[Tensor, LstmState | None]:
        return self.conv(x), None


class Sram(nn.Module):
    """The SRAM: from N x 3 x H x W and the state to N x gates x H x W coefficients in (-1, 1) and
    the new state.

    The state is that of the ConvLSTM, N x gates x H/2 x W/2; None before the first step, and
    without a ConvLSTM.
    """

    def __init__(self, form: Form) -> None:
        super().__init__()
        full, half, quarter = WIDTHS
        self.entrance = Block(nn.Conv2d(COLOURS, full, 3, padding=1), normalise=False)
        self.encoder1 = Block(nn.Conv2d(full, half, 3, stride=2, padding=1))
        self.encoder2 = Block(nn.Conv2d(half, quarter, 3, stride=2, padding=1))
        self.bottleneck = Block(nn.Conv2d(quarter, quarter, 3, padding=1))
        self.decoder1 = Block(_make_enlargement(form.decoder, quarter, half))
        self.decoder2 = Block(_make_enlargement(form.decoder, half, full))
        self.down = nn.AvgPool2d(2)
        self.memory = _make_memory(form)
        self.resized = form.decoder == "resized"
        self.up = nn.Upsample(scale_factor=2, mode="bilinear" if self.resized else "nearest")
        self.detail = nn.Sequential(
            nn.Conv2d(full, form.gates, 3, padding=1), nn.BatchNorm2d(form.gates), nn.ReLU()
        )
        if form.variant == "paper":  # "two convolutional layers"; the released program has one
            self.detail.append(nn.Conv2d(form.gates, form.gates, 3, padding=1))
        self.slope = 1.0 if form.variant == "paper" else 0.5  # 2 sigmoid(u) - 1 = tanh(u / 2)

    def forward(self, y: Tensor, state: LstmState | None) -> tuple[Tensor, LstmState | None]:
        full = self.entrance(y)
        half = self.encoder1(full)
        quarter = self.encoder2(half)
        quarter = self.bottleneck(quarter) + quarter
        half = self.decoder1(quarter) + half
        features = self.decoder2(half)
        if self.resized:
            features = features + full
        smooth, state = self.memory(self.down(features), state)
        smooth = self.up(smooth)
        logits = smooth * self.detail(features) + smooth
        return torch.tanh(self.slope * logits), state


def _make_enlargement(
    decoder: Decoder, inputs: int, outputs: int
) -> nn.ConvTranspose2d | Enlargement:
    if decoder == "resized":
        return Enlargement(inputs, outputs)
    return nn.ConvTranspose2d(inputs, outputs, 2, stride=2)


def _make_memory(form: Form) -> ConvLstm | MemorylessConvolution:
    if form.memory == "conv-lstm":
        return ConvLstm(WIDTHS[0], form.gates)
    return MemorylessConvolution(WIDTHS[0], form.gates)


class GkmNet(nn.Module):
    """The network. `forward` gives the restored picture, `scales` what training supervises; see the
    module.
    """

    def __init__(self, form: Form | None = None, filtering: Filtering = "dense") -> None:
        """Make the network at Xavier's initialisation, the paper's; `filtering` is the GCM's."""
        super().__init__()
        form = form or Form()
        self.form = form
        srams = 1 if form.shared else form.rounds
        self.srams = nn.ModuleList(Sram(form) for _ in range(srams))
        inputs = form.gates
        if form.head == "gkm":
            self.gcm = GaussianConvolution(form, filtering)
            inputs = COLOURS * form.gates
        # eq. (9) has weights for each step; the released program shares one set
        mixes = form.scales * form.rounds if form.variant == "paper" else 1
        self.mixes = nn.ModuleList(nn.Conv2d(inputs, COLOURS, 1) for _ in range(mixes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, y: Tensor) -> Tensor:
        """Return the restored picture, N x 3 x H x W; H and W multiples of 2^(scales + 1). Not
        clamped.
        """
        return self.scales(y)[-1]

    def scales(self, y: Tensor) -> list[Tensor]:
        """Return the result of every scale, coarse to fine: N x 3 x H/4 x W/4, H/2 x W/2, H x W for
        three scales.
        """
        pictures = self.pyramid(y)
        results: list[Tensor] = []
        x = pictures[0]
        state: LstmState | None = None
        for scale, picture in enumerate(pictures):
            if scale:
                x = double_size(x)
                state = _double_state(state)
            for turn in range(self.form.rounds):
                index = scale * self.form.rounds + turn
                x, state = self.step(picture, x, state, index)
            results.append(x)
        return results

    def coefficients(self, y: Tensor) -> Tensor:
        """Return the mixing coefficients beta of the last step, N x K x H x W; not for head=sram.

        By eq. (7), beta_1 = 1 - gamma_1 for the delta and beta_k = -gamma_k for the others. Here
        gamma is what the step adds of kernel k, its gates times their weights omega of eq. (9):
        those of y and of x together, as if x were y, and of the 1 x 1 mixing what stays within a
        colour, averaged over the three.
        """
        gates: list[Tensor] = []

        def keep_gates(
            sram: nn.Module, inputs: object, outputs: tuple[Tensor, LstmState | None]
        ) -> None:
            gates.append(outputs[0])

        with self.srams[-1].register_forward_hook(keep_gates):
            self.scales(y)
        beta = -torch.einsum("kg,nghw->nkhw", self._gate_weights(), gates[-1])
        beta[:, 0] += 1
        return beta

    def _gate_weights(self) -> Tensor:
        """Return how much of each kernel (K rows) every gate of the last step adds (2K columns)."""
        order = order_channels(self.form)
        count = self.form.gates // 2
        kernels = torch.tensor(order.kernels * 2)
        gates_of_y = torch.tensor(order.gates)
        gates = torch.cat([gates_of_y, gates_of_y + count])
        mixing = self.mixes[-1].get_parameter("weight")[:, :, 0, 0]
        own_colour = mixing[order.colours * 2, range(mixing.shape[1])]
        omega = mixing.new_zeros(count, 2 * count)
        omega.index_put_((kernels, gates), own_colour / COLOURS, accumulate=True)
        return omega

    def pyramid(self, y: Tensor) -> list[Tensor]:
        """Return the picture at every scale, coarse to fine, halved by the antialiased bilinear
        filter of PIL.

        The released program halves 8-bit pictures; the paper's form does not round.
        """
        halve = halve_size if self.form.variant == "paper" else halve_in_8_bits
        return build_pyramid(y, self.form.scales, halve)

    def step(
        self, y: Tensor, x: Tensor, state: LstmState | None, index: int
    ) -> tuple[Tensor, LstmState | None]:
        """Return the next x and state; `index` counts steps from the coarsest."""
        sram = self.srams[self.sram_index(index)]
        mix = self.mixes[self.mix_index(index)]
        gates, state = sram(y, state)
        is_gkm = self.form.head == "gkm"
        mixture = self.mix_responses(mix, gates, y, x) if is_gkm else mix(gates)
        if self.form.adds:
            mixture = y + mixture
        elif not is_gkm:
            mixture = torch.sigmoid(mixture)
        return mixture, state

    def sram_index(self, step: int) -> int:
        """Return which SRAM a step uses."""
        return 0 if self.form.shared else step % self.form.rounds

    def mix_index(self, step: int) -> int:
        """Return which 1 x 1 mixing a step uses."""
        return step if self.form.variant == "paper" else 0

    def mix_responses(self, mix: nn.Module, gates: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """Return the gated responses of y and x, mixed by a 1 x 1 convolution."""
        gates_of_y, gates_of_x = gates.chunk(2, 1)
        responses_of_y = self._gate_responses(gates_of_y, y)
        responses_of_x = self._gate_responses(gates_of_x, x)
        mixture: Tensor = mix(torch.cat([responses_of_y, responses_of_x], 1))
        return mixture

    def _gate_responses(self, gates: Tensor, picture: Tensor) -> Tensor:
        """Return the responses of a picture times their gates, N x 3K x H x W; a gate weights all
        three colours.
        """
        responses: Tensor = self.gcm(picture)
        if self.form.variant == "v2":  # kernel by kernel
            sides = (-1, COLOURS)
            gates = gates.unsqueeze(2)
        else:  # colour by colour
            sides = (COLOURS, -1)
            gates = gates.unsqueeze(1)
        responses = responses.view(len(gates), *sides, *picture.shape[-2:])
        return (responses * gates).flatten(1, 2)


def halve_in_8_bits(x: Tensor) -> Tensor:
    """Return a picture of even size at half its size, rounded to 8 bits after each axis as PIL
    does.
    """
    for factors in ((1.0, 0.5), (0.5, 1.0)):
        x = F.interpolate(x, scale_factor=factors, mode="bilinear", antialias=True)
        x = (255 * x + 0.501).floor()  # ties go up, also after float rounding
        x = x.clamp(0, 255) / 255
    return x


def _double_state(state: LstmState | None) -> LstmState | None:
    """Return the memory for the next finer scale."""
    if state is None:
        return None
    hidden, cell = state
    return double_size(hidden), double_size(cell)
