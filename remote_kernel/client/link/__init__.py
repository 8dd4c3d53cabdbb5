"""The link to one kernel in one pod, and what keeps it going."""
