"""No task and no thread runs where nobody would notice its end."""

import ast
from collections.abc import Iterator
from pathlib import Path

import remote_kernel

PACKAGE = Path(remote_kernel.__file__).parent

AWAITED = "the function itself waits for it"
# Where something is started otherwise than by `remote_kernel.io.tasks.start` or in a task group: module, function, and
# who notices when it ends.
REASONS = {
    ("io/tasks.py", "start"): "its callback",
    ("cli/run/execution.py", "_execute_cell"): AWAITED,
    ("cli/run/execution.py", "_take_inventory"): AWAITED,
    ("cli/run/execution.py", "_watch"): AWAITED,
    ("io/threads.py", "call_in_thread"): "whatever the thread raises goes to the future that is returned",
    ("client/workspace/sync.py", "_run"): "who waits for it or, when they are interrupted, the end of their turn",
    ("io/http1/server.py", "_start_asgi_task"): "uvicorn logs and answers whatever its application fails with",
    ("kernel/interrupt_event.py", "watch_interrupt_event"): "a handle that is no event ends it, and nothing else can",
    ("kernel/before_session/history.py", "_append"): "the thread outlives whatever a cell brings up, and logs it",
    ("kernel/frontend/channels.py", "_start_heartbeat"): "what ends the thread early ends `Channels.serve`",
    ("namespace/processes.py", "fork_child"): "the thread does nothing but wait for the end of a process",
    ("pod/interpreter_api/executions.py", "_gather"): AWAITED,
    ("pod/api/batches.py", "_wait"): AWAITED,
    ("pod/interpreters/readiness.py", "_wait_unless_exited"): AWAITED,
    ("pod/interpreters/make_ready.py", "write_history_soon"): "what it fails with costs lines of the history alone",
    ("pod/interpreters/interpreter.py", "_watch_exit"): "the thread does nothing but wait for the end of a process",
    ("pod/kernels/acceptance.py", "keep"): "whoever asked for it; where they are gone, the event loop logs a failure",
    ("pod/kernels/registry.py", "_begin"): "its end, and an error, are seen by who waits for the interpreter",
    ("pod/kernels/registry.py", "_start"): "who wants the interpreter waits for it",
    ("pod/interpreters/shutdowns.py", "_add"): "its callback",
    ("pod/interpreters/shutdowns.py", "_shut_down"): AWAITED,
    ("pool/session_pool.py", "_run"): AWAITED,
}

STARTERS = {"create_task", "ensure_future", "run_in_executor", "run_coroutine_threadsafe", "Thread", "Timer"}


def test_whatever_is_started_has_somebody_who_notices_its_end() -> None:
    found = {
        (path.relative_to(PACKAGE).as_posix(), function)
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] != "injected"
        for function in started_in(ast.parse(path.read_text()))
    }
    assert found - REASONS.keys() == set(), "use `remote_kernel.io.tasks.start`, or a task group"
    assert REASONS.keys() - found == set(), "nothing is started there any more"


def started_in(module: ast.Module) -> Iterator[str]:
    """Return the functions that start a task or a thread outside of a task group."""
    for function in ast.walk(module):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            groups = set(task_groups_in(function))
            for node in own_nodes(function):
                if isinstance(node, ast.Call) and name_of(node.func) in STARTERS and owner_of(node.func) not in groups:
                    yield function.name


def own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """Return what is in a function and not in one inside it."""
    for node in ast.iter_child_nodes(function):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
            yield from own_nodes(node)


def task_groups_in(function: ast.AST) -> Iterator[str]:
    """Return the names of `async with asyncio.TaskGroup() as …`."""
    for node in own_nodes(function):
        if isinstance(node, ast.AsyncWith):
            for item in node.items:
                if isinstance(item.context_expr, ast.Call) and name_of(item.context_expr.func) == "TaskGroup":
                    assert isinstance(item.optional_vars, ast.Name)
                    yield item.optional_vars.id


def name_of(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""


def owner_of(called: ast.expr) -> str:
    return called.value.id if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) else ""
