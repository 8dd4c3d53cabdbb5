"""Saves of variables, as the notebook's user sees them: lines, reports, autosave."""
