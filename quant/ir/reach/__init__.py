"""What frames reach of a node: kinds of branches, how one is seen, and how a missed one is said in words."""
