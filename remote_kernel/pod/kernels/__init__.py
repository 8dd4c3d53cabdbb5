"""The pod's kernels: their interpreters, flow control, and journals on disk."""
