"""Random command lines: each does its work, or ends with one line and a status; nothing escapes as a traceback."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import small
from fuzzing import Format, kept_folder, many
from typer.testing import CliRunner

from spikeloom import api
from spikeloom.cli import app

VALUES = ("0", "1", "-1", "2", "7", "1e9", "9" * 20, "nan", "inf", "", "x", "nope", "a b", "../x", "é", "1,2")

SOURCE = """
from torch import nn
net = nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3))
def more(width):
    return nn.Sequential(nn.Flatten(), nn.Linear(4, width), nn.Tanh(), nn.Linear(width, 3))
"""
"""A user's modules for the images of ``small.frames``."""


class Refused(Exception):
    """A command that ended with a status that is not 0."""


@cache
def places() -> dict[str, str]:
    """A small network, its design and files beside them, good and bad."""
    folder = kept_folder()
    network = small.network()
    api.save(network, folder / "net.safetensors")
    api.generate(network, folder / "design")
    np.savez(folder / "frames.npz", frames=small.frames(4), labels=np.arange(4) % 3)
    np.savez(folder / "wide.npz", frames=np.zeros((2, 1, 9, 9), int))
    (folder / "fold.toml").write_text("[hidden]\noutputs = 2\ninputs = 1\nsteps = 1\n")
    (folder / "odd.toml").write_text("[hidden.0]\noutputs = 2\n")
    (folder / "text").write_text("text")
    (folder / "net.py").write_text(SOURCE)
    (folder / "odd.py").write_text("import nowhere\n")
    found = {path.name: str(path) for path in folder.iterdir()} | {"folder": str(folder), "none": str(folder / "none")}
    return found | {name: f"{folder / name}" for name in ("net.py:net", "net.py:more", "net.py:nett", "odd.py:net")}


OPTIONS: dict[str, dict[str, tuple[str, ...] | None]] = {
    "generate": {
        "--fold": ("auto", "fold.toml", "odd.toml", "none"), "--cycles": ("100", "1", "5000"), "--axi": None,
        "--spikes": None, "--device": ("ecp5-25k", "ecp5-12k"), "--rates": ("frames.npz", "digits", "none"),
        "-n": ("2", "4", "9"), "--axi-bytes": ("1", "3", "64"), "--target": ("asic", "fpga"), "--json": None,
    },
    "eval": {
        "--data": ("frames.npz", "wide.npz", "digits", "none", "text", "folder"), "-n": ("1", "4", "5"), "--json": None,
    },
    "verify": {
        "--data": ("frames.npz", "wide.npz", "none"), "-n": ("1", "2", "9"), "--pauses": ("0", "0.5", "1.5"),
        "--seed": ("0", "3"), "--jobs": ("1",), "--ports-only": None, "--junit": ("folder", "none"), "--json": None,
    },
    # Without --clock: a limit of memory is one of nextpnr's process too.
    "synth": {"--device": ("xc8", "asic", "gates"), "--json": None},
    "build": {"--board": ("de10-nano", "arty-a7-35t", "papilio"), "--cycles": ("500", "1"), "--baud": ("115200", "1"),
              "--clock": ("40", "1e9")},
    "run": {"--simulate": ("none", "text"), "--port": ("none",), "--data": ("frames.npz", "none"), "-n": ("1",)},
    "convert": {
        "--weights": ("net.safetensors", "text", "none"), "--arg": ("width=4", "width=0", "x"), "--json": None,
        "--calibrate": ("frames.npz", "wide.npz", "folder", "none", "digits"), "--images": ("2", "9"), "-n": ("3",),
        "--test": ("frames.npz", "none"), "--method": ("spiking", "qcfs", "ptq"), "--bits": ("4", "9"),
        "--weight-bits": ("4", "1"), "--steps": ("4", "65"), "--rule": ("causal", "odd"), "--mean": ("0.5", "120"),
        "--std": ("0.2", "0"), "--pixel-range": ("0,255", "1,0"), "--input-shape": ("1,2,2", "4", "3,2"),
        "--input-bits": ("2", "8", "9"), "--resize": ("4", "4,4"), "--crop": ("4", "0"),
    },
    "report": {
        "--test": ("frames.npz", "wide.npz", "none", "text", "folder"), "-n": ("1", "3"), "--json": None,
        "--model": ("net.py:net", "net.py:nett", "odd.py:net", "net.safetensors"), "--weights": ("text", "none"),
        "--arg": ("width=4", "x"), "--mean": ("0.5", "120"), "--std": ("0.2", "0"), "--pixel-range": ("0,255", "1,0"),
    },
    "train": {"--data": ("digits", "none"), "--held-out": ("1", "5000"), "--restart": None},
    "explore": {"--device": ("ecp5-1k",), "--board": ("de10-nano", "papilio"), "--fps": ("x", "-1"), "--skip": None},
}  # fmt: skip


def write(rng: np.random.Generator, folder: Path) -> list[str]:
    """A command with a source, an output and some of its options, one of which may be odd."""

    def pick(values: tuple[str, ...]) -> str:
        found = values[int(rng.integers(len(values)))]
        return places().get(found, found)

    command = pick(tuple(OPTIONS))
    own = pick(("net.py:net", "net.py:net", "net.py:more", "net.py:nett", "odd.py:net"))
    source = {"train": "odd.toml", "convert": own} | dict.fromkeys(("verify", "synth", "build"), "design")
    good = source.get(command, "net.safetensors")
    words = [command] + ([] if command == "run" else [pick((good, good, good, "none", "text", "folder", "wide.npz"))])
    if command in ("generate", "build", "train", "explore", "convert", "report"):
        words += ["-o", str(folder / "out")]
    if command == "verify":
        words += ["--simulator", "amaranth"]
    if command in ("eval", "verify") and rng.integers(8):
        words += ["--data", places()["frames.npz"]]
    if command == "convert" and rng.integers(8):
        words += ["--calibrate", places()["frames.npz"], "--input-bits", "2", "--method", "spiking", "--steps", "4"]
    for option, values in OPTIONS[command].items():
        if rng.random() < (0.25 if command != "convert" else 0.06):
            words += [option] if values is None else [option, pick(values if rng.integers(3) else VALUES)]
    if command == "explore":  # without what makes it one, it would take long
        words += ["--objective", pick(VALUES)]
    return words


def read(words: list[str]) -> None:
    """Run it. Raises Refused where that is what it says in a line, and whatever escapes."""
    done = CliRunner().invoke(app, words)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    if done.exit_code == 1:
        lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1 and len(lines[0]) > 10, done.stderr
    if done.exit_code:
        assert "Traceback" not in done.stdout + done.stderr
        raise Refused(f"{done.exit_code} {' '.join(words)}: {done.stderr[-500:]}")


FORMATS = {"commands": Format(write, read, clear=lambda error: isinstance(error, Refused), seconds=30.0)}


@pytest.mark.slow
def test_random_command_lines() -> None:
    many(__file__, "commands", 200)
