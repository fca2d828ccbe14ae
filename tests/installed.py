"""Build wheel and sdist, install the wheel as a user does, and use it: in empty environments, in another folder.

    python tests/installed.py            the Python that runs it, with all extras
    python tests/installed.py 3.12 3.13  these too, without PyTorch, where they are on this machine

A program, for ``make package``; the versions are those of constraints.txt.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "build" / "dist"
PINS = ROOT / "constraints.txt"
NEEDED = ["spikeloom/py.typed", "spikeloom/reports/page.html", "spikeloom/sim/simulators/harness.cpp",
          "spikeloom/sim/simulators/recording.h", "spikeloom/hdl/verilog/adds.v", "spikeloom/examples/digits.toml",
          "spikeloom/models/digits-t4w4.safetensors"]  # fmt: skip

WITHOUT_TORCH = """
import numpy as np
from spikeloom import load
network = load("ex/models/digits-t4w4.safetensors")
frames = np.random.default_rng(0).integers(0, network.input.high + 1, (5, *network.input.shape))
np.savez("frames.npz", frames=frames)
"""


def run(*command: object, folder: Path | None = None) -> str:
    """Run a command in ``folder``; its output. Ends the program, with what it said, where it fails."""
    bare = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")}
    done = subprocess.run([str(c) for c in command], cwd=folder, env=bare, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"error: {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def built() -> Path:
    """The wheel, made from the sdist, so that the sdist is whole."""
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--outdir", DIST, folder=ROOT)
    (wheel,) = DIST.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    if missing := [name for name in NEEDED if name not in names]:
        sys.exit(f"error: {wheel.name} lacks {', '.join(missing)}")
    return wheel


def interpreter(version: str) -> str | None:
    """The interpreter of a Python ``version``, on the path or of pyenv, or None."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    places = [f"python{version}", *map(str, sorted(root.glob(f"versions/{version}.*/bin/python")))]
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    for place in places:
        try:
            done = subprocess.run([place, "-c", ask], capture_output=True, text=True, check=False)
        except OSError:
            continue
        if done.stdout.strip() == version:
            return place
    return None


def check(python: str, wheel: Path, extras: str, *, torch: bool) -> None:
    """Install ``wheel`` into an empty environment and do there what the README says."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="installed ") as name:
        folder = Path(name)
        run(python, "-m", "venv", folder / "env")
        program, pip = folder / "env" / "bin" / "spikeloom", [folder / "env" / "bin" / "python", "-m", "pip"]
        (pinned,) = [line for line in PINS.read_text().splitlines() if line.startswith("torch==")]
        if torch:
            run(*pip, "install", "-q", "-c", PINS, pinned, folder=folder)
        run(*pip, "install", "-q", "-c", PINS, f"{wheel}[{extras}]", folder=folder)
        run(*pip, "check", folder=folder)
        version = run(program, "--version", folder=folder).strip()
        run(program, "examples", "ex", folder=folder)
        network = "ex/models/digits-t4w4.safetensors"
        run(program, "generate", network, "--fold", "ex/digits_fold.toml", "-o", "design", folder=folder)
        data = "digits"
        if not torch:
            data = "frames.npz"
            run(folder / "env" / "bin" / "python", "-c", WITHOUT_TORCH, folder=folder)
        found = json.loads(run(program, "verify", "design", "--data", data, "-n", 5, "--json", folder=folder))
        if not found["passed"] or found["model"] != ("PyTorch" if torch else "NumPy"):
            sys.exit(f"error: verify says {found}")
        run(folder / "env" / "bin" / "python", "-c", "import spikeloom.pytest_plugin" if torch else "", folder=folder)
        which = run(python, "--version").strip()
    print(f"{which}, [{extras}]: {version}, {found['transfers']:,} transfers equal in {found['cycles']:,} cycles by "  # noqa: T201
          f"{found['model']}; {time.perf_counter() - start:.0f} s")


def main() -> None:
    """Build, then check every Python that is asked for and there."""
    wheel = built()
    print(f"built {wheel.name} and its sdist")  # noqa: T201
    check(sys.executable, wheel, "all", torch=True)
    for version in sys.argv[1:]:
        python = interpreter(version)
        if python is None:
            print(f"Python {version}: not on this machine, not checked")  # noqa: T201
        else:
            check(python, wheel, "sim", torch=False)


if __name__ == "__main__":
    main()
