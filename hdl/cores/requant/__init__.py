"""Shift-based batch norm and quantiser."""
