"""The user's identity key: 32 random bytes that only the user can read, or the same on several machines."""

import base64
import binascii
import contextlib
import secrets
from collections.abc import Mapping
from pathlib import Path

from remote_kernel.core.errors import IdentityError
from remote_kernel.core.identity import KEY_BYTES, parse_key
from remote_kernel.io.private_files import create_private, make_private, make_private_folder

KEY_FILE = "remote-kernel/identity.key"  # inside Jupyter's data folder


def load_key(environ: Mapping[str, str], data_folder: Path) -> bytes:
    """Return the key from `REMOTE_KERNEL_IDENTITY_KEY`, else from the key file, which is made where it is missing.

    Raises:
        IdentityError: the key is too short, cannot be read, or cannot be written.
    """
    if text := environ.get("REMOTE_KERNEL_IDENTITY_KEY"):
        return parse_key(text)
    path = data_folder / KEY_FILE
    try:
        return _read(path)
    except FileNotFoundError:
        return _create(path)


def _read(path: Path) -> bytes:
    try:
        text = path.read_text(encoding="ascii")
        make_private(path)
        key = base64.b64decode(text.strip(), validate=True)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise IdentityError(
            f"The identity key {path} cannot be read ({error.strerror}): make it yours with mode 0600, "
            "or set REMOTE_KERNEL_IDENTITY_KEY."
        ) from error
    except (binascii.Error, UnicodeDecodeError):
        key = b""
    if len(key) < KEY_BYTES:
        raise IdentityError(
            f"The identity key {path} is damaged: delete it, and notebooks start in new sessions under a new one."
        )
    return key


def _create(path: Path) -> bytes:
    key = secrets.token_bytes(KEY_BYTES)
    try:
        make_private_folder(path.parent)
        create_private(path, base64.b64encode(key).decode() + "\n")
    except FileExistsError as error:
        with contextlib.suppress(FileNotFoundError):
            return _read(path)  # another kernel was first, and its key counts
        raise _unwritable(path, "a link on the way to it leads nowhere") from error
    except OSError as error:
        raise _unwritable(path, error.strerror) from error
    return key


def _unwritable(path: Path, reason: str | None) -> IdentityError:
    return IdentityError(
        f"The identity key {path} cannot be written ({reason}): set JUPYTER_DATA_DIR to a folder of "
        "yours, or REMOTE_KERNEL_IDENTITY_KEY."
    )
