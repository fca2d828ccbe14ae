"""Training with integers in the loop."""
