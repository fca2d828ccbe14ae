"""Files that come from people: what is read of them, how much, and how they are replaced. Nothing here needs torch."""
