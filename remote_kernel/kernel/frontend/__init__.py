"""The front end's side of the local kernel: ZeroMQ channels, iopub and its bounds."""
