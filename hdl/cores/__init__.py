"""The cores of a stage: a folder each, with what it computes (``spec``) and its circuit (``core``)."""
