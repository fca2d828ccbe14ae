"""Weights fitted anew by least squares, and their rounding."""

from __future__ import annotations

import pytest
import torch

from spikeloom.quant.methods.ptq.settling import refit


def test_few_places_keep_weights_near_the_trained_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty places for forty inputs, and results that have nothing to do with them."""
    torch.manual_seed(0)
    x, z = torch.randn(1, 20, 40), torch.randn(20, 3)
    weight = torch.randn(1, 3, 40).double()

    def moved() -> float:
        v = refit.refitted(refit.Moments(x), weight, z, 0 * z, torch.zeros(3).double(), None, 0.003)
        return (v - weight).norm().item()

    few = moved()
    monkeypatch.setattr(refit, "FEW", 0)
    assert few < 0.8 * moved()


def test_the_refit_makes_up_for_what_inputs_lack() -> None:
    """Inputs that lack a fifth of what they should be: weights become larger by as much, and the hidden half of the
    results does not disturb."""
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(1, 4000, 6, generator=generator)
    weight = torch.randn(1, 4, 6, generator=generator).double()
    z = (x.double() @ weight.transpose(1, 2))[0].float()
    ends = torch.zeros(4), torch.full((4,), 9.0)
    v = refit.refitted(refit.Moments(0.8 * x), weight, z, 0 * z, torch.zeros(4).double(), ends, 0.0)
    before, after = ((0.8 * x.double() @ w.transpose(1, 2))[0].relu() - z.relu() for w in (weight, v))
    assert after.square().sum() < 0.02 * before.square().sum()
    spoilt = torch.where(z < 0, z - 5 * torch.rand(z.shape, generator=generator), z)
    v = refit.refitted(refit.Moments(x), weight, spoilt, 0 * z, torch.zeros(4).double(), ends, 0.0)
    assert torch.allclose(v, weight, atol=0.2)


def test_rounding_with_compensation_loses_less() -> None:
    generator = torch.Generator().manual_seed(2)
    mixed = torch.randn(2, 500, 12, generator=generator) @ torch.randn(2, 12, 12, generator=generator)
    moments = refit.Moments(mixed + 3)
    v = torch.randn(2, 5, 12, generator=generator).double() * 2.5
    found, loss = refit.rounded(moments, v, -8, 7)
    assert torch.equal(found, found.round()) and found.min() >= -8 and found.max() <= 7
    plain = v.round().clamp(-8, 7)
    assert loss.sum() < 0.7 * moments.loss(plain - v).sum()


def test_rounding_in_blocks_is_rounding_one_after_the_other() -> None:
    """More columns than a block has; the reference inverts H, as the paper does, in double precision."""
    generator = torch.Generator().manual_seed(3)
    n = 2 * refit.BLOCK + 9
    mixed = torch.randn(2, 900, n, generator=generator) @ torch.randn(2, n, n, generator=generator)
    moments = refit.Moments(mixed)
    v = torch.randn(2, 5, n, generator=generator).double() * 4
    found, loss = refit.rounded(moments, v, -8, 7)
    damp = refit.DAMP * moments.diagonal.mean(1)[:, None]
    of_errors = moments.loss(found.double() - v) + damp * (found.double() - v).square().sum(2)
    assert torch.allclose(loss, of_errors, rtol=1e-3)
    for group in range(2):
        order = moments.diagonal[group].argsort(descending=True)
        h = (moments.h[group] + damp[group] * torch.eye(n).double())[order][:, order]
        inverse = torch.linalg.cholesky(torch.linalg.inv(h), upper=True)
        left = v[group][:, order].clone()
        for k in range(n):
            error = (left[:, k] - left[:, k].round().clamp(-8, 7)) / inverse[k, k]
            left[:, k] = left[:, k].round().clamp(-8, 7)
            left[:, k + 1 :] -= error[:, None] * inverse[k, k + 1 :]
        assert (left == found[group][:, order]).double().mean() > 0.98  # what float leaves of a half may go either way
