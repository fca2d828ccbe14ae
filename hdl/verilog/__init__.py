"""Verilog written by hand, and how it gets into a design."""
