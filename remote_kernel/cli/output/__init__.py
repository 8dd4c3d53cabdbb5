"""Output of a run: progress, cells' outputs, the report."""
