"""Interpreters: processes of Jupyter kernels, from their start to their end."""
