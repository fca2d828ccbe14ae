"""The window: a line buffer, the walk over it, what of it is skipped, and its cycle law."""
