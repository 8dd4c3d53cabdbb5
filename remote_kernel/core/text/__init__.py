"""Text for people: log lines, numbers, streams."""
