"""A pod that says of its files what it likes."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from remote_kernel.core.wire import files as wire
from tests.client.serving import Answer, serve


@dataclass
class HostilePod:
    """What it says.

    Attributes:
        listed: what it lists in every folder; what ends with "/" is a folder.
        folders: what it says are folders.
        missing: what it says is not there, as it does of patterns.
        asked: the paths whose content it was asked for.
    """

    listed: list[str]
    folders: set[str] = field(default_factory=lambda: {"", "results"})
    missing: set[str] = field(default_factory=set)
    endpoint: str = ""
    content: bytes = b"from the pod"
    asked: list[str] = field(default_factory=list)

    @classmethod
    @contextmanager
    def listing(cls, *paths: str) -> Iterator["HostilePod"]:
        """Serve a pod that lists these paths."""
        pod = cls(list(paths))
        with serve(pod.answer) as port:
            pod.endpoint = f"http://127.0.0.1:{port}"
            yield pod

    def answer(self, request: BaseHTTPRequestHandler) -> Answer:
        url = urlsplit(request.path)
        path = parse_qs(url.query).get("path", [""])[0]
        if url.path == wire.CONTENT_PATH:
            self.asked.append(path)
            return 200, {"content-type": "application/octet-stream"}, self.content
        if url.path == wire.FILES_PATH:
            return _json({"pod": "hostile", "entries": [self._entry(listed) for listed in self.listed], "next": 0})
        if "*" in path or path in self.missing:
            return _json({"error": {"code": wire.FILE_MISSING, "message": "No."}}, status=404)
        return _json(self._metadata(path))

    def _metadata(self, path: str) -> dict[str, object]:
        """Say of everything that it is the whole folder, which has no name of its own."""
        is_folder = path in self.folders
        sha256 = "" if is_folder else hashlib.sha256(self.content).hexdigest()
        return {
            **self._entry(f"{path}/" if is_folder else path),
            "pod": "hostile",
            "path": "",
            "version": "1",
            "sha256": sha256,
        }

    def _entry(self, path: str) -> dict[str, object]:
        is_folder = path.endswith("/")
        size = 0 if is_folder else len(self.content)
        return {"path": path[:-1] if is_folder else path, "is_folder": is_folder, "size": size, "modified": 0.0}


def _json(value: object, *, status: int = 200) -> Answer:
    return status, {"content-type": "application/json"}, json.dumps(value).encode()
