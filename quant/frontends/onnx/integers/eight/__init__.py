"""Files of 8 bits: their tensors, their operators, and sums of any two scales."""
