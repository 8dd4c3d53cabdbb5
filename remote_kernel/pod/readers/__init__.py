"""Readers of what a pod's kernel says: who is there, when they look, and how they keep up."""
