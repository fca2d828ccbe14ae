"""Initial membranes of single neurons."""
