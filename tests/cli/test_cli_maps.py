"""Commands on a network of maps: what they say, what they write, what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import map_nets
import numpy as np
import pytest
from typer.testing import CliRunner

import spikeloom
from spikeloom.cli import app
from spikeloom.commands.network import write_outputs
from spikeloom.quant.ir.network import NetworkError


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A network file, and a file of frames."""
    network = map_nets.network(True)
    spikeloom.save(network, tmp_path / "net.safetensors")
    np.savez(tmp_path / "frames.npz", frames=map_nets.frames(network, 5).astype(np.uint8))
    return tmp_path / "net.safetensors", tmp_path / "frames.npz"


def run(*args: object) -> tuple[int, str]:
    found = CliRunner().invoke(app, [str(a) for a in args])
    return found.exit_code, found.output


def test_eval_writes_the_maps(files: tuple[Path, Path], tmp_path: Path) -> None:
    network, frames = files
    code, text = run("eval", network, "--data", frames, "-o", tmp_path / "out.npz", "--json")
    figures, found = json.loads(text), np.load(tmp_path / "out.npz")
    assert code == 0 and "accuracy" not in figures and list(figures["maps"]) == list(map_nets.HEADS)
    wanted = spikeloom.outputs(spikeloom.load(network), np.load(frames)["frames"])
    for name in map_nets.HEADS:
        assert np.array_equal(found[name], wanted[name])
        assert figures["maps"][name] == [wanted[name].min(), wanted[name].max()]
    code, text = run("eval", network, "--data", frames, "-o", tmp_path / "again.npz")
    assert code == 0 and "maps cls8 2x6x6" in text and text.rstrip().endswith(f"wrote {tmp_path / 'again.npz'}")


def test_what_is_read_is_not_written_over(files: tuple[Path, Path], tmp_path: Path) -> None:
    network, frames = files
    recipe, graph = tmp_path / "recipe.toml", tmp_path / "graph.nir"
    recipe.write_bytes((Path(__file__).resolve().parents[2] / "examples" / "digits.toml").read_bytes())
    graph.write_bytes(network.read_bytes())
    before = [path.read_bytes() for path in (*files, recipe, graph)]
    commands = ((("eval", network, "--data", frames), files), (("report", network, "--test", frames), files),
                (("convert", "map_nets.py:network", "--calibrate", frames), [frames]), (("train", recipe), [recipe]),
                (("run", "--simulate", network, "--data", frames, "--network", network), files),
                (("export", graph), [graph]))  # fmt: skip
    for command, read in commands:
        for path in read:
            found = CliRunner().invoke(app, [*map(str, command), "-o", str(path)])
            assert found.exit_code == 1 and f"{path}: is read by this command" in found.output, (command, found.output)
    assert before == [path.read_bytes() for path in (*files, recipe, graph)]


def test_report(files: tuple[Path, Path], tmp_path: Path) -> None:
    network, frames = files
    code, text = run("report", network, "-o", tmp_path / "r.html", "--test", frames, "--json")
    figures = json.loads(text)
    assert code == 0 and figures["classes"] == 0 and figures["maps"]["box16"] == [4, 3, 3]
    assert figures["accuracy"]["measured"] == {} and figures["confusion"] is None


def test_labels_are_refused() -> None:
    with pytest.raises(NetworkError, match="labels of classes, but the network gives maps cls8 2x6x6"):
        map_nets.network(True).check_labels(np.zeros(3, int))


def test_any_name_is_written(tmp_path: Path) -> None:
    given = {name: np.arange(k + 1, dtype=np.int32) for k, name in enumerate(("file", "allow_pickle", "x/y", "args"))}
    write_outputs(tmp_path / "out.npz", given)
    found = np.load(tmp_path / "out.npz")
    assert list(found) == list(given) and all(np.array_equal(found[name], given[name]) for name in given)
