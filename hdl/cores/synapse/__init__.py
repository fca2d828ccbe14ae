"""The synapse array: gated additions of weights."""
