"""A compiled model must train as the model does, or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikeloom.quant.frontends.layers import UnsupportedLayer
from spikeloom.quant.frontends.torch_fx.graph import trace
from spikeloom.quant.methods.qcfs.algorithm import QCFS
from spikeloom.quant.training.compiled import agree, compiled


def small() -> nn.Module:
    torch.manual_seed(3)
    layers = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), QCFS(4, 1.0), nn.Flatten(), nn.Linear(64, 3)
    return nn.Sequential(*layers).train()


def loss(model: nn.Module) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    x, y = torch.rand(16, 1, 4, 4, generator=generator), torch.randint(0, 3, (16,), generator=generator)
    return F.cross_entropy(model(x + 0.01 * torch.rand(1)), y)


class Unwritten(torch.autograd.Function):
    """Hands back whatever is in memory, as the fault that was met did."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx, *grads: Tensor) -> Tensor:
        return torch.full_like(grads[0], 4.8e14)


def test_a_compiler_with_wrong_gradients_is_left_out(monkeypatch):
    model = small()
    monkeypatch.setattr(torch, "compile", lambda inner: nn.Sequential(inner, _Wrong()))
    with pytest.warns(RuntimeWarning, match="other gradients"):
        assert compiled(model, loss) is model


class _Wrong(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return Unwritten.apply(x)


@pytest.mark.slow
def test_the_trial_leaves_no_trace_and_both_train_alike(tmp_path):
    """In a process of its own, as a training is: in this one, after other tests, compiled code was seen to fail."""
    # No programs that try out what this processor can do, and no pool of processes that compile: half of the time.
    quick = {"TORCHINDUCTOR_VEC_ISA_OK": "1", "TORCHINDUCTOR_COMPILE_THREADS": "1"}
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path), **quick}
    program = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_compiled as t; t.trial()"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def trial() -> None:
    model, plain = small(), small()
    before, seed = {k: v.clone() for k, v in model.state_dict().items()}, torch.random.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shown = compiled(model, loss)
    assert torch.equal(torch.random.get_rng_state(), seed)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    for called in (shown, plain):
        torch.random.set_rng_state(seed)
        loss(called).backward()
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        assert ours.grad is not None and theirs.grad is not None
        assert torch.allclose(ours.grad, theirs.grad, rtol=1e-3, atol=1e-5)


def test_rows_that_agree():
    row = torch.tensor([1.0, -2.0, 3.0, 0.0])
    assert agree(row, row) and agree(row, row + 0.1) and agree(torch.zeros(3), torch.zeros(3))
    generator = torch.Generator().manual_seed(5)
    gradient, rounding, memory = torch.randn(3, 100_000, generator=generator)
    assert agree(gradient, gradient + 1.5 * rounding)  # a cosine of 0.55
    assert not agree(gradient, memory) and not agree(gradient, gradient + 10 * memory)
    for other in (-row, 5 * row, row + 4.8e14, row * torch.nan, row[:2], torch.zeros(4), row.flip(0)):
        assert not agree(row, other)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the import of torch.compile
def test_conversion_takes_the_model_that_was_compiled() -> None:
    with pytest.raises(UnsupportedLayer, match=r"^OptimizedModule: a wrapper is not .* model\._orig_mod"):
        trace(torch.compile(small()))
