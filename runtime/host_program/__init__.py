"""What surrounds the work of devices: arithmetic on sizes, control flow, transfers, as a tiny register machine.

`instructions` are its records, which the compiler emits and the artifact holds; `verification` proves that a program
cannot go wrong in ways that the interpreter does not check; `interpreter` runs it.
"""
