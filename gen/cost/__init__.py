"""Area of a design before synthesis."""
