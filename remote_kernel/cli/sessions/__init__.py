"""`remote-kernel sessions`: which notebook has which session."""
