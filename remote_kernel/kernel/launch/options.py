"""Launch options of this kernel's interpreters."""

from dataclasses import dataclass
from pathlib import Path

from remote_kernel.core.wire.launch import Launch


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Place of the notebook in the session, by paths relative to the pod's data folder: see `Launch`."""

    workspace: str = ""
    cwd: str = ""
    notebook: str = ""

    @classmethod
    def without_workspace(cls, notebook: str) -> "Place":
        """Return the place of a notebook by its name alone; `notebook` is its path here, "" where nobody knows it."""
        return cls(notebook=Path(notebook).name)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchOptions:
    """Sources of a kernel's launch options, which are read anew for each session.

    Attributes:
        notebook: its path; "" where nobody knows it.
    """

    notebook: str

    def read(self, place: Place | None = None) -> Launch:
        """Return the options of today."""
        place = place or Place.without_workspace(self.notebook)
        return Launch(workspace=place.workspace, cwd=place.cwd, notebook=place.notebook)
