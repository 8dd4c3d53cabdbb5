"""`remote-kernel install-packages`."""
