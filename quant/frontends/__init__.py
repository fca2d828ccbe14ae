"""From what people bring to a plain graph of layers."""
