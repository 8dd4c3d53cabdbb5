"""Input and output for all parts: private files, log files, ZeroMQ sockets, HTTP/1.1 on this machine."""
