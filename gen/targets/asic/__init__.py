"""Verilog and area for ASICs."""
