"""Differences between Linux, macOS and Windows, behind functions that are the same on all three."""
