"""The simulators: how each is built and run, and what it is given to simulate."""
