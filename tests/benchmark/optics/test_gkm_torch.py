"""The differentiable operator against the plain one, numerical derivatives and what torch
allocates.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck
from torch.utils._python_dispatch import TorchDispatchMode

from benchmark.optics import gkm, gkm_torch

SMALL = gkm.paper_bank(5)
OPERATORS = {
    "blur": (gkm_torch.blur_tensor, gkm.blur_picture),
    "adjoint": (gkm_torch.blur_tensor_adjoint, gkm.blur_picture_adjoint),
}
operators = pytest.mark.parametrize("operator", OPERATORS)


def tensors(count: int, shape: tuple[int, int], bank: gkm.Bank, dtype: torch.dtype = torch.float32):
    torch.manual_seed(0)
    return torch.rand(count, 3, *shape, dtype=dtype), torch.randn(
        count, len(bank.taps), *shape, dtype=dtype
    )


@operators
@pytest.mark.parametrize("bank", [gkm.paper_bank(), gkm.official_bank()], ids=["paper", "official"])
@pytest.mark.parametrize("shape", [(33, 40), (3, 2), (1, 1)])
def test_equals_the_plain_operator(operator, bank, shape):
    ours, plain = OPERATORS[operator]
    x, beta = tensors(2, shape, bank)
    beta /= len(bank.taps)
    found = ours(x, beta, bank)
    assert found.dtype == torch.float32
    for picture, weights, result in zip(x, beta, found, strict=True):
        expected = plain(picture.permute(1, 2, 0).contiguous().numpy(), weights.numpy(), bank)
        np.testing.assert_allclose(result.permute(1, 2, 0).numpy(), expected, atol=2e-6)


@operators
@pytest.mark.parametrize("shape", [(5, 4), (1, 2)])
def test_gradient_through_picture_and_coefficients(operator, shape):
    x, beta = tensors(2, shape, SMALL, torch.float64)
    assert gradcheck(
        lambda a, b: OPERATORS[operator][0](a, b, SMALL),
        (x.requires_grad_(), beta.requires_grad_()),
        fast_mode=False,
    )


@operators
def test_gradient_of_one_argument_alone(operator):
    x, beta = tensors(1, (6, 5), SMALL, torch.float64)
    slopes = {}
    for wanted in ((True, False), (False, True), (True, True)):
        a, b = x.clone().requires_grad_(wanted[0]), beta.clone().requires_grad_(wanted[1])
        OPERATORS[operator][0](a, b, SMALL).square().sum().backward()
        slopes[wanted] = a.grad, b.grad
    both = slopes[True, True]
    assert slopes[True, False][1] is None
    assert slopes[False, True][0] is None
    assert torch.equal(slopes[True, False][0], both[0])
    assert torch.equal(slopes[False, True][1], both[1])


@pytest.mark.parametrize("bank", [gkm.paper_bank(), gkm.paper_bank(1)], ids=["paper", "delta"])
def test_adjoint_is_the_transpose(bank):
    x, beta = tensors(2, (19, 23), bank, torch.float64)
    z = torch.rand_like(x)
    forward = (gkm_torch.blur_tensor(x, beta, bank) * z).sum()
    backward = (x * gkm_torch.blur_tensor_adjoint(z, beta, bank)).sum()
    assert forward.item() == pytest.approx(backward.item(), rel=1e-12)


def test_responses_are_what_the_coefficients_weight():
    bank = gkm.paper_bank()
    x, beta = tensors(2, (14, 11), bank, torch.float64)
    seen = gkm_torch.filter_responses(x, bank)
    assert seen.shape == (2, 21, 3, 14, 11)
    assert torch.equal(seen[:, 0], x)
    torch.testing.assert_close(
        (beta[:, :, None] * seen).sum(1), gkm_torch.blur_tensor(x, beta, bank)
    )


def test_responses_carry_a_gradient_even_after_inference():
    bank = gkm.paper_bank(7)
    x = torch.rand(1, 2, 5, 5, dtype=torch.float64)
    with torch.inference_mode():
        gkm_torch.filter_responses(x, bank)
    assert gradcheck(lambda a: gkm_torch.filter_responses(a, bank), (x.requires_grad_(),))


class Largest(TorchDispatchMode):
    """The size of the largest tensor made that is no view of the coefficients."""

    def __init__(self, beta: torch.Tensor) -> None:
        super().__init__()
        self.most, self._known = 0, beta.untyped_storage().data_ptr()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.untyped_storage().data_ptr() != self._known:
            self.most = max(self.most, result.numel())
        return result


@operators
def test_no_pass_holds_all_filtered_pictures(operator):
    bank, held = gkm.paper_bank(), []
    x, beta = tensors(1, (48, 64), bank)
    x.requires_grad_()
    beta.requires_grad_()
    padded = 3 * (48 + 20) * (64 + 20)
    with (
        torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: held.append(tensor.shape) or tensor, lambda kept: kept
        ),
        Largest(beta) as seen,
    ):
        result = OPERATORS[operator][0](x, beta, bank)
    assert held == [x.shape, beta.shape]
    assert 0 < seen.most <= padded
    with Largest(beta) as seen:
        result.sum().backward()
    assert (
        0 < seen.most <= max(padded, beta.numel())
    )  # the slope in beta: K planes, a third of K pictures


@operators
def test_is_exact_under_autocast(operator):
    bank, ours = gkm.paper_bank(), OPERATORS[operator][0]
    x, beta = tensors(1, (20, 20), bank)
    plain = ours(x, beta, bank)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(ours(x, beta, bank), plain)


def test_refuses_sizes_that_do_not_fit():
    x, beta = tensors(2, (5, 6), SMALL)
    for operator, _ in OPERATORS.values():
        for a, b in ((x[:1], beta), (x, beta[:, 1:]), (x, beta[..., 1:]), (x[0], beta)):
            with pytest.raises(ValueError, match="N x K x H x W"):
                operator(a, b, SMALL)


def test_importing_it_does_not_import_torch():
    code = "import sys, benchmark.optics.gkm_torch; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@operators
def test_a_gpu_gives_the_same(operator):
    bank = gkm.paper_bank()
    x, beta = tensors(2, (50, 60), bank)
    beta /= 21
    ours = OPERATORS[operator][0]
    torch.testing.assert_close(
        ours(x.cuda(), beta.cuda(), bank).cpu(), ours(x, beta, bank), atol=1e-5, rtol=0
    )
