"""`/files` of the interpreter API: the pod's data folder over HTTP, in the shapes of every version."""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any
from urllib.parse import unquote

from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from remote_kernel.core.interpreter_api.versions import (
    FILES_PATH,
    MAX_UPLOAD_BYTES,
    ApiRefusal,
    ApiVersion,
    parse_api_version,
)
from remote_kernel.pod.api.bodies import to_json_response
from remote_kernel.pod.files.data_folder import DataFolder, Entry

FORM_MEDIA_TYPE = "multipart/form-data"

# RFC 5987: a character set, perhaps a language, and a name in percent-encoding.
_EXTENDED_NAME = re.compile(r";\s*filename\*\s*=\s*(?P<charset>[\w-]+)'[\w-]*'(?P<name>[^;\s]+)", re.IGNORECASE)

# What is read at a time when a file is moved from where the form was kept.
_PIECE_BYTES = 1024 * 1024

# A client that is refused in the middle of its request sees a broken connection and no reason: so much more is read.
_DRAIN_BYTES = MAX_UPLOAD_BYTES


class FilesApi:
    """The routes below `/files`.

    Args:
        folder: the data folder.
    """

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder

    def routes(self) -> list[Route]:
        """Return the routes, the older versions' first, whose paths are special cases of the newer ones'."""
        name = FILES_PATH + "/{name:path}"
        return [
            Route(FILES_PATH, self.list, methods=["GET"]),
            Route(FILES_PATH, self.upload, methods=["POST"]),
            Route(FILES_PATH + "/upload", self.upload_old, methods=["POST"]),
            Route(name, self.get, methods=["GET"]),
            Route(name, self.delete, methods=["DELETE"]),
        ]

    async def list(self, request: Request) -> Response:
        version = version_of(request)
        is_recursive = request.query_params.get("recursive", "").lower() == "true"
        if version.has_code_execute:
            return to_json_response(_old_list(self._folder.entries(_path_of(request))))
        entries = self._folder.entries(_path_of(request), recursive=is_recursive and version >= ApiVersion.V2025_10_02)
        return to_json_response({"value": [_describe(entry, version) for entry in entries]})

    async def upload(self, request: Request) -> Response:
        version = version_of(request)
        if version.has_code_execute:
            raise ApiRefusal(404, "NotFound", "In this api-version, files are sent to /files/upload.")
        return to_json_response(_describe(await self._receive(request), version))

    async def upload_old(self, request: Request) -> Response:
        if not version_of(request).has_code_execute:
            raise ApiRefusal(404, "NotFound", "In this api-version, files are sent to /files.")
        return to_json_response(_old_list([await self._receive(request)]))

    async def get(self, request: Request) -> Response:
        """Describe a file, or send its content: `content/<name>` in older versions, `<name>/content` in newer ones."""
        version, name = version_of(request), str(request.path_params["name"])
        if version.has_code_execute:
            if name.startswith("content/"):
                return self._send(request, name.removeprefix("content/"))
            return to_json_response(_old_list([self._folder.describe(_path_of(request, name))]))
        if name.endswith("/content"):
            return self._send(request, name.removesuffix("/content"))
        return to_json_response(_describe(self._folder.describe(_path_of(request, name)), version))

    async def delete(self, request: Request) -> Response:
        version_of(request)
        self._folder.remove(_path_of(request, str(request.path_params["name"])))
        return Response(status_code=204)

    def _send(self, request: Request, name: str) -> Response:
        path = _path_of(request, name)
        entry = self._folder.describe(path)
        # Without a `filename` no Content-Disposition: what the clients do with the content is theirs to say.
        return FileResponse(self._folder.file(path), media_type=entry.content_type)

    async def _receive(self, request: Request) -> Entry:
        """Write the file of a form; its own name may hold folders, and is below the parameter `path`."""
        try:
            form = await _parse_form(request.headers, self._limited(request))
        except (MultiPartException, KeyError):
            raise _no_file() from None
        try:
            file = form.get("file")
            if not isinstance(file, UploadFile) or not file.filename:
                raise _no_file()
            return await self._folder.write(_path_of(request, _name_of(file)), _pieces_of(file))
        finally:
            await form.close()

    async def _limited(self, request: Request) -> AsyncGenerator[bytes, None]:
        """Yield the body, up to the limit; what is beyond it is read and dropped, so that the client hears of it."""
        size = 0
        async for piece in request.stream():
            size += len(piece)
            if size <= MAX_UPLOAD_BYTES:
                yield piece
            elif size > MAX_UPLOAD_BYTES + _DRAIN_BYTES:
                break
        if size > MAX_UPLOAD_BYTES:
            limit = MAX_UPLOAD_BYTES >> 20
            raise ApiRefusal(413, "FileTooLarge", f"A file may have {limit} MB: send it in pieces.", target="file")


def _name_of(file: UploadFile) -> str:
    """Return a file's name: `filename*` before `filename` (RFC 6266), which .NET sends in an encoding of mail's."""
    extended = _EXTENDED_NAME.search(file.headers.get("content-disposition", ""))
    if extended is not None:
        try:
            return unquote(extended["name"], extended["charset"], "strict")
        except (LookupError, UnicodeDecodeError):
            pass
    return file.filename or ""


async def _parse_form(headers: Headers, body: AsyncGenerator[bytes, None]) -> FormData:
    """Read a form, also one that is called something else.

    `SessionsPythonTool` of semantic-kernel sends its files as "application/json" once it has executed something.
    """
    if headers.get("content-type", "").startswith(FORM_MEDIA_TYPE):
        return await MultiPartParser(headers, body).parse()
    first = await anext(body, b"")
    line, is_whole, _ = first.partition(b"\r\n")
    if not (is_whole and line.startswith(b"--")):
        raise MultiPartException("no form")
    media_type = f"{FORM_MEDIA_TYPE}; boundary={line[2:].decode('latin-1')}"
    return await MultiPartParser(Headers({"content-type": media_type}), _chain(first, body)).parse()


async def _chain(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    yield first
    async for piece in rest:
        yield piece


def version_of(request: Request) -> ApiVersion:
    """Return the version of the API that a request speaks; raises `ApiRefusal`."""
    return parse_api_version(request.query_params.get("api-version"))


def _path_of(request: Request, name: str = "") -> str:
    """Return the path of a file from the parameter `path` and its own name, which may be absolute."""
    folder = request.query_params.get("path", "")
    return name if name.startswith("/") or not folder else f"{folder}/{name}"


def _no_file() -> ApiRefusal:
    message = "The body is not a form with a part named 'file' that has a file name."
    return ApiRefusal(400, "InvalidMultipart", message, target="file")


async def _pieces_of(file: UploadFile) -> AsyncIterator[bytes]:
    while piece := await file.read(_PIECE_BYTES):
        yield piece


def _describe(entry: Entry, version: ApiVersion) -> dict[str, Any]:
    fields = {
        "name": entry.name,
        "type": "Directory" if entry.is_directory else "File",
        "contentType": entry.content_type,
        "sizeInBytes": entry.size,
        "lastModifiedAt": _time_of(entry),
    }
    return fields | ({"directory": entry.directory} if version >= ApiVersion.V2025_10_02 else {})


def _old_list(entries: list[Entry]) -> dict[str, Any]:
    """Return the list of the older versions, which know no folders and number every object."""
    files = [entry for entry in entries if not entry.is_directory]
    numbers = iter(range(2, 2 * len(files) + 2))
    return {
        "$id": "1",
        "value": [
            {
                "$id": str(next(numbers)),
                "properties": {
                    "$id": str(next(numbers)),
                    "filename": entry.name,
                    "size": entry.size,
                    "lastModifiedTime": _time_of(entry),
                },
            }
            for entry in files
        ],
    }


def _time_of(entry: Entry) -> str:
    return entry.modified.isoformat().replace("+00:00", "Z")
