"""Models of PyTorch, traced with torch.fx."""
