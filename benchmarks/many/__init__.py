"""Many notebooks at once on one local pool: `python -m benchmarks.many`, or `make many`."""
