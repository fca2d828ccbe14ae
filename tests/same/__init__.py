"""Whether a change of the sources changes nothing that comes out: ``make same``."""
