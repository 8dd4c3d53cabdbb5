"""Makes the IPython interpreter that runs it one of a kernel's launch options; see `pod.interpreters.launching`.

`main` is sent as text, needs Python's own library and IPython only, and leaves no name behind.
"""

from typing import Any


def main(argument: dict[str, Any]) -> None:
    """Set variables, folder, path and session name, and run the startup file; its error is in the reply's payload."""
    import linecache
    import os
    import sys
    from pathlib import Path

    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    os.environ.update(argument["environ"])
    if argument["cwd"]:
        os.chdir(argument["cwd"])
        shell.history_manager.dir_hist[:] = [Path.cwd()]
    if argument["path"] and argument["path"] not in sys.path:
        sys.path.append(argument["path"])
    if argument["session"]:
        shell.user_ns["__session__"] = argument["session"]
    text, name = argument["startup"], argument["startup_name"]
    if not text:
        return
    if name.endswith(".ipy"):
        text = shell.transform_cell(text)
    # Without a time, it is taken for no file that may have changed.
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    try:
        shell.user_ns["__file__"] = name
        exec(shell.compile(text, name, "exec"), shell.user_ns)  # noqa: S102 - as IPython runs its own
    except BaseException as error:
        trace, line = error.__traceback__, getattr(error, "lineno", 0) or 0
        while trace is not None:
            line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == name else line
            trace = trace.tb_next
        if not (isinstance(error, SystemExit) and error.code in (None, 0)):
            failed = {"source": argument["source"], "error": type(error).__name__, "line": line}
            shell.payload_manager.write_payload(failed)
    finally:
        shell.user_ns.pop("__file__", None)
        sys.stdout.flush()
        sys.stderr.flush()
