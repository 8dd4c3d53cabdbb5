"""The pod's data folder, and uploads into it."""
