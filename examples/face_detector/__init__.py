"""A face detector: its network, what a host does with its maps, and how well integers do it."""
