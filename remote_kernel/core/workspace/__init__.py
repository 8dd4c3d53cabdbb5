"""Workspaces: folders that are the same here and in a session. What travels, how much, and which way."""
