"""Saves of a session's variables, as they lie on the user's machine: shape and bounds, owners, names, retention."""
