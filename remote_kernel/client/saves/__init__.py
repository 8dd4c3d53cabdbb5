"""Saves of a session's variables: the folder on this machine, and how they get there and back."""
