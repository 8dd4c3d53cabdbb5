"""The pool in the background: detached, and found by the user's kernels."""
