"""Outputs of the local kernel's own in a cell: HTML with a twin in plain text."""
