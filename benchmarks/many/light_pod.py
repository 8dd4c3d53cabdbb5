"""A pod's process that only holds its place: `light_pod.py CONTROL SOCKET`.

It asks `light_agents`, which listens at CONTROL, to serve SOCKET, says when that is done, and ends with its standard
input, as pods do. It imports nothing that takes memory.
"""

import json
import socket
import sys


def main() -> None:
    control, served = sys.argv[1:]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(control)
        connection.sendall(served.encode() + b"\n")
        connection.recv(1)
        print(json.dumps({"ready": True}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
