"""A save, as it is written on the user's machine."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from remote_kernel.core.errors import WireError
from remote_kernel.core.json_text import parse_json_object
from remote_kernel.core.limits import MANIFEST
from remote_kernel.core.numbers import MOMENT, NAME, Text
from remote_kernel.core.saves.manifest import Manifest
from remote_kernel.core.saves.names import MAX_CHARS, is_id

_SAVE_NAME = Text(most=MAX_CHARS, is_name=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Save:
    """A save.

    Attributes:
        id: eight hexadecimal digits, which name its file.
        name: that the user has given it; "" for none.
        saved_at: when, in seconds since 1970; where there is a problem, when the file was written.
        notebook: its path; "" where nobody knew it.
        pod_kernel: kernelspec of the interpreter.
        manifest: empty where there is a problem.
        files: of the workspace at that time: their SHA-256 by path; `None` where there was no workspace.
        session: epoch of the interpreter whose variables these are; "" where a version before has not noted it.
        is_unasked: whether the notebook has saved by itself, and nothing had been restored in that session.
        problem: why it cannot be used, as a sentence; "" where it can.
    """

    id: str
    name: str = ""
    saved_at: float
    notebook: str = ""
    pod_kernel: str = ""
    manifest: Manifest = field(default_factory=Manifest, repr=False)
    files: Mapping[str, str] | None = field(default=None, repr=False)
    session: str = ""
    is_unasked: bool = False
    problem: str = ""

    @property
    def label(self) -> str:
        """Its name, else its id, by which commands know it."""
        return self.name or self.id

    def to_bytes(self) -> bytes:
        fields = self.manifest.to_json() | {
            "id": self.id,
            "name": self.name,
            "saved_at": self.saved_at,
            "notebook": self.notebook,
            "pod_kernel": self.pod_kernel,
            "files": None if self.files is None else dict(self.files),
            "session": self.session,
            "is_unasked": self.is_unasked,
        }
        return json.dumps(fields, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Save":
        """Read what `to_bytes` has written; raises `WireError`, also for what another version has."""
        fields = parse_json_object(data, MANIFEST)
        name, notebook, files = fields.get("id"), fields.get("notebook"), fields.get("files")
        if not (isinstance(name, str) and is_id(name) and isinstance(notebook, str)):
            raise WireError("a save has no id, or no notebook")
        return cls(
            id=name,
            name=_SAVE_NAME.check(fields.get("name"), "a save's name"),
            saved_at=float(MOMENT.check(fields.get("saved_at"), "a time")),
            notebook=notebook,
            pod_kernel=NAME.check(fields.get("pod_kernel"), "a kernelspec"),
            manifest=Manifest.from_json(fields),
            files=None if files is None else _files(files),
            session=NAME.check(fields.get("session", ""), "an epoch"),
            is_unasked=fields.get("is_unasked") is True,
        )


def _files(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(each, str) for each in value.values()):
        raise WireError("the files of a save are not names with checksums")
    return dict(value)
