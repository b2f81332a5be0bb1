"""Every speed figure beside its baseline: `python -m benchmarks [--only NAME]`.

Belongs here: one module per thing measured, each with `NAMES` and `run(only)`, and what they share. Does not
belong here: anything that a program of this project needs at run time.
"""
