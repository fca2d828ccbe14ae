"""The network in plain NumPy gives what the golden model gives, and takes over where PyTorch is not installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import small
from golden_loops import naive, plain, spiking
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import networks

from spikeloom.quant import execute, golden, reference
from spikeloom.quant.analysis import activity
from spikeloom.quant.ir import netfile
from spikeloom.quant.ir.bases.synapse import product
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import MaxPool, NetworkError, Readout, SumPool

ROOT = Path(__file__).parents[2]


def equal(network: Network, frames: np.ndarray) -> None:
    counted = [node.name for node in network if not isinstance(node, Readout)]
    want = golden.run(network, frames, counts=counted)
    found = reference.run(network, frames, batch=2, counts=counted)
    assert list(found.outputs) == list(want.outputs)
    for name in found.outputs:
        np.testing.assert_array_equal(found[name], want[name], err_msg=name)
        assert found[name].dtype == want[name].dtype
    for name in counted:
        np.testing.assert_array_equal(found.counts[name], want.counts[name], err_msg=name)
    assert np.array_equal(found.logits, want.logits)
    if network.classifies:
        assert found.classes.tolist() == want.classes.tolist()


@settings(max_examples=60, deadline=None)
@given(networks(), st.integers(0, 99))
def test_random_networks(network: Network, seed: int) -> None:
    rng = np.random.default_rng(seed)
    equal(network, rng.integers(0, network.input.high + 1, (3, *network.input.shape)))


@pytest.mark.parametrize("rule", ["causal", "signed", "lossless"])
@pytest.mark.parametrize("strict", [False, True])
def test_the_equations_one_by_one(rule: str, strict: bool) -> None:
    network = spiking(3, rule, strict, 1, 1, SumPool if rule == "signed" else MaxPool)
    frame = np.random.default_rng(0).integers(0, network.input.high + 1, network.input.shape)
    found = reference.run(network, frame[None])
    for name, want in naive(network, frame).items():
        np.testing.assert_array_equal(found[name][0], want, err_msg=name)


@pytest.mark.parametrize("name", ["digits-t4w4", "cifar-resnet20-t4w4", "cifar-resnet20-fast-snn-t3w4",
                                  "mnist-integernet-w4a4"])  # fmt: skip
def test_committed_networks(name: str) -> None:
    network = netfile.load(ROOT / "models" / f"{name}.safetensors")
    frames = np.random.default_rng(0).integers(0, network.input.high + 1, (2, *network.input.shape))
    equal(network, frames)


def test_what_does_not_fit_is_refused_alike() -> None:
    network = plain(np.array([[3, -2]]), np.array([4]))
    with pytest.raises(NetworkError, match="nowhere: no such node"):
        reference.run(network, np.zeros((1, 2, 1, 1), int), keep=["nowhere"])
    with pytest.raises(ValueError, match="batch must be a positive integer, not 0"):
        reference.run(network, np.zeros((1, 2, 1, 1), int), batch=0)


def test_sums_beyond_the_digits_of_a_float_are_exact() -> None:
    rows, weight = np.array([[(1 << 50) + 1, 3]]), np.array([[8, 1], [-8, 1]])
    assert product(rows, weight).tolist() == [[(1 << 53) + 11, -(1 << 53) - 5]]


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # what an import of it then raises is what it raises where it is not installed
from spikeloom.cli import main
main()
"""


def test_evaluation_and_verification_need_no_pytorch(tmp_path: Path) -> None:
    network, images = tmp_path / "small.safetensors", small.frames(3)
    netfile.save(small.network(), network)
    np.savez(tmp_path / "frames.npz", frames=images, labels=np.zeros(3, int))
    golden_classes = golden.run(small.network(), images).classes.tolist()

    def run(*args: object) -> tuple[dict, str]:
        command = [sys.executable, "-c", WITHOUT_TORCH, *map(str, args), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), done.stderr

    run("generate", network, "--cycles", 2000, "-o", tmp_path / "design")
    found, said = run("verify", tmp_path / "design", "--data", tmp_path / "frames.npz", "-n", 3,
                      "--simulator", "amaranth")  # fmt: skip
    assert found["passed"] and found["model"] == "NumPy" and found["classes"] == golden_classes
    assert "PyTorch is not installed: plain NumPy computes" in said
    figures, _ = run("eval", network, "--data", tmp_path / "frames.npz")
    assert figures["operations"] == activity.measure(small.network(), images).operations
    assert execute.model() == "PyTorch", "here it is installed"
