"""The front end's requests: each from its arrival to its end."""
