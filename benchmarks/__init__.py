"""Measurements on standing workloads: area, cycles, accuracy, speed of generation and simulation."""
