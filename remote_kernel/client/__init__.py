"""The kernel's side of the wire: tokens, the pool's HTTP API, the link to one pod."""
