"""`remote-kernel saves`: which saves of variables are on this machine."""
