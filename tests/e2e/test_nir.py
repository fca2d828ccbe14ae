"""Networks from files of NIR in gates, and a spiking output layer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nir", reason="the extra 'nir' is not installed")

from nir_graphs import causal

from benchmarks.nir import events
from spikeloom import api
from spikeloom.quant import golden
from spikeloom.quant.data import Dataset


def frames(shape: tuple[int, ...], high: int, count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, high + 1, (count, *shape))


def test_a_spiking_output_layer_in_gates(tmp_path: Path) -> None:
    """Its logits are the numbers of spikes, in every word and cycle."""
    network = causal(1, v0=9, counts=True)
    api.export(network, tmp_path / "net.nir", force=True)
    back = api.convert(tmp_path / "net.nir")
    images = frames(back.input.shape, 15, 1)
    found = golden.run(back, images)
    assert np.array_equal(found.logits, found["d"].sum(1).reshape(found.logits.shape)) and found.logits.any()
    api.generate(back, tmp_path / "design", cycles=600)
    assert api.verify(tmp_path / "design", images, simulator="amaranth", pauses=0.2, seed=1).passed


@pytest.mark.slow
def test_the_given_network_of_sinabs(tmp_path: Path, data_dir: Path, real: Callable[[str], Dataset]) -> None:
    """It comes in, all words of all cycles are equal, and what goes out comes back equal."""
    mnist = real("mnist")
    path = data_dir / "weights" / "sinabs-scnn_mnist.nir"
    if not path.is_file():
        pytest.skip("no sinabs-scnn_mnist.nir in the folder that SPIKELOOM_DATA names")
    said = list[str]()
    network = api.convert(path, steps=16, pixel_range=(0.0, 0.5), notice=said.append)
    assert len(said) == 1 and said[0].startswith("1, 3, 6, 10, 12: the file does not say how IF resets")
    images = events(mnist.test_x[:3], mnist.high)
    assert golden.run(network, images).logits.argmax(1).tolist() == mnist.test_y[:3].tolist()
    api.generate(network, tmp_path / "design", cycles=100_000)
    assert api.verify(tmp_path / "design", images, pauses=0.2).passed
    api.export(network, tmp_path / "back.nir")
    assert api.convert(tmp_path / "back.nir").hash == network.hash
