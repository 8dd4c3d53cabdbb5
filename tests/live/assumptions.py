"""What this project assumes of Azure: `python -m tests.live.assumptions` writes the table in docs/azure.md.

Each row names what asks a pool about it (`tests.live.questions`), or says why nothing does.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from benchmarks.report import replace_between, update_page

PAGE = Path(__file__).parents[2] / "docs" / "azure.md"
PLACE = "assumptions"


class Kind(StrEnum):
    """Kind of a pool."""

    CUSTOM = "custom"
    INTERPRETER = "interpreter"


BOTH = frozenset(Kind)
CUSTOM = frozenset({Kind.CUSTOM})
INTERPRETER = frozenset({Kind.INTERPRETER})

DOCS, SPEC, BYOC = "Azure's documentation", "published specification", "Azure's samples"
MEASURED, SEEN = "measured by others", "seen by others"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """One thing that has to be so.

    Attributes:
        name: of the question about it, where there is one.
        text: what is assumed.
        source: who says so.
        breaks: what is wrong here if it is not so.
        says: what `make live` asks; or why it does not.
        kinds: of pools that it is about.
        is_asked: whether `make live` asks.
    """

    name: str
    text: str
    source: str
    breaks: str
    says: str
    kinds: frozenset[Kind] = BOTH
    is_asked: bool = True


ASSUMPTIONS = (
    Assumption(
        name="same pod", text="The same identifier leads to the same pod", source=DOCS,
        breaks="everything: each cell would run in another pod",
        says="has a second request look for the first one's variable",
    ),
    Assumption(
        name="another pod", text="Another identifier leads to another pod", source=DOCS,
        breaks="notebooks would share variables", says="looks for the variable under another identifier",
    ),
    Assumption(
        name="any path", text="A custom pool forwards any path, method and query to the container", source=DOCS,
        breaks="the whole protocol; the pool would be taken for one of built-in interpreters",
        says="asks the agent for its description", kinds=CUSTOM,
    ),
    Assumption(
        name="streaming", text="What the container sends arrives while it is sent", source=MEASURED,
        breaks="output would come at a cell's end", says="times two lines that a cell prints a second apart",
        kinds=CUSTOM,
    ),
    Assumption(
        name="large request", text="A request may have 4 MB", source=DOCS,
        breaks="uploads and large cells, which are sent in such pieces", says="sends a cell of 4 MB",
    ),
    Assumption(
        name="no session", text="A session that is not there is told by `SessionWithIdentifierNotFound`, "
        "`SessionNotFound` or 404", source=SEEN,
        breaks="giving back what has cooled down would be tried again and again", says="ends a session that never was",
    ),
    Assumption(
        name="bad identifier", text="A bad identifier is 400, and nothing is made of it", source=SEEN,
        breaks="the explanation of such an error", says="ends a session of an identifier with a space",
    ),
    Assumption(
        name="no version", text="`api-version` is required", source=SPEC,
        breaks="nothing: each request of ours has one", says="leaves it out, and shows what comes",
    ),
    Assumption(
        name="no token", text="Who has no token gets 401 before a session is looked for", source=DOCS,
        breaks="early connections, which are made by such a request, would take a session",
        says="asks without a token and without an identifier",
    ),
    Assumption(
        name="wrong token", text="A token that is none gets 401, and the challenge may name the tenant", source=DOCS,
        breaks="the sentence that says which tenant to log in to",
        says="asks with one, and shows the challenge's shape",
    ),
    Assumption(
        name="ended", text="A session can be ended: `/.management/stopSession` of a custom pool, `DELETE /session` of "
        "built-in ones; its identifier gets a new pod then", source=SPEC,
        breaks="`%session reset`, and a shutdown that frees the session at once",
        says="ends the first session, and looks for its variable",
    ),
    Assumption(
        name="described", text="`/.management/getSession`, or `GET /session`, describes a session, with its `etag`, "
        "and makes none", source=SEEN, breaks="telling a lost session from one that is out of reach, without a new one",
        says="asks, and shows the names in the answer",
    ),
    Assumption(
        name="idle clock", text="To describe a session may restart its idle clock", source="not known",
        breaks="nothing: sessions are described rarely", says="asks twice, and compares the time of the last access",
    ),
    Assumption(
        name="listed", text="Who has the role can list all identifiers of the pool", source=SPEC,
        breaks="nothing; Security warns of it", says="lists them, and shows how many names each entry has",
    ),
    Assumption(
        name="executions", text="`POST /executions` answers 200 or 202 with `result.stdout`, cut after 4,096 "
        "characters unless more is asked for", source=SPEC, breaks="every cell on pools of built-in interpreters",
        says="prints 5,000 characters, with the limit and without", kinds=INTERPRETER,
    ),
    Assumption(
        name="processes", text="Code in a built-in interpreter may write files and start programs", source=SEEN,
        breaks="bringing the agent; cells would do less there", says="starts one", kinds=INTERPRETER,
    ),
    Assumption(
        name="runtimes", text="`/metadata` names the interpreters", source=SPEC,
        breaks="the sentence for pools of JavaScript or shells", says="asks, and shows the kinds", kinds=INTERPRETER,
    ),
    Assumption(
        name="full", text="A new identifier gets 429 or 500 at the ceiling, and those that have a pod go on",
        source=SEEN, breaks="the queue of a full pool, whose kernels would give up or wait in vain",
        says="takes sessions until it is refused, with `ARGS=\"--fill N\"`, N being more than the ceiling",
    ),
    Assumption(
        name="cut", text="One request is cut after about half an hour, and a silent one after four minutes",
        source=MEASURED, breaks="nothing: streams end before, and are resumed at a cursor",
        says="is not asked: it takes as long", is_asked=False,
    ),
    Assumption(
        name="cooldown", text="Each call restarts the idle clock, and after the cooldown the session is gone",
        source=DOCS, breaks="the keep-alive, and sessions that would stay",
        says="is not asked: it takes a cooldown", is_asked=False,
    ),
    Assumption(
        name="role", text="403 is for who has no role, and for minutes after it was given", source=SEEN,
        breaks="what the cell says", says="is not asked: it takes a login without the role", is_asked=False,
    ),
    Assumption(
        name="in the making", text="A pool that is made or updated says so in words: no code for it is known",
        source="not known", breaks="the wait for it: a cell would end with the pool's own words",
        says="is not asked: it takes a pool that is being made", is_asked=False,
    ),
    Assumption(
        name="crash", text="A pool whose image ends at its start answers as a full one", source=SEEN,
        breaks="the hint where to look", says="is not asked: it takes such a pool", is_asked=False,
    ),
    Assumption(
        name="limit", text="A synchronous execution takes 220 s at most", source=DOCS,
        breaks="what a cell without an agent says of its end", says="is not asked: it takes as long", kinds=INTERPRETER,
        is_asked=False,
    ),
)  # fmt: skip


def to_markdown() -> str:
    """Return the table."""
    lines = ["| name | we assume | source | if it is wrong, what breaks | `make live` |", "|---|---|---|---|---|"]
    for each in ASSUMPTIONS:
        where = "" if each.kinds == BOTH else f" ({'custom' if each.kinds == CUSTOM else 'built-in'} pools)"
        lines.append(f"| {each.name} | {each.text}{where} | {each.source} | {each.breaks} | {each.says} |")
    return "\n".join(lines) + "\n"


def is_current() -> bool:
    """Return whether the page has this table."""
    text = PAGE.read_text(encoding="utf-8")
    return replace_between(text, PLACE, to_markdown()) == text


if __name__ == "__main__":
    update_page(PAGE, {PLACE: to_markdown()})
