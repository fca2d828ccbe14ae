"""A word of currents, handed out in parts."""
