"""A Jupyter kernel whose cells run in a remote session, one stable session for each notebook."""

__version__ = "0.1.0"

__all__ = ["__version__"]
