"""A simulated board: a design with its serial port, and a pseudo-terminal to talk to it."""
