"""The local kernel: ZeroMQ towards the front end, a link towards the pod, a relay between them."""
