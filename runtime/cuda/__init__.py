"""NVIDIA GPUs: one device implementation over a small protocol of what is asked of a driver.

`driver.py` is the protocol; `nvidia.py` implements it with NVIDIA's driver, `cuda_emulator/driver.py` with numpy.
"""
