"""A Python for Windows that runs under Wine."""
