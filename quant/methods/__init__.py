"""The published methods of conversion and training, one file each."""
