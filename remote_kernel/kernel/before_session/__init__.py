"""Requests that come before there is a session: the table of what becomes of each, and the answers."""
