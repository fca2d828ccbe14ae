"""Words, their plumbing, the cycle law that moves them, and stages made of cores."""
