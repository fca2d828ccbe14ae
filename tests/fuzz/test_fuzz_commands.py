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
    return {path.name: str(path) for path in folder.iterdir()} | {"folder": str(folder), "none": str(folder / "none")}


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
    "train": {"--data": ("digits", "none"), "--held-out": ("1", "5000"), "--restart": None},
    "explore": {"--device": ("ecp5-1k",), "--board": ("de10-nano", "papilio"), "--fps": ("x", "-1"), "--skip": None},
}  # fmt: skip


def write(rng: np.random.Generator, folder: Path) -> list[str]:
    """A command with a source, an output and some of its options, one of which may be odd."""

    def pick(values: tuple[str, ...]) -> str:
        found = values[int(rng.integers(len(values)))]
        return places().get(found, found)

    command = pick(tuple(OPTIONS))
    source = {"train": "odd.toml"} | dict.fromkeys(("verify", "synth", "build"), "design")
    good = source.get(command, "net.safetensors")
    words = [command] + ([] if command == "run" else [pick((good, good, good, "none", "text", "folder", "wide.npz"))])
    if command in ("generate", "build", "train", "explore"):
        words += ["-o", str(folder / "out")]
    if command == "verify":
        words += ["--simulator", "amaranth"]
    if command in ("eval", "verify") and rng.integers(8):
        words += ["--data", places()["frames.npz"]]
    for option, values in OPTIONS[command].items():
        if rng.random() < 0.25:
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
