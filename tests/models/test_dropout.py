"""Dropout by bytes is dropout."""

import pytest
import torch

from lightrec.models.students.dropout import Dropout


@pytest.mark.parametrize("probability", [0.1, 0.2, 0.5, 0.9])
def test_the_share_and_the_mean_are_those_of_dropout(probability):
    torch.manual_seed(0)
    out = Dropout(probability).train()(torch.ones(400, 501))
    assert (out == 0).float().mean() == pytest.approx(probability, abs=0.006)
    assert out.mean() == pytest.approx(1, abs=0.02)
    assert len(out.unique()) == 2


def test_neighbouring_numbers_are_dropped_independently():
    torch.manual_seed(0)
    kept = (Dropout(0.5).train()(torch.ones(1000, 64)) != 0).double()
    together = torch.corrcoef(kept.T) - torch.eye(64)
    assert together.abs().max() < 0.15  # 1,000 rows: a standard error of .03


def test_gradients_pass_where_numbers_did():
    x = torch.ones(1000, requires_grad=True)
    out = Dropout(0.25).train()(x)
    out.sum().backward()
    assert torch.equal(x.grad, out.detach())


def test_it_repeats_by_torchs_seed_and_rests_outside_training():
    drop, x = Dropout(0.5), torch.randn(77, 3)
    torch.manual_seed(3)
    first, second = drop(x), drop(x)
    torch.manual_seed(3)
    assert torch.equal(drop(x), first) and not torch.equal(first, second)
    assert drop.eval()(x) is x
    assert Dropout(0.0).train()(x) is x
    assert not Dropout(1.0).train()(x).any()
