"""Network files that are no good: refused by name, from the header alone, whatever is wrong and however large it is."""

from __future__ import annotations

import json
import math
import os
import resource
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small import network

from spikeloom.quant.ir import netfile
from spikeloom.quant.ir.ops import NetworkError

GIB = 1 << 30


def parts(path: Path) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """The header of a good file, what its text says, and the data."""
    netfile.save(network(), path)
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    return header, json.loads(header["__metadata__"]["spikeloom"]), raw[8 + size :]


def write(path: Path, header: dict[str, Any] | str, data: bytes, length: int | None = None) -> Path:
    """A file of this header and data, of ``length`` bytes of data where that is more, which take no room."""
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + data)
        file.truncate(8 + len(text) + max(len(data), length or 0))
    return path


def test_what_these_tests_write_is_read(tmp_path: Path) -> None:
    header, _, data = parts(path := tmp_path / "n.safetensors")
    assert netfile.load(write(path, header, data)).nodes == network().nodes


LAST = "last/weight"

CHANGES: dict[str, tuple[Callable[[dict[str, Any], dict[str, Any]], object], str]] = {
    "foreign": (lambda h, e: h.update({"gone/weight": h.pop(LAST)}), "array 'gone/weight' belongs to no node"),
    "foreign field": (lambda h, e: h.update({"last/scale": h.pop(LAST)}), "array 'last/scale' belongs to no node"),
    "missing": (lambda h, e: e["nodes"].append({"type": "Readout", "name": "more", "source": "last"}),
                "array 'more/bias' is missing"),
    "floats": (lambda h, e: h["last/weight"].update(dtype="F8_E4M3"), "last: weight must be integers .*, not F8_E4M3"),
    "flags": (lambda h, e: h["last/weight"].update(dtype="BOOL"), "last: weight must be integers .*, not BOOL"),
    "fewer axes": (lambda h, e: h["last/weight"].update(shape=[12]), r"last: weight has shape \(12,\), but behind if1"),
    "no axis": (lambda h, e: h["if1/v0"].update(shape=[], data_offsets=[0, 1]), "not a readable network file"),
    "turned": (lambda h, e: h["last/weight"].update(shape=[4, 3]),
               r"last: weight has shape \(4, 3\), but behind if1, which gives 4x1x1, it must be \(out, 4\)"),
    "overlap": (lambda h, e: h["last/weight"].update(data_offsets=[0, 12]), "not a readable network file"),
    "outside": (lambda h, e: h["last/weight"].update(data_offsets=[1 << 40, (1 << 40) + 12]), "not a readable network"),
    "backwards": (lambda h, e: h["last/weight"].update(data_offsets=[12, 0]), "not a readable network file"),
    "negative": (lambda h, e: h["last/weight"].update(shape=[-3, -4]), "not a readable network file"),
    "immense": (lambda h, e: h["last/weight"].update(shape=[1 << 63, 1 << 63]), "not a readable network file"),
    "wrong size": (lambda h, e: h["last/weight"].update(dtype="I16"), "not a readable network file"),
    "no metadata": (lambda h, e: h.pop("__metadata__"), "a safetensors file, but not a network of Spikeloom"),
    "format": (lambda h, e: e.update(format=1.0), "header: format must be an integer, not 1.0"),
    "true format": (lambda h, e: e.update(format=True), "header: format must be an integer, not True"),
    "true steps": (lambda h, e: e.update(steps=True), "header: steps must be an integer, not True"),
    "float steps": (lambda h, e: e.update(steps=2.0), "header: steps must be an integer, not 2.0"),
    "text steps": (lambda h, e: e.update(steps="2"), "header: steps must be an integer, not '2'"),
    "unknown key": (lambda h, e: e.update(stesp=2), r"header: key 'stesp' is unknown \(is 'steps' meant\?\)"),
    "no nodes": (lambda h, e: e.update(nodes={}), "header: nodes must be a list, not {}"),
    "no table": (lambda h, e: e["nodes"].insert(1, ["IF"]), r"header: nodes\[1\] must be a table, not \['IF'\]"),
    "meta": (lambda h, e: e.update(meta={"a": 1}), "header: meta.a must be a string, not 1"),
    "no name": (lambda h, e: e["nodes"][2].pop("name"), "node 2: key 'name' is missing"),
    "odd name": (lambda h, e: e["nodes"][2].update(name="a\nb"), "node 2: name must be printable text"),
    "no type": (lambda h, e: e["nodes"][2].pop("type"), "node 2: key 'type' is missing"),
    "type": (lambda h, e: e["nodes"][2].update(type=["Linear"]), "node 2: type must be a string, not"),
    "field": (lambda h, e: e["nodes"][2].update(stride=1), "hidden: key 'stride' is unknown"),
    "array as field": (lambda h, e: e["nodes"][2].update(weight=[[1]]), "hidden: key 'weight' is unknown"),
    "missing field": (lambda h, e: e["nodes"][2].pop("weight_bits"), "hidden: key 'weight_bits' is missing"),
    "text field": (lambda h, e: e["nodes"][2].update(weight_bits="3"), "hidden: weight_bits must be an integer, not "),
    "float field": (lambda h, e: e["nodes"][2].update(weight_bits=3.0), "hidden: weight_bits must be an integer, not "),
    "strict": (lambda h, e: e["nodes"][3].update(strict=1), "if1: strict must be true or false, not 1"),
    "rule": (lambda h, e: e["nodes"][3].update(rule="leaky"), "if1: rule must be 'causal', 'lossless' or 'signed'"),
    "shape": (lambda h, e: e["nodes"][0].update(shape=[1, True, 2]), r"input: shape\[1\] must be an integer, not True"),
    "two sizes": (lambda h, e: e["nodes"][0].update(shape=[1, 2]), "input: shape must be a list of 3"),
    "source": (lambda h, e: e["nodes"][2].update(source="if1"), "hidden: its source is 'if1', which is not among"),
    "no source": (lambda h, e: e["nodes"][2].pop("source"), "hidden: Linear takes one source, not 0"),
    "twice": (lambda h, e: e["nodes"].insert(1, e["nodes"][0]), "input: names must be unique"),
    "hash": (lambda h, e: e.update(hash="0" * 64), "the hash in the header does not fit the contents"),
    "large": (lambda h, e: e["nodes"][0].update(shape=[1, 1 << 30, 1 << 30]), "input: has 1,152,921,504,606,846,976 p"),
    "bits": (lambda h, e: e["nodes"][2].update(weight_bits=1 << 64), "hidden: weight_bits must be an integer, not 184"),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGES)
def test_a_changed_header_is_refused_by_name(case: str, tmp_path: Path) -> None:
    header, entries, data = parts(path := tmp_path / "n.safetensors")
    change, message = CHANGES[case]
    change(header, entries)
    if "__metadata__" in header:
        header["__metadata__"]["spikeloom"] = json.dumps(entries)
    with pytest.raises(NetworkError, match=rf"n\.safetensors: {message}"):
        netfile.load(write(path, header, data))


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:-1] + ',"last/weight":{"dtype":"I8","shape":[3,4],"data_offsets":[0,12]}}', "there twice"),
        (lambda text: text.replace(r"\"steps\"", r"\"format\": 1, \"steps\""), "key 'format' is there twice"),
        (lambda text: text.replace(r"\"steps\": 2", r"\"steps\": NaN"), "NaN is no number"),
        (lambda text: text.replace(r"\"steps\": 2", r"\"steps\": " + DEEP), "too deep in each other"),
        (lambda text: text[:-1] + f',"x":{DEEP}}}', "too deep in each other"),
        (lambda text: DEEP, "too deep in each other"),
        (lambda text: text.replace(r"\"steps\": 2", r"\"steps\": " + "9" * 5000), "damaged network file"),
        (lambda text: "{}", "not a readable network file"),
        (lambda text: "[]", "not a readable network file"),
        (lambda text: text[:-1], "not a readable network file"),
        (lambda text: text.replace('"I8"', '"I9"'), "not a readable network file"),
        (lambda text: text + " " * netfile.LARGEST_HEADER, r"its header has 8,\d+,\d+ bytes, supported: 8,388,608"),
    ],
)
def test_a_changed_text_of_the_header_is_refused(change: Callable[[str], str], message: str, tmp_path: Path) -> None:
    header, _, data = parts(path := tmp_path / "n.safetensors")
    with pytest.raises(NetworkError, match=rf"n\.safetensors: .*{message}"):
        netfile.load(write(path, change(json.dumps(header, separators=(",", ":"))), data))


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match=r"a folder; name a network file"):
        netfile.load(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NetworkError, match=r"pipe: not a file; name a network file"):
        netfile.load(tmp_path / "pipe")
    for data in (b"", b"\0" * 8, b"\xff" * 100, b"\2\0\0\0\0\0\0\0{", b"\2\0\0\0\0\0\0\0\xff\xff", b"PK\3\4" * 99):
        (tmp_path / "n").write_bytes(data)
        with pytest.raises(NetworkError, match=r"n: not a readable network file"):
            netfile.load(tmp_path / "n")
    with pytest.raises(NetworkError, match=r"no such file"):
        netfile.load(tmp_path / "gone")
    with pytest.raises(NetworkError, match=r"not a readable network file"):
        netfile.load(tmp_path / "n" / "below")
    with pytest.raises(NetworkError, match=r"not a readable network file"):
        netfile.load("\0")


def sparse(path: Path, name: str, kind: str, shape: list[int], size: int) -> Path:
    """A network file with an array of ``size`` bytes that takes no room, in the place of another or beside them."""
    header, _, data = parts(path)
    header.pop(name, None)
    others = sorted((h["data_offsets"], key) for key, h in header.items() if "data_offsets" in h)
    packed, start = b"", 0
    for (first, last), key in others:
        packed += data[first:last]
        header[key]["data_offsets"] = [start, start := start + last - first]
    header[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, start + size]}
    return write(path, header, packed, start + size)


@pytest.mark.parametrize(
    ("name", "kind", "shape", "message"),
    [
        ("gone/weight", "I8", [2, GIB], "array 'gone/weight' belongs to no node"),
        ("last/weight", "I8", [2, GIB], r"last: weight has shape \(2, 1073741824\), but behind if1"),
        ("last/weight", "I8", [GIB // 2, 4], "last: the arrays have more than 268,435,456 numbers up to here"),
        ("if1/v0", "I16", [1, 1 << 15, 1 << 15], r"if1: v0 has shape \(1, 32768, 32768\), but behind hidden"),
        ("out/bias", "I64", [1 << 28], r"out: bias has shape \(268435456,\), but behind last"),
        ("last/weight", "I8", [10, GIB], r"has 10,737,\d+,\d+ bytes, more than any network file \(2,155,872,264\)"),
    ],
)
def test_gibibytes_are_refused_by_the_header(name: str, kind: str, shape: list[int], message: str, tmp_path: Path):
    size = math.prod(shape) * int(kind[1:]) // 8
    path = sparse(tmp_path / "n.safetensors", name, kind, shape, size)
    assert path.stat().st_size > size >= 2 * GIB
    start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(NetworkError, match=rf"n\.safetensors: {message}"):
        netfile.load(path)
    assert time.process_time() - start < 2  # milliseconds, of this process alone
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, "kibibytes; nothing is read"


def test_twenty_thousand_nodes_take_seconds_only(tmp_path: Path) -> None:
    header, entries, data = parts(path := tmp_path / "n.safetensors")
    flats = [{"type": "Flatten", "name": f"f{k}", "source": f"f{k - 1}" if k else "flat"} for k in range(20_000)]
    entries["nodes"][2]["source"] = "f19999"
    entries["nodes"][2:2] = flats
    header["__metadata__"]["spikeloom"] = json.dumps(entries)
    start = time.process_time()
    with pytest.raises(NetworkError, match="the hash in the header does not fit"):
        netfile.load(write(path, header, data))
    assert time.process_time() - start < 5


def test_a_network_whose_text_is_too_long_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "n.safetensors"
    with pytest.raises(NetworkError, match=r"nodes and meta take 2,\d+,\d+ bytes, too many for a header"):
        netfile.save(replace(network(), meta={"recipe": '"' * (1 << 20)}), path)
    assert not list(tmp_path.iterdir())
    long = replace(network(), meta={"recipe": '"é\n' * 100_000})
    netfile.save(long, path)
    assert netfile.load(path).meta == long.meta
    with pytest.raises(NetworkError, match="meta must be a dict of texts"):
        replace(network(), meta={"recipe": "\ud800"})


def test_fields_at_their_default_may_be_left_out(tmp_path: Path) -> None:
    header, entries, data = parts(path := tmp_path / "n.safetensors")
    del entries["nodes"][3]["strict"], entries["nodes"][3]["rule"]
    header["__metadata__"]["spikeloom"] = json.dumps(entries)
    assert netfile.load(write(path, header, data)).nodes == network().nodes
