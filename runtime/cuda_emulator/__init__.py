"""Executes PTX on the CPU with numpy, every thread a lane: what generated kernels do, checked, without a GPU.

`parser` reads the text, `program` turns a kernel's instructions into functions on all lanes at once, `launch` runs them
over a grid with divergence and barriers, `memory` is the device's, in which every access is checked. It follows the
PTX ISA 8.5 (NVIDIA) and knows the instructions that our code generation emits; others are refused by name.
"""
