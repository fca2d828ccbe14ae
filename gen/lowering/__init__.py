"""From a network to the elements of a design: layers, stages, and the streams between them."""
