"""What cores are made of, and where memories go."""
