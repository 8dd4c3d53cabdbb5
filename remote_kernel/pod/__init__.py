"""The pod agent: real Jupyter kernels behind wire version 2."""
