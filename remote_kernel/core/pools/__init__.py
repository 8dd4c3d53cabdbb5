"""Facts about session pools and their pods, for all parts."""
