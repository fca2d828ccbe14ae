"""What is written of a design: Verilog, ``design.json``, names, and what integrators get."""
