"""The pool's front door: callers, sessions' identifiers, refusals, forwarding."""
