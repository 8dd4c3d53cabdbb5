"""Saving and restoring a notebook's variables, beside dill and kishu: `python -m benchmarks.state`, or `make state`."""
