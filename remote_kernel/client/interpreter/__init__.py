"""Routes through a pod's built-in interpreter, with an agent brought along or without one."""
