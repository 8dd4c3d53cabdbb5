"""Code that runs inside a pod's built-in interpreter: each module is sent as text, needs Python's own library only, and
gets its arguments as data. `main` is called with them and prints its answer between two marks."""
