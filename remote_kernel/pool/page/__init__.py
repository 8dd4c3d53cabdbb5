"""The pool's page: what a pool does, for the eyes of the user whose pool it is."""
