"""Pools of a window's words."""
