"""The agent's API: wire version 2, whatever way a request has come."""
