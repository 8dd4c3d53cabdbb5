"""Identity of a kernel: its notebook's path, from whoever knows it, and the user's key."""
