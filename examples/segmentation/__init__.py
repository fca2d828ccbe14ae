"""A class for every pixel: digits and clothes on noise, by a small U-Net (``docs/segmentation.md``)."""
