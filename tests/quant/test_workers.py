"""Two processes of torchrun train one model: the same weights in both, the gradient of the whole batch, one writer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import two_workers

from spikeloom.quant.recipe import IntegerNetRecipe, RecipeError
from spikeloom.quant.training.train import train
from spikeloom.quant.training.workers import Workers, joined

SCRIPT = Path(__file__).parent / "two_workers.py"


@pytest.mark.slow
def test_two_processes_train_one_model(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    one.mkdir()
    two.mkdir()
    two_workers.main(one)
    path = os.pathsep.join([str(SCRIPT.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, *torchrun, str(SCRIPT), str(two)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False,
                          env=os.environ | {"PYTHONPATH": path})  # fmt: skip
    assert not done.returncode, done.stderr
    alone, first, second = (torch.load(f, weights_only=True) for f in (one / "alone.pt", two / "0.pt", two / "1.pt"))
    assert torch.equal(first["gradient"], second["gradient"])
    assert torch.allclose(first["gradient"], alone["gradient"], atol=1e-6), "the gradient of the whole batch"
    for method in ("qcfs", "integernet"):
        whole, a, b = (found[method] for found in (alone, first, second))
        assert a["hash"] == b["hash"] != whole["hash"] and a["accuracy"] == b["accuracy"]
        assert all(torch.equal(v, b["model"][k]) for k, v in a["model"].items())
        assert a["calls"] >= 3 and not b["calls"], "the first process reports"
        for step, share in whole["accuracy"].items():
            assert min(share, a["accuracy"][step]) > 0.9, step
    assert sorted(path.name for path in two.iterdir()) == ["0.pt", "1.pt", "integernet.checkpoint", "qcfs.checkpoint"]


def test_shares_are_the_whole_batch() -> None:
    x = torch.arange(10)
    shares = [Workers(rank, 2).share(x).tolist() for rank in range(2)]
    assert sorted(shares[0] + shares[1]) == x.tolist() and len(shares[0]) == 5 and Workers().share(x) is x


def test_what_cannot_be_shared_is_refused() -> None:
    if not torch.cuda.is_available():
        with pytest.raises(RecipeError, match="device must be 'cpu' or 'auto': this PyTorch finds no CUDA device"):
            train(IntegerNetRecipe(data="digits", model="mlp", bits=4, epochs=1), device="cuda")
    with joined("auto") as workers:
        assert (workers.rank, workers.size) == (0, 1)
