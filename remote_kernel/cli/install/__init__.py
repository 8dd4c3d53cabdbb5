"""`remote-kernel install`, `list` and `uninstall`."""
