"""Side by side with what people use instead: `python -m benchmarks`, or `make bench`."""
