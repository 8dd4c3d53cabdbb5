"""Connection files of Jupyter: where a kernel's sockets are, and how its messages are signed and encrypted."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from remote_kernel.core.errors import SettingsError

DEFAULT_HASH = "sha256"
DEFAULT_SCHEME = f"hmac-{DEFAULT_HASH}"

_CURVE_KEYS = ("curve_publickey", "curve_secretkey")
# 32 bytes in ZeroMQ's Z85 (its RFC 32).
_CURVE_KEY = re.compile(r"[0-9A-Za-z.:+=^!/*?&<>()\[\]{}@%$#-]{40}")


class Connection:
    """A connection file.

    Attributes:
        path: where it is.
        transport: "tcp" or "ipc".
        ip: address, or for ipc the beginning of the sockets' paths.
        ports: by lower-case channel name, and "hb"; 0 picks a free one.
        hash_name: of the signatures.
        curve: public and secret key of CurveZMQ, where the front end wants the transport encrypted.
    """

    def __init__(
        self, *, path: Path, transport: str, ip: str, key: bytes, ports: dict[str, int], hash_name: str,
        curve: tuple[bytes, bytes] | None,
    ) -> None:  # fmt: skip
        self.path = path
        self.transport = transport
        self.ip = ip
        self.key = key
        self.ports = ports
        self.hash_name = hash_name
        self.curve = curve

    @classmethod
    def read(cls, path: Path) -> "Connection":
        """Read a connection file.

        Raises:
            SettingsError: it is missing, or not one that we can serve.
        """
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            ports = {name: int(fields.get(f"{name}_port", 0)) for name in ("shell", "control", "stdin", "iopub", "hb")}
            key = _text(fields, "key", "").encode()
            scheme = _text(fields, "signature_scheme", DEFAULT_SCHEME)
            transport, ip = _text(fields, "transport", "tcp"), _text(fields, "ip", "127.0.0.1")
            curve_keys = [_text(fields, name, "") for name in _CURVE_KEYS]
            are_ports = all(0 <= port < 65536 for port in ports.values())
        except OSError as error:
            raise SettingsError(f"The connection file {path} cannot be read: {error.strerror}.") from error
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise SettingsError(f"{path} is not a Jupyter connection file.") from error
        if not are_ports:
            raise SettingsError(f"{path} names a port that is none: use numbers from 0, for a free one, to 65535.")
        if transport not in {"tcp", "ipc"}:
            raise SettingsError(f"{path} asks for the transport {transport!r}: use tcp or ipc.")
        try:
            hash_name = _parse_scheme(scheme) if key else DEFAULT_HASH  # without a key nothing is signed
        except ValueError:
            raise SettingsError(
                f"{path} asks for messages that are signed by {scheme!r}: use {DEFAULT_SCHEME}, or hmac- with the name "
                "of another hash of Python's hashlib."
            ) from None
        if any(curve_keys) and not all(map(_CURVE_KEY.fullmatch, curve_keys)):
            raise SettingsError(
                f"{path} asks for encryption and does not have both of {' and '.join(_CURVE_KEYS)}, of 40 characters "
                "each: write both, or neither for connections that are not encrypted."
            )
        curve = (curve_keys[0].encode(), curve_keys[1].encode()) if any(curve_keys) else None
        return cls(path=path, transport=transport, ip=ip, key=key, ports=ports, hash_name=hash_name, curve=curve)

    def place(self, name: str) -> str:
        """Say where a channel is, for people."""
        return (
            f"port {self.ports[name]} of {self.ip}"
            if self.transport == "tcp"
            else f"the socket {self.ip}-{self.ports[name]}"
        )

    def url(self, name: str) -> str:
        """Return the address to bind for a channel."""
        port = self.ports[name]
        if self.transport == "ipc":
            return f"ipc://{self.ip}-{port}"
        return f"tcp://{self.ip}:{port or '*'}"

    def pick_path(self, name: str) -> None:
        """Choose a number that makes a socket's path for a channel which nothing has so far."""
        taken = {*self.ports.values()}
        self.ports[name] = next(
            port for port in range(1, 65536) if port not in taken and not Path(f"{self.ip}-{port}").exists()
        )

    def save_ports(self) -> None:
        """Write the ports that were picked back to the file, for the front end to read."""
        from remote_kernel.io.private_files import write_private  # late, as the sockets are to be bound early

        fields: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        fields |= {f"{name}_port": port for name, port in self.ports.items()}
        write_private(self.path, json.dumps(fields, indent=2))


def _parse_scheme(scheme: str) -> str:
    """Return the hash of a signature scheme; raises `ValueError`."""
    if scheme == DEFAULT_SCHEME:
        return DEFAULT_HASH
    from remote_kernel.core.jupyter.messages import parse_scheme

    return parse_scheme(scheme)


def _text(fields: Mapping[str, Any], name: str, default: str) -> str:
    """Return a text of a connection file, where `null` is as good as nothing; raises `TypeError`."""
    value = fields.get(name)
    if not isinstance(value, str | None):
        raise TypeError(name)
    return default if value is None else value
