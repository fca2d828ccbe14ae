"""Memories and constants."""
