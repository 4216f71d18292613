"""The loss under autocast: products in bfloat16, probabilities and the table's gradient in float32."""

from __future__ import annotations

import contextlib

import pytest
import torch

from lightrec.training.loop import losses
from lightrec.training.loop.losses import Distillation, TeacherTargets, catalogue_loss


def loss_and_gradients(states: torch.Tensor, table: torch.Tensor, bias: torch.Tensor, under) -> list[torch.Tensor]:
    torch.manual_seed(1)
    targets, teacher = torch.randint(11, (len(states),)), TeacherTargets(torch.randn(len(states), 11))
    inputs = [tensor.clone().requires_grad_() for tensor in (states, table, bias)]
    with under:
        loss = catalogue_loss(
            *inputs[:2], targets, bias=inputs[2], teacher=teacher, distillation=Distillation(0.5, temperature=2.0)
        )
    loss.backward()
    assert [tensor.grad.dtype for tensor in inputs] == [tensor.dtype for tensor in inputs]
    return [loss.detach(), *(tensor.grad.float() for tensor in inputs)]


@pytest.mark.parametrize("states_are", [torch.bfloat16, torch.float32])
def test_autocast_rounds_the_products_alone(monkeypatch, states_are):
    monkeypatch.setitem(losses.CHUNK_BYTES, "cpu", 1)  # chunks of 16 rows
    torch.manual_seed(0)
    # What bfloat16 holds exactly, so that the products' own rounding is all that differs.
    states, table = torch.randn(200, 8).bfloat16(), torch.randn(11, 8).bfloat16().float()
    bias = torch.randn(11)
    expected = loss_and_gradients(states.float(), table, bias, contextlib.nullcontext())
    found = loss_and_gradients(states.to(states_are), table, bias, torch.autocast("cpu", dtype=torch.bfloat16))
    assert found[0].dtype == torch.float32
    for ours, exact in zip(found, expected, strict=True):
        assert 0 < (ours - exact).norm() < 0.02 * exact.norm()


def test_a_table_s_gradient_is_summed_in_float32(monkeypatch):
    """4096 chunks add 2**-13 each to what is 0.5 in the end; in bfloat16 the sum would stop at 2**-5."""
    monkeypatch.setitem(losses.CHUNK_BYTES, "cpu", 1)
    states, table = torch.ones(16 * 4096, 1), torch.zeros(2, 1, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        catalogue_loss(states, table, torch.zeros(len(states), dtype=torch.int64)).backward()
    assert table.grad.tolist() == [[-0.5], [0.5]]
