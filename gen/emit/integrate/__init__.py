"""What an integrator gets beside the Verilog of a design: one file an artefact, all written by :func:`write`."""

from .axi_core import integrate_axi
from .constraints import check_clock
from .write import Vectors, integrate

__all__ = ["Vectors", "check_clock", "integrate", "integrate_axi"]
