"""Defects of ours: they end in the cell and in the log, not in silence."""

import logging

from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.io.tasks import first_of

log = logging.getLogger(__name__)


def report_defect(error: Exception) -> RemoteKernelError:
    """Write where an error comes from to the log, and return what to say of it in the cell."""
    error = first_of(error)
    log.error(LogEvent("failed inside"), exc_info=error)
    return RemoteKernelError(f"The remote kernel has failed inside ({type(error).__name__}).")
