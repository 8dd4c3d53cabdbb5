"""Packages for a session: resolved and downloaded here, for the interpreter there, and sent to it."""
