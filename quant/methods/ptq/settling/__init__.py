"""How one stage gets its integers: clips, levels, weights fitted anew and rounded, steps and biases."""
