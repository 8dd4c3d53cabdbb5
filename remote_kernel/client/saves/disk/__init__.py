"""Folder of one owner's saves on this machine: its locks, and the objects in it."""
