"""Journal of what a pod's kernel has said, and what becomes of entries that it cannot keep."""
