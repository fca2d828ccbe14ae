"""Cells of a device beside the plain form of a module written by hand: both get the same random words in Icarus."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pyosys
import pytest

from spikeloom.sim.simulators.netlist import OWN_MODELS

__all__ = ["bench", "differing", "models", "needs_icarus"]

needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="no iverilog on this machine")
"""Mark of tests that simulate cells."""

MODELS = {"ice40": ("ice40", ["SB_MAC16"]), "xc7": ("xilinx", ["DSP48E1"])}
"""Where Yosys has models of a device's cells, and which of them are taken."""


def models(device: str) -> str:
    """The Verilog of the models of a device's cells."""
    if device in OWN_MODELS:
        return OWN_MODELS[device].read_text()
    folder, names = MODELS[device]
    text = (Path(pyosys.__file__).parent / "share" / folder / "cells_sim.v").read_text()
    found = [re.search(rf"^module {name} .*?^endmodule\n", text, re.DOTALL | re.MULTILINE) for name in names]
    return "".join(match[0] for match in found if match)


def _form_of(device: str, text: str) -> str:
    """The form of ``device`` alone of the module in ``text``, called ``cells``; its macro is not defined."""
    text = re.sub(r"spikeloom_\w+", "cells", text)
    macro = f"SPIKELOOM_{device.upper()}"
    assert text.count(f"def {macro}") + text.count(f"`elsif {macro}") == 1
    return f"`define {macro}\n{text}\n`undef {macro}\n"


def differing(folder: Path, device: str, source: Path, text: str, module: str) -> tuple[int, int]:
    """Cycles in which the cells of ``device``, of the form in ``text``, do not give what the plain form in ``source``
    gives, and cycles with a word that is not zero, by a module of :func:`bench`."""
    (folder / "cells.v").write_text(_form_of(device, text))
    (folder / "models.v").write_text(models(device))
    (folder / "bench.v").write_text(module)
    files = [folder / name for name in ("bench.v", "models.v", "cells.v")]
    command = ["iverilog", "-g2005-sv", "-s", "bench", "-o", folder / "a.vvp", *files, source]
    subprocess.run(command, check=True)
    done = subprocess.run(["vvp", "-n", folder / "a.vvp"], capture_output=True, text=True, check=True)
    found = re.search(r"(\d+) wrong, (\d+)", done.stdout)
    assert found, done.stdout
    return int(found[1]), int(found[2])


def bench(plain: str, declared: str, parameters: str, ports: str, step: str, late: int) -> str:
    """A module ``bench`` of ``plain``, the name of a module, and its ``cells``: ``declared`` registers and the wires
    ``ours`` and ``plain``; ``parameters`` and ``ports`` of both but for the last one, which gives the word; in each of
    4,000 cycles ``step``. Both forms are compared behind cycle ``late``. ``k`` counts cycles, ``seed`` is that of
    ``$random``."""
    forms = {"ours": "cells", "plain": plain}
    cells = [f"{module} #({parameters}) of_{wire} ({ports}, {wire});" for wire, module in forms.items()]
    return f"""
module bench;
  reg clk = 0;
  {declared}
  {" ".join(cells)}
  integer k, seed = 1, wrong = 0, words = 0;
  initial begin
    for (k = 0; k < 4000; k = k + 1) begin
      {step}
      #1 clk = 1;
      #1 clk = 0;
      if (k > {late} && ours !== plain) wrong = wrong + 1;
      if (k > {late} && plain != 0) words = words + 1;
    end
    $display("%0d wrong, %0d", wrong, words);
    $finish;
  end
endmodule
"""
