"""Azure's interpreter API in a pod: `/executions`, its older names, and `/files`, for clients that know no Jupyter."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from remote_kernel.core.interpreter_api.executions import Execution
from remote_kernel.core.interpreter_api.requests import parse_request
from remote_kernel.core.interpreter_api.versions import (
    EXECUTE_PATHS,
    EXECUTIONS_PATH,
    ApiRefusal,
    ApiVersion,
)
from remote_kernel.pod.api.bodies import read_body, to_json_response
from remote_kernel.pod.files.data_folder import DataFolder
from remote_kernel.pod.interpreter_api.executions import Executions
from remote_kernel.pod.interpreter_api.files import FilesApi, version_of

# The front door tells the pod who is asking, and what it took off the path: `remote_kernel.pool.front_door.forward`.
SESSION_HEADER = "x-session-id"
PREFIX_HEADER = "x-forwarded-prefix"


class InterpreterApi:
    """The routes of the interpreter API."""

    def __init__(self, executions: Executions, folder: DataFolder) -> None:
        self._executions = executions
        self._files = FilesApi(folder)

    def routes(self) -> list[Route]:
        return [
            *(Route(path, self.execute, methods=["POST"]) for path in (*EXECUTE_PATHS, EXECUTIONS_PATH)),
            Route(EXECUTIONS_PATH + "/{id}", self.get, methods=["GET"]),
            *self._files.routes(),
        ]

    async def execute(self, request: Request) -> Response:
        version = version_of(request)
        execution = await self._execute(request, version)
        # A program that failed is no failure of the service.
        status = 202 if ApiVersion.V2024_10_02 <= version < ApiVersion.V2025_10_02 else 200
        return to_json_response(execution.to_json(version), status, headers=_headers_of(request, execution))

    async def get(self, request: Request) -> Response:
        version = version_of(request)
        return to_json_response(self._executions.get(request.path_params["id"]).to_json(version))

    async def _execute(self, request: Request, version: ApiVersion) -> Execution:
        wanted = parse_request(await read_body(request.receive), version)
        operation_id = request.headers.get("operation-id", "")
        if not (len(operation_id) <= 128 and operation_id.isascii()):
            raise ApiRefusal(400, "InvalidOperationId", "The header 'operation-id' may have 128 characters.")
        return await self._executions.execute(wanted, identifier=_identifier_of(request), operation_id=operation_id)


def _identifier_of(request: Request) -> str:
    return request.query_params.get("identifier") or request.headers.get(SESSION_HEADER, "")


def _headers_of(request: Request, execution: Execution) -> dict[str, str]:
    """Return where the execution can be looked at: at the address by which the client came."""
    prefix = request.headers.get(PREFIX_HEADER, "")
    location = request.url.replace(path=f"{prefix}{EXECUTIONS_PATH}/{execution.id}")
    return {"operation-id": execution.id, "operation-location": str(location)}
