"""What several kinds of nodes have in common."""
