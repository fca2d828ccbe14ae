"""Trained networks. The one of the digits is part of the package; the others are in the repository."""
