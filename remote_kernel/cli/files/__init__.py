"""`remote-kernel upload` and `download`."""
