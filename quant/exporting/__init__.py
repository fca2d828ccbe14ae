"""Integer networks in the formats of other tools."""
