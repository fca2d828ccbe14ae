"""PyTorch networks, their training and conversion, and the integer network that hardware is made from.

The modules ``nodes``, ``network``, ``netfile``, ``files`` and ``workloads`` need numpy only; the others need torch and
are imported one by one, so that generating hardware never loads torch.
"""
