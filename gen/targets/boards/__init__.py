"""Boards: a table of what they carry, their pins, and the top level that connects a design to them."""
