"""Pickling of a notebook's objects: by cloudpickle, else by dill, with what both would change in silence refused."""
