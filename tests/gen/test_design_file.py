"""``design.json`` is read in one place, which says which key is wrong and what it must be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import small

from spikeloom.gen.emit import writer as emit
from spikeloom.gen.errors import PlanError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("design")
    emit.write(small.design(), path)
    return path


def change(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of ``value`` with ``new`` at ``path``; without what is there, where ``new`` is ...."""
    value = json.loads(json.dumps(value))
    *way, last = path
    holder = value
    for key in way:
        holder = holder[key]
    if new is ...:
        del holder[last]
    else:
        holder[last] = new
    return value


@pytest.mark.parametrize(
    ("path", "new", "message"),
    [
        (("network",), ..., r"design\.json: key 'network' is missing"),
        (("network", "hash"), 7, r"network\.hash must be a string, not 7"),
        (("top",), "a b", r"top must be a Verilog identifier, not 'a b'"),
        (("folds",), [], r"folds must be a table, not \[\]"),
        (("folds", "last"), 3, r"folds\.last must be a table, not 3"),
        (("folds", "last", "outputs"), True, r"last: outputs must be an integer of 1 or more, not True"),
        (("boundaries",), [], r"boundaries must not be empty"),
        (("boundaries",), {}, r"boundaries must be a list, not \{\}"),
        (("boundaries", 1, "width"), "4", r"boundaries\[1\]\.width must be an integer of 1 or more, not '4'"),
        (("boundaries", 1, "signal"), "b0_", r"signals of boundaries must differ .*, 'b0_' is there twice"),
        (("outputs", "o"), "lost", r"outputs\.o must be a boundary, not 'lost' \(is 'last' meant\?\)"),
        (("predicted", "interval_cycles"), 0.5, r"predicted\.interval_cycles must be an integer of 1 or more"),
        (("predicted", "stages", "last", "utilisation"), "1", r"stages\.last\.utilisation must be a finite number"),
        (("predicted", "stages", "last"), ..., r"predicted\.stages lacks stage 'last'; the stages are hidden, last"),
        (("predicted", "stages", "more"), {}, r"predicted\.stages\.more: key 'cycles' is missing"),
        (("counts",), 1, r"counts must be true or false, not 1"),
        (("target",), "asic", r"key 'memories' is missing, which a design for an ASIC has"),
        (("target",), ["fpga"], r"target must be 'fpga' or 'asic', not \['fpga'\]"),
        (("verilog",), "../x.v", r"verilog must be the name of a file beside it, not '\.\./x\.v'"),
        (("verilog_sha256",), None, r"verilog_sha256 must be a string, not None"),
        (("format",), "1", r"format '1', this program reads format 1"),
    ],
)
def test_a_wrong_key_is_named(folder: Path, path: tuple[Any, ...], new: Any, message: str) -> None:
    contents = json.loads((folder / "design.json").read_text())
    copy = folder.with_name("copy")
    copy.mkdir(exist_ok=True)
    (copy / "network.safetensors").write_bytes((folder / "network.safetensors").read_bytes())
    (copy / "design.json").write_text(json.dumps(contents))
    emit.read(copy)
    (copy / "design.json").write_text(json.dumps(change(contents, path, new)))
    with pytest.raises(PlanError, match=message):
        emit.read(copy)


def test_a_design_that_does_not_list_its_output_has_one(folder: Path, tmp_path: Path) -> None:
    contents = json.loads((folder / "design.json").read_text())
    (tmp_path / "network.safetensors").write_bytes((folder / "network.safetensors").read_bytes())
    (tmp_path / "design.json").write_text(json.dumps(change(contents, ("outputs",), ...)))
    assert emit.read(tmp_path)[1]["outputs"] == contents["outputs"] == {"o": "last"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000 + "]" * 100_000, r"design\.json: its values are too deep in each other"),
        ('{"format": 1, "x": ' + "[" * 200 + "]" * 200 + "}", r"values are more than 100 deep in each other"),
        ('{"format": 1, "format": 1}', r"key 'format' is there twice"),
        ('{"format": NaN}', r"NaN is no number"),
        ('{"format": ' + "1" * 5_000 + "}", r"Exceeds the limit"),
        ('{"format": "\\ud800"}', r"is no text, for half of a letter is missing"),
        ("[1]", r"must be a table, not \[1\]"),
        ("\xff", r"not a generated design"),
    ],
)
def test_a_file_that_is_no_design(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "design.json").write_text(text, encoding="latin-1")
    with pytest.raises(PlanError, match=message):
        emit.read(tmp_path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"nope: no such folder; make a design with 'spikeloom generate'"):
        emit.read(tmp_path / "nope")
    (tmp_path / "file").touch()
    with pytest.raises(PlanError, match=r"file: is a file, but a design is a folder"):
        emit.read(tmp_path / "file")
