"""Saves of a session's variables: the folder on this machine."""
