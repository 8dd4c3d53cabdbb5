"""An Azure CLI on the path: a script that gives a token, and the files that the real one keeps on Linux."""

import os
import secrets
from pathlib import Path


class AzureCli:
    """A folder with an `az`.

    Args:
        token: what it gives.
        seconds: how long it takes for that.

    Attributes:
        environ: variables of a kernel that finds it.
    """

    def __init__(self, folder: Path, token: str, seconds: float = 0.0) -> None:
        self._folder = folder
        self._starts = folder / "starts"
        self._starts.touch()
        answer = f'{{"accessToken": "{token}", "expires_on": 4000000000, "tokenType": "Bearer"}}'
        self.write(f"sleep {seconds}\necho '{answer}'")
        self.environ = {
            "PATH": os.pathsep.join([str(folder), os.environ["PATH"]]),
            "AZURE_CONFIG_DIR": str(folder),
            "REMOTE_KERNEL_CREDENTIAL": "cli",
        }
        (folder / "msal_token_cache.json").write_text("{}")
        self.log_in()

    def write(self, script: str) -> None:
        """Have it do something else."""
        program = self._folder / "az"
        program.write_text(f"#!/bin/sh\necho >> {self._starts}\n{script}\n")
        program.chmod(0o755)

    @property
    def starts(self) -> int:
        """How often it was started."""
        return len(self._starts.read_text().splitlines())

    def log_in(self) -> None:
        """Log somebody else in."""
        (self._folder / "azureProfile.json").write_text(f'{{"subscriptions": ["{secrets.token_hex(8)}"]}}')
