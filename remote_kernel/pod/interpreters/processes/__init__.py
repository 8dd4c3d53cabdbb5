"""Processes of interpreters: where they come from, how they are held, and who ends them."""
