"""Network files: read, run on a frame and written again as they were, or refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small
from fuzzing import ODD_NUMBERS, Format, changed, few, many, mixed, nested
from golden_loops import Builder
from safetensors.numpy import save

from spikeloom.quant import golden
from spikeloom.quant.ir import netfile
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import (
    IF,
    NODE_TYPES,
    Add,
    Conv2d,
    Flatten,
    Gain,
    Linear,
    MapReadout,
    MaxPool,
    Readout,
    Requant,
    SumPool,
)
from spikeloom.quant.ir.ops.staircase import Staircase
from spikeloom.quant.ir.ops.upsample import Upsample

TYPES = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "?")


def quantised() -> Network:
    """A quantised network with pools."""
    b = Builder(2, shape=(2, 6, 6))
    b.add(Conv2d, weight=b.weights(4, 1, 3, 3), weight_bits=3, stride=1, padding=1, groups=2, pad=[3, 0])
    b.add(Requant, bias=b.weights(4), shift=b.weights(4), lo=-7, hi=7)
    b.add(SumPool, kernel=(2, 3), stride=(2, 1), padding=(0, 0, 1, 2)).add(MaxPool, kernel=(2, 6), stride=1)
    b.add(Conv2d, weight=b.weights(4, 4, 2, 1), weight_bits=3, padding=(1, 0), dilation=(2, 1))
    b.add(Staircase, threshold=np.sort(b.weights(4, 3)), low=-1).add(Flatten)
    return b.add(Linear, weight=b.weights(3, 16), weight_bits=3).add(Readout, bias=b.weights(3)).network(1)


def maps() -> Network:
    """A spiking network that gives a map."""
    b = Builder(3, shape=(1, 3, 3))
    b.add(Conv2d, weight=b.weights(2, 1, 2, 2), weight_bits=3).fire(2, rule="lossless")
    b.add(Upsample, factor=(2, 1)).add(Conv2d, weight=b.weights(3, 2, 1, 1), weight_bits=3)
    return b.add(MapReadout, bias=b.weights(3)).network(2)


def residual() -> Network:
    """A spiking network with a shortcut, two read-outs and membranes of single neurons."""
    b = Builder(1, shape=(2, 4, 4))
    b.add(Conv2d, weight=b.weights(3, 2, 3, 3), weight_bits=3, stride=1, padding=1).fire(3, rule="causal")
    b.add(Conv2d, weight=b.weights(3, 3, 1, 1), weight_bits=3)
    b.add(Gain, "IF2", gain=b.weights(3), stride=1, offset=0).add(Add, "Conv2d3", other="Gain4")
    b.fire(3, rule="signed", v0=b.rng.integers(0, 3, (3, 4, 4))).add(Flatten)
    b.add(Linear, weight=b.weights(3, 48), weight_bits=3).add(Readout, bias=b.weights(3))
    b.add(Linear, "Flatten7", weight=b.weights(2, 48), weight_bits=3).add(Readout, bias=b.weights(2))
    network = b.network(3)
    assert {type(n) for n in (*network, *quantised(), *maps())} == set(NODE_TYPES.values())
    return replace(network, meta={"recipe": 'steps = 3\nname = "é"', "accuracy": "0.5"})


NETWORKS = (small.network(), quantised(), residual(), maps())


def text_of(network: Network) -> dict[str, Any]:
    """What the header of the file of ``network`` says."""
    return {
        "format": 1,
        "steps": network.steps,
        "hash": network.hash,
        "meta": dict(network.meta),
        "nodes": [{"type": type(n).__name__, **n.settings()} for n in network],
    }


def with_hash(text: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """``text`` with the hash of what it says, where that is a network, so that a reader goes on to the end."""
    try:
        nodes = []
        for entry in text["nodes"]:
            mine = {k.rpartition("/")[2]: a for k, a in arrays.items() if k.rpartition("/")[0] == entry["name"]}
            nodes.append(NODE_TYPES[entry["type"]](**{k: v for k, v in entry.items() if k != "type"}, **mine))
        return text | {"hash": Network(tuple(nodes), text["steps"]).hash}
    except Exception:
        return text


def odd(rng: np.random.Generator, array: np.ndarray) -> np.ndarray:
    """``array`` in another type, with odd numbers in it, or in another shape."""
    if not array.size:
        return array
    array = array.astype(TYPES[int(rng.integers(len(TYPES)))])
    match int(rng.integers(4)):
        case 0 if array.dtype.kind in "iu":
            number = ODD_NUMBERS[int(rng.integers(len(ODD_NUMBERS)))]
            bounds = np.iinfo(array.dtype)
            array.flat[int(rng.integers(array.size))] = min(max(number, bounds.min), bounds.max)
        case 0:
            array.flat[0] = [np.nan, np.inf, 1e300, 0.5][int(rng.integers(4))] if array.dtype == "f8" else 1
        case 1:
            shapes = [(-1,), (1, *array.shape), (*array.shape, 1), array.shape[::-1]]
            array = array.reshape(shapes[int(rng.integers(4))])
        case 2:
            array = array[: int(rng.integers(len(array) + 1))]
    return np.ascontiguousarray(array)


def write(rng: np.random.Generator, folder: Path) -> Path:
    """A network file with odd fields, odd arrays, an odd header, changed bytes, a lost end, or much behind its end."""
    path, network = folder / "net.safetensors", NETWORKS[int(rng.integers(len(NETWORKS)))]
    text: Any = text_of(network)
    arrays = {f"{n.name}/{key}": array for n in network for key, array in n.arrays().items()}
    kind = int(rng.integers(10))
    if kind in (0, 1):
        text = mixed(rng, text)
    if kind == 2:
        for _ in range(int(rng.integers(1, 3))):
            key = list(arrays)[int(rng.integers(len(arrays)))]
            arrays[key] = odd(rng, arrays[key])
    if kind > 7:  # another network, more often than not
        for key, array in arrays.items():
            arrays[key] = array.astype(["i4", "i8"][int(rng.integers(2))])
            if key.endswith(("bias", "v0")):
                arrays[key] += rng.integers(-2, 3, array.shape) << int(rng.integers(0, 30))
        text["steps"] = int(rng.integers(1, 4))
    if kind > 7 or kind < 3 and rng.random() < 0.8:
        text = with_hash(text, arrays)
    written = json.dumps(text)
    if kind == 3:
        written = written.replace(json.dumps(network.steps), nested(rng, "[", "]"), 1)
    raw = save({key: array.copy() for key, array in arrays.items()}, {"spikeloom": written})
    size = int.from_bytes(raw[:8], "little")
    if kind == 4:
        header = json.dumps(mixed(rng, json.loads(raw[8 : 8 + size]))).encode()
        raw = len(header).to_bytes(8, "little") + header + raw[8 + size :]
    if kind == 5:
        raw = changed(rng, raw)
    if kind == 6:
        header = changed(rng, raw[8 : 8 + size])
        raw = len(header).to_bytes(8, "little") + header + raw[8 + size :]
    with path.open("wb") as file:
        file.write(raw)
        if kind == 7:
            file.truncate(int(rng.integers(len(raw))) if rng.integers(2) else int(10 ** rng.uniform(5, 11)))
    return path


def read(path: Path) -> None:
    """As ``eval`` does; what was read is written again, and read again."""
    network = netfile.load(path)
    frames = np.full((1, *network.input.shape), network.input.high)
    if frames.size < 1 << 16:
        assert np.isfinite(golden.run(network, frames).logits).all()
    netfile.save(network, copy := path.with_name("copy"))
    again = netfile.load(copy)
    assert again.nodes == network.nodes and again.hash == network.hash and again.meta == network.meta
    assert all(node.threshold.min() > 0 for node in again if isinstance(node, IF))


FORMATS = {"network file": Format(write, read)}


def test_a_few_inputs() -> None:
    tried = few(FORMATS["network file"], 120)
    assert sum(not each.error for each in tried) > 10, "some are read"


@pytest.mark.slow
def test_many_inputs() -> None:
    many(__file__, "network file")
