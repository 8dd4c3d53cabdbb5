"""Questions to a pool, one for each row of the assumptions that can be asked: what it said, and whether that was
assumed."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from enum import StrEnum

from remote_kernel.core.interpreter_api.executions import runtime_names
from remote_kernel.core.interpreter_api.versions import METADATA_PATH
from remote_kernel.core.wire import frames as wire
from tests.live.assumptions import ASSUMPTIONS
from tests.live.door import MAX_SHOWN_CHARS, Door

NO_SESSION_CODES = frozenset({"SessionWithIdentifierNotFound", "SessionNotFound"})

# Two lines that are printed a second apart come at least so long after one another.
APART_SECONDS = 0.7

LARGE_BYTES = 4 * 1024 * 1024


class Verdict(StrEnum):
    """Verdict on an assumption."""

    AS_ASSUMED = "as assumed"
    OTHERWISE = "otherwise"
    SEEN = "seen"
    NOT_ASKED = "not asked"


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer to a question."""

    verdict: Verdict
    said: str


def judge(is_so: bool, said: object) -> Answer:
    return Answer(Verdict.AS_ASSUMED if is_so else Verdict.OTHERWISE, str(said))


@dataclass(slots=True, kw_only=True)
class Conversation:
    """What one question leaves for the next ones.

    Attributes:
        identifier: of the session that most of them are about.
        fill: how many sessions may be taken to fill the pool; 0 not to try.
    """

    door: Door
    identifier: str
    fill: int = 0


async def ask_same_pod(talk: Conversation) -> Answer:
    await talk.door.run(talk.identifier, "kept = 41")
    said, text = await talk.door.run(talk.identifier, "print(kept + 1)")
    return judge(text == "42\n", f"{said}; it printed {_text(text)}")


async def ask_another_pod(talk: Conversation) -> Answer:
    other = talk.door.new_identifier()
    said, text = await talk.door.run(other, "print('kept' in globals())")
    await talk.door.end(other)
    return judge(text == "False\n", f"{said}; it printed {_text(text)}")


async def ask_any_path(talk: Conversation) -> Answer:
    said = await talk.door.ask("GET", wire.SESSION_PATH, identifier=talk.identifier)
    return judge(said.status == 200 and "kernels" in said.fields, f"{said}; {_names(said.fields)}")


async def ask_streaming(talk: Conversation) -> Answer:
    code = "import time\nprint('a', flush=True)\ntime.sleep(1)\nprint('b', flush=True)"
    times = await talk.door.time_lines(talk.identifier, code)
    apart = times[-1] - times[0] if len(times) > 1 else 0.0
    return judge(apart > APART_SECONDS, f"{apart:.2f} s apart")


async def ask_large_request(talk: Conversation) -> Answer:
    said, text = await talk.door.run(talk.identifier, f"#{'x' * LARGE_BYTES}\nprint('read')")
    return judge(text == "read\n", f"{said}, after {said.seconds:.1f} s")


async def ask_no_session(talk: Conversation) -> Answer:
    said = await talk.door.end(talk.door.new_identifier())
    return judge(said.status == 404 or said.code in NO_SESSION_CODES, said)


async def ask_bad_identifier(talk: Conversation) -> Answer:
    said = await talk.door.end("a b")
    return judge(said.status == 400, said)


async def ask_no_version(talk: Conversation) -> Answer:
    return Answer(Verdict.SEEN, str(await talk.door.end(talk.door.new_identifier(), version="")))


async def ask_no_token(talk: Conversation) -> Answer:
    said = await talk.door.ask("GET", "/", token="", version="")
    return judge(said.status == 401, said)


async def ask_wrong_token(talk: Conversation) -> Answer:
    said = await talk.door.end(talk.door.new_identifier(), token="no-token")
    challenge = said.headers.get("www-authenticate", "")
    has_tenant = "names the tenant" if "authorization_uri" in challenge else "names no tenant"
    return judge(said.status == 401, f"{said}; {f'the challenge {has_tenant}' if challenge else 'no challenge'}")


async def ask_ended(talk: Conversation) -> Answer:
    ended = await talk.door.end(talk.identifier)
    said, text = await talk.door.run(talk.identifier, "print('kept' in globals())")
    return judge(ended.status in {200, 202, 204} and text == "False\n", f"{ended}, then {said}, the variable there: "
                 f"{text.strip() or 'not known'}")  # fmt: skip


async def ask_described(talk: Conversation) -> Answer:
    never = await talk.door.describe(talk.door.new_identifier())
    said = await talk.door.describe(talk.identifier)
    is_so = said.status == 200 and "etag" in said.fields and never.status in {400, 404}
    return judge(is_so, f"{said}; {_names(said.fields)}; of one that never was: {never}")


async def ask_idle_clock(talk: Conversation) -> Answer:
    first = (await talk.door.describe(talk.identifier)).fields.get("lastAccessedAt")
    await asyncio.sleep(1.5)
    second = (await talk.door.describe(talk.identifier)).fields.get("lastAccessedAt")
    if first is None or second is None:
        return Answer(Verdict.SEEN, "the pool does not tell")
    return Answer(Verdict.SEEN, "it stays" if first == second else "it restarts")


async def ask_listed(talk: Conversation) -> Answer:
    said = await talk.door.list()
    sessions = next((value for value in said.fields.values() if isinstance(value, list)), [])
    names = _names(sessions[0]) if sessions and isinstance(sessions[0], dict) else "no entry"
    return judge(said.status == 200 and bool(sessions), f"{said}; {_names(said.fields)}, each with {names}")


async def ask_executions(talk: Conversation) -> Answer:
    said, cut = await talk.door.execute(talk.identifier, "print('x' * 5000)")
    _, whole = await talk.door.execute(talk.identifier, "print('x' * 5000)", outputStreamsMaxLength=10_000)
    is_so = said.status in {200, 202} and len(cut) == 4096 and len(whole) == 5001
    return judge(is_so, f"{said}, {_text(said.fields.get('status'))}; {len(cut)} and {len(whole)} characters")


async def ask_processes(talk: Conversation) -> Answer:
    code = (
        "import subprocess, sys\nprint(subprocess.run([sys.executable, '-c', 'print(1)'], capture_output=True).stdout)"
    )
    said, text = await talk.door.execute(talk.identifier, code)
    return judge("1" in text, f"{said}; {'one ran' if '1' in text else 'none ran'}")


async def ask_runtimes(talk: Conversation) -> Answer:
    said = await talk.door.ask("GET", METADATA_PATH)
    names = runtime_names(said.fields)
    return judge(bool(names), f"{said}; {_text(', '.join(names))}")


async def ask_full(talk: Conversation) -> Answer:
    if not talk.fill:
        return Answer(Verdict.NOT_ASKED, 'with ARGS="--fill N"')
    for count in range(1, talk.fill + 1):
        said, _ = await talk.door.run(talk.door.new_identifier(), "pass")
        if said.status >= 400:
            again, _ = await talk.door.run(talk.identifier, "pass")
            retry = "with" if "retry-after" in said.headers else "without"
            details = f"{said} after {count - 1} sessions more, {retry} Retry-After, after {said.seconds:.1f} s"
            return judge(said.status in {429, 500} and again.status < 300, f"{details}; one that has a pod: {again}")
    return Answer(Verdict.NOT_ASKED, f"{talk.fill} sessions more did not fill it")


QUESTIONS: Mapping[str, Callable[[Conversation], Awaitable[Answer]]] = {
    "same pod": ask_same_pod,
    "another pod": ask_another_pod,
    "any path": ask_any_path,
    "streaming": ask_streaming,
    "large request": ask_large_request,
    "no session": ask_no_session,
    "bad identifier": ask_bad_identifier,
    "no version": ask_no_version,
    "no token": ask_no_token,
    "wrong token": ask_wrong_token,
    "ended": ask_ended,
    "described": ask_described,
    "idle clock": ask_idle_clock,
    "listed": ask_listed,
    "executions": ask_executions,
    "processes": ask_processes,
    "runtimes": ask_runtimes,
    "full": ask_full,
}


async def ask_all(door: Door, answers: MutableMapping[str, Answer], *, fill: int, tell: Callable[[str], None]) -> None:
    """Ask all that pools of this kind can be asked, in the order of the table; one that fails costs that one."""
    talk = Conversation(door=door, identifier=door.new_identifier(), fill=fill)
    for each in ASSUMPTIONS:
        tell(f"asking: {each.name}")
        if not each.is_asked or door.kind not in each.kinds:
            why = (
                "not for pools of this kind"
                if door.kind not in each.kinds
                else each.says.removeprefix("is not asked: ")
            )
            answers[each.name] = Answer(Verdict.NOT_ASKED, why)
            continue
        try:
            answers[each.name] = await QUESTIONS[each.name](talk)
        except Exception as error:
            answers[each.name] = Answer(Verdict.OTHERWISE, f"no answer that could be read: {type(error).__name__}")


def _names(fields: Iterable[str]) -> str:
    """Return the names of an answer's fields, not what they hold."""
    return _text(", ".join(sorted(fields))) or "no fields"


def _text(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "/")[:MAX_SHOWN_CHARS]
