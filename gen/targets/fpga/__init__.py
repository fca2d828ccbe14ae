"""Synthesis, place and route, clocks and bitstreams of FPGAs."""
