"""The read-out."""
