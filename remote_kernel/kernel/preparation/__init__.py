"""Preparation of the session for a cell: what of this machine it needs there."""
