"""Yosys from PyPI, run in a process of its own: Verilog output, and cell counts of a synthesis."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["YosysError", "run", "version"]

_DRIVER = """
import sys
from pyosys import libyosys as ys
design = ys.Design()
for line in open(sys.argv[1]):
    ys.run_pass(line.strip(), design)
"""


class YosysError(RuntimeError):
    """Yosys is missing or failed; the message says what to install or shows the end of its output."""


def run(passes: list[str], folder: Path) -> None:
    """Run ``passes`` in ``folder``. A fresh process, so that names in the output never depend on what ran before."""
    if importlib.util.find_spec("pyosys") is None:
        raise YosysError("Yosys is not installed; run 'pip install pyosys'")
    with tempfile.NamedTemporaryFile("w", suffix=".ys", delete=False) as script:
        script.write("\n".join(passes))
    try:
        done = subprocess.run(
            [sys.executable, "-c", _DRIVER, script.name], cwd=folder, capture_output=True, text=True, check=False
        )
    finally:
        Path(script.name).unlink()
    if done.returncode:
        raise YosysError(f"Yosys failed:\n{(done.stdout + done.stderr)[-2000:]}")


def version() -> str:
    """Version of Yosys."""
    from importlib.metadata import version as of

    return of("pyosys")
