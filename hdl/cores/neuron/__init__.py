"""The neuron array: integrate and fire."""
