"""Routes to a session: to an agent in its pod, or through the pod's built-in interpreter."""
