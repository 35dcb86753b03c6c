"""Speed on an NVIDIA GPU beside cuBLAS and torch.compile; see `__main__.py`."""
