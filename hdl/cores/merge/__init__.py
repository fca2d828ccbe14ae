"""The residual merge."""
