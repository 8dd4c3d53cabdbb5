"""Files between this machine and a session."""
