"""Recipes, fold files and the layout of a repository; ``spikeloom examples DIR`` copies them."""
