"""The network as hardware, verified in every cycle on every boundary."""

from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_network(spikeloom_verify):
    """Twenty frames, back to back."""
    outcome = spikeloom_verify("net.safetensors", data="frames.npz", n=20, fold="fold.toml")
    labels = np.load(ROOT / "frames.npz")["labels"]
    assert (outcome.answers == labels[:20]).mean() > 0.9


def test_network_under_pauses(spikeloom_verify):
    """Source and sink pause in three cycles of ten."""
    spikeloom_verify("net.safetensors", data="frames.npz", n=20, fold="fold.toml", pauses=0.3)


@pytest.mark.skipif(not (ROOT / "design").is_dir(), reason="no generated design is committed")
def test_committed_design(spikeloom_verify):
    """The Verilog that is in the repository, as it is."""
    spikeloom_verify("design", data="frames.npz", n=20)
