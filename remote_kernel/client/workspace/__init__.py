"""Workspaces: a folder that is the same here and in a session, up before a cell and down after it."""
