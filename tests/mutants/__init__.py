"""Mutants: small wrong versions of the sources and of emitted Verilog, to see that a test finds each of them."""
