"""Weights fitted anew by least squares, and their rounding."""

from __future__ import annotations

import pytest
import torch

from spikeloom.quant.methods.ptq.settling import refit


def _aim(z: torch.Tensor, ends: refit.Ends | None = None) -> refit.Aim:
    return refit.Aim(z, torch.zeros_like(z), torch.zeros(z.shape[1]).double(), ends)


def test_results_that_inputs_do_not_tell_keep_the_trained_weights() -> None:
    """Ten images of six places, forty inputs: noise is learned by heart unless other images say so."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 60, 40, generator=generator)
    weight = torch.randn(1, 3, 40, generator=generator).double()
    z = (x.double() @ weight.transpose(1, 2))[0].float() + 5 * torch.randn(60, 3, generator=generator)
    moments, aim = refit.Moments(x), _aim(z)
    ridge = refit.best_ridge(moments, weight, aim, 10)
    assert ridge >= 1

    def moved(ridge: float) -> float:
        return (refit.refitted(moments, weight, aim, ridge)[0] - weight).norm().item()

    assert moved(ridge) < 0.3 * moved(refit.RIDGES[0])


def test_what_all_images_say_is_followed() -> None:
    """The same with results that are not noise: weights that are twice the trained ones are found."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 600, 40, generator=generator)
    weight = torch.randn(1, 3, 40, generator=generator).double()
    aim = _aim(2 * (x.double() @ weight.transpose(1, 2))[0].float())
    assert refit.best_ridge(refit.Moments(x), weight, aim, 10) == refit.RIDGES[0]


def test_images_that_have_nothing_in_common_are_not_learned() -> None:
    """Every image has results of its own: within an image any half of its places would tell the other, but images do
    not tell of each other."""
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(8, 50, 12, generator=generator)
    weight = torch.randn(1, 2, 12, generator=generator).double()
    mine = weight + 2 * torch.randn(8, 2, 12, generator=generator).double()
    z = (x.double() @ mine.transpose(1, 2)).flatten(0, 1).float()
    moments = refit.Moments(x.flatten(0, 1)[None])
    assert refit.best_ridge(moments, weight, _aim(z), 8) > refit.best_ridge(moments, weight, _aim(z), 400)


@pytest.mark.parametrize(("places", "images"), [(1, 1), (2, 1), (3, 2), (7, 7)])
def test_hardly_any_places(places: int, images: int) -> None:
    x = torch.arange(3.0 * places).reshape(1, places, 3)
    weight = torch.ones(1, 2, 3).double()
    moments, aim = refit.Moments(x), _aim(torch.ones(places, 2), (torch.zeros(2), torch.ones(2)))
    v, b = refit.refitted(moments, weight, aim, refit.best_ridge(moments, weight, aim, images))
    assert v.isfinite().all() and b.isfinite().all()


def test_the_refit_makes_up_for_what_inputs_lack() -> None:
    """Inputs that lack a fifth of what they should be: weights become larger by as much, and the hidden half of the
    results does not disturb."""
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(1, 4000, 6, generator=generator)
    weight = torch.randn(1, 4, 6, generator=generator).double()
    z = (x.double() @ weight.transpose(1, 2))[0].float()
    ends = torch.zeros(4), torch.full((4,), 9.0)
    v, _ = refit.refitted(refit.Moments(0.8 * x), weight, _aim(z, ends), 0.0)
    before, after = ((0.8 * x.double() @ w.transpose(1, 2))[0].relu() - z.relu() for w in (weight, v))
    assert after.square().sum() < 0.02 * before.square().sum()
    spoilt = torch.where(z < 0, z - 5 * torch.rand(z.shape, generator=generator), z)
    v, _ = refit.refitted(refit.Moments(x), weight, _aim(spoilt, ends), 0.0)
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
