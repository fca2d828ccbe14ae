"""Folds: their file, what each costs, and the searches for the best of them."""
