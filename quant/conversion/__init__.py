"""From real numbers to integers, and the way back."""
