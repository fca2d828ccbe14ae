"""Amaranth cores. Each one comes with a spec: validated parameters, derived widths, a numpy model, its latency."""
