"""Refusals: what a request may be answered with that is not done, as errors in Azure's shape."""

import logging

from remote_kernel.core.errors import RemoteKernelError, WireError
from remote_kernel.core.interpreter_api.versions import ApiRefusal
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.core.wire.frames import AGENT_FAILED
from remote_kernel.pod.api.calls import REFUSALS, Answer, BodyTooLarge, Call, Handler, PodMismatch
from remote_kernel.pod.files.data_folder import FileMissing, InvalidPath, NotWritable, WrongKind
from remote_kernel.pod.files.uploads import ChecksumMismatch, FileChanged
from remote_kernel.pod.interpreters.interpreter import StartFailed, UnknownKernel
from remote_kernel.pod.kernels.lives import EpochMismatch
from remote_kernel.pod.kernels.registry import PodLeaving, TooManyKernels
from remote_kernel.pod.kernels.senders import SenderForgotten
from remote_kernel.pod.packages.program import NotPython, ProgramFailed
from remote_kernel.pod.saves.pod_saves import CallMissing, ProgramMissing

_log = logging.getLogger(__name__)

_STATUS_OF: dict[type[RemoteKernelError], int] = {
    WireError: 400,
    UnknownKernel: 404,
    EpochMismatch: 409,
    SenderForgotten: 409,
    TooManyKernels: 429,
    PodLeaving: 503,
    StartFailed: 424,  # nor this, of which its client must hear
    NotPython: 424,
    ProgramFailed: 424,
    InvalidPath: 400,
    FileMissing: 404,
    WrongKind: 400,
    PodMismatch: 409,
    FileChanged: 409,
    ChecksumMismatch: 409,
    ProgramMissing: 409,
    CallMissing: 409,
    NotWritable: 507,  # not one that clients try again
}


async def answer(handler: Handler, call: Call) -> Answer:
    """Return what the handler of a request answers, or what it raises as an answer."""
    try:
        return await handler(call)
    except REFUSALS as error:
        return explain(error)
    except Exception as error:
        _log.exception(LogEvent("failed inside"))
        return explain_defect(error)


def explain(error: Exception) -> Answer:
    """Return the answer for one of `REFUSALS`: an error in Azure's shape."""
    status, code = 400, "BadRequest"
    if isinstance(error, BodyTooLarge):
        status, code = 413, "BodyTooLarge"
    elif isinstance(error, ApiRefusal):
        status, code = error.status, error.code
    elif isinstance(error, RemoteKernelError):
        status, code = _STATUS_OF.get(type(error), 500), error.name
    return refusal(status, code, str(error), target=error.target if isinstance(error, ApiRefusal) else "")


def explain_defect(error: Exception) -> Answer:
    """Return the answer for any other error; its text may hold what it was about."""
    return refusal(500, AGENT_FAILED, f"The session's agent has failed inside ({type(error).__name__}).")


def refusal(status: int, code: str, message: str, *, target: str = "") -> Answer:
    """Return an answer that is an error in Azure's shape; `target` names the part of the request that is at fault."""
    fields = {"code": code, "message": message} | ({"target": target} if target else {})
    return Answer(body=Answer.of_json({"error": fields}).body, status=status, headers={"x-ms-error-code": code})
