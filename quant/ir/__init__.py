"""The integer network: its nodes, its file, its bounds. Nothing here needs torch."""
