"""What a user sees of a pool that answers as Azure's do: full in several ways, new, without a role, a session gone."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jwt
import pytest

from tests.azure_pool import BARE_500, FULL_429, FULL_500, IN_THE_MAKING, NO_ROLE, AzurePool, Refused, run_azure_pool
from tests.cli.command import run_command
from tests.driver import Cell, Notebook, wait_until
from tests.issuer import OBJECT_ID, run_issuer

pytestmark = pytest.mark.slow

NAME = "azure-notebook"


@contextmanager
def notebook_on(pool: AzurePool, name: str = NAME, **environ: str) -> Iterator[Notebook]:
    with Notebook.start(environ={**pool.environ, "REMOTE_KERNEL_IDENTIFIER": name, **environ}) as notebook:
        yield notebook


def run_waiting(notebook: Notebook, line: str, then: Callable[[], None]) -> Cell:
    """Run a cell that waits, and do something as soon as its waiting line says `line`."""
    seen: list[str] = []

    def look(message: dict[str, object]) -> None:
        if not seen and re.search(line, str(message["content"])):
            seen.append(line)
            then()

    cell = notebook.run("6 * 7", on_message=look)
    assert seen, "the waiting line did not say so"
    return cell


@pytest.mark.parametrize(
    ("full", "line"),
    [
        (FULL_429, r"waiting for a free session, \d\d:\d\d"),
        (FULL_500, r"waiting for a free session, \d\d:\d\d"),
        (BARE_500, r"waiting for a free session, \d\d:\d\d \(the pool answers with status 500, as full ones do\)"),
    ],
    ids=["429", "500", "500 without a word"],
)
def test_a_full_pool_is_a_queue_whatever_it_answers(full: Refused, line: str) -> None:
    with (
        run_azure_pool(ceiling=1, full=full) as pool,
        notebook_on(pool, "first-notebook") as first,
        notebook_on(pool) as second,
    ):
        first.run("pass")
        assert run_waiting(second, line, first.close).result == "42"
        assert list(pool.sessions) == [NAME]


def test_a_fault_that_passes_is_no_full_pool() -> None:
    answers = iter([BARE_500, BARE_500])
    with run_azure_pool(refuses=lambda token: next(answers, None)) as pool, notebook_on(pool) as notebook:
        assert notebook.run("6 * 7").result == "42"


def test_a_role_that_was_just_given_is_waited_for_with_fresh_tokens() -> None:
    """A real login, of which a token counts that was made after the role was given."""
    with run_issuer() as issuer, run_azure_pool(token="") as pool:
        pool.refuses = lambda token: NO_ROLE if token in issuer.given[:1] else None
        environ = {**issuer.environ, "REMOTE_KERNEL_CREDENTIAL": "managed-identity", "REMOTE_KERNEL_TOKEN": ""}
        with notebook_on(pool, **environ) as notebook:
            line = r"waiting for the right to use the session pool, \d\d:\d\d\. .*takes some minutes.*" + OBJECT_ID
            assert run_waiting(notebook, line, lambda: None).result == "42"
        assert len({jwt.decode(token, options={"verify_signature": False})["jti"] for token in issuer.given}) >= 2


def test_a_pool_that_is_being_made_is_waited_for() -> None:
    with run_azure_pool(refuses=lambda token: IN_THE_MAKING) as pool, notebook_on(pool) as notebook:

        def finish() -> None:
            pool.refuses = lambda token: None

        line = r"waiting until the session pool is ready, \d\d:\d\d\. .*9 minutes to an hour"
        assert run_waiting(notebook, line, finish).result == "42"


@pytest.mark.parametrize(
    ("refused", "setting", "ename"),
    [
        (NO_ROLE, "REMOTE_KERNEL_ACCESS_WAIT_SECONDS", "Forbidden"),
        (IN_THE_MAKING, "REMOTE_KERNEL_WAIT_SECONDS", "PoolNotReady"),
    ],
)
def test_who_sets_no_wait_hears_at_once(refused: Refused, setting: str, ename: str) -> None:
    with run_azure_pool(refuses=lambda token: refused) as pool, notebook_on(pool, **{setting: "0"}) as notebook:
        assert notebook.run("1").reply["ename"] == ename
        pool.refuses = lambda token: None
        assert notebook.run("6 * 7").result == "42"


def test_a_session_that_has_cooled_down_is_told_without_taking_another(private_folders: Path) -> None:
    with (
        run_azure_pool(cooldown_seconds=1.0) as pool,
        notebook_on(pool, REMOTE_KERNEL_KEEPALIVE_MINUTES="0") as notebook,
    ):
        notebook.run("kept = 1")
        assert "Detached" in notebook.run("%session detach").displayed
        pool.take(NAME)
        wait_until(lambda: time.monotonic() - pool.asked_at > pool.cooldown_seconds)
        assert notebook.run("kept").reply["ename"] == "SessionLost"
        assert pool.sessions == {}, "nobody has asked for another so far"
        assert notebook.run("'kept' in globals()").result == "False"


@pytest.mark.parametrize("full", [FULL_429, BARE_500], ids=["429", "500 without a word"])
def test_a_full_pool_lets_nobody_wait_for_a_session_to_hear_that_his_own_is_gone(full: Refused) -> None:
    with (
        run_azure_pool(ceiling=1, full=full) as pool,
        notebook_on(pool) as notebook,
        notebook_on(pool, "other-notebook") as other,
    ):
        notebook.run("kept = 1")
        notebook.run("%session detach")
        pool.take(NAME)
        other.run("pass")
        began = time.monotonic()
        assert notebook.run("kept").reply["ename"] == "SessionLost"
        assert time.monotonic() - began < 10, "it need not wait"
        assert run_waiting(notebook, "waiting for a free session", other.close).result == "42"


@pytest.mark.parametrize("full", [FULL_429, BARE_500], ids=["429", "500 without a word"])
def test_what_a_killed_kernel_left_is_given_back_when_the_pool_is_full(full: Refused) -> None:
    with run_azure_pool(ceiling=1, full=full) as pool, notebook_on(pool, "") as left, notebook_on(pool) as notebook:
        left.run("pass")

        def kill() -> None:
            left.client.stop_channels()
            left.manager.shutdown_kernel(now=True)

        assert run_waiting(notebook, "waiting for a free session", kill).result == "42"
        assert list(pool.sessions) == [NAME]


def test_a_pool_that_does_not_say_what_became_of_the_session_is_given_up_and_asked_again() -> None:
    with run_azure_pool(cooldown_seconds=3.0) as pool, notebook_on(pool, REMOTE_KERNEL_WAIT_SECONDS="2") as notebook:
        notebook.run("kept = 42")
        notebook.run("%session detach")
        pool.refuses = lambda token: BARE_500
        reply = notebook.run("kept").reply
        assert reply["ename"] == "PoolRefused"
        assert "status 500 for 3.0 s, and does not say whether the session is still there" in reply["evalue"]
        pool.refuses = lambda token: None
        assert notebook.run("kept").result == "42", "it was there"


def test_a_restart_that_was_not_passed_on_waits_for_a_session_where_its_own_is_gone() -> None:
    with (
        run_azure_pool(ceiling=1, full=BARE_500) as pool,
        notebook_on(pool) as notebook,
        notebook_on(pool, "other-notebook") as other,
    ):
        notebook.run("pass")
        pool.refuses = lambda token: BARE_500
        notebook.manager.restart_kernel()
        notebook.wait_answers()
        pool.take(NAME)
        pool.refuses = lambda token: None
        other.run("pass")
        assert run_waiting(notebook, "waiting for a free session", other.close).result == "42"


@pytest.mark.parametrize("is_known", [True, False])
def test_what_is_given_back_and_is_gone_already_is_done(private_folders: Path, is_known: bool) -> None:
    releases = private_folders / "runtime" / "remote-kernel" / "releases"
    with run_azure_pool() as pool:
        with notebook_on(pool) as notebook:
            notebook.run("pass")
            if is_known:
                notebook.run("%session detach")
            pool.take(NAME)
            if not is_known:
                pool.refuses = lambda token: BARE_500
        pool.refuses = lambda token: None
        with notebook_on(pool, "next-notebook") as notebook:
            notebook.run("pass")
            assert list(pool.sessions) == ["next-notebook"], "nothing was taken to be given back"
            assert not list(releases.glob("*"))


def test_sessions_are_told_and_stopped_though_they_are_custom_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    with run_azure_pool() as pool, notebook_on(pool) as notebook, notebook_on(pool, "gone-notebook") as gone:
        monkeypatch.setenv("REMOTE_KERNEL_TOKEN", pool.token)
        notebook.run("pass")
        gone.run("pass")
        gone.run("%session detach")
        pool.take("gone-notebook")
        rows = json.loads(run_command("sessions", "--json").stdout)
        assert {row["state"] for row in rows} == {"warm", "gone"}
        assert [0 < row["expires_in_seconds"] <= 300 for row in rows if row["state"] == "warm"] == [True]
        doctor = run_command("doctor", "--endpoint", pool.endpoint)
        assert "1 warm, 1 gone; 'remote-kernel sessions' shows whose" in doctor.stdout
        assert doctor.status == 0, doctor.stdout
        assert sorted(pool.sessions) == [NAME], "doctor gives back what it takes"
        done = run_command("sessions", "stop", "--all")
        assert (done.status, done.stderr) == (0, "")
        assert pool.sessions == {}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"has_broken_image": True},
            ("says that it has no session: it seems that none becomes ready", "PoolReadyPodCount", "AppEnvSessionCons"),
        ),
        ({"ceiling": 1}, ("all sessions are in use", "PoolReadyPodCount", "az monitor log-analytics query")),
        ({"ceiling": 1, "full": BARE_500}, ("HTTP status 500", "full pools do, and faulty ones", "PoolReadyPodCount")),
        ({"refuses": lambda token: NO_ROLE}, ("takes some minutes to work", 'az role assignment create --role "Azure')),
        ({"refuses": lambda token: IN_THE_MAKING}, ("9 minutes to an hour", "properties.provisioningState")),
    ],
    ids=["broken image", "full", "500", "role", "in the making"],
)
def test_doctor_says_what_it_may_be_and_where_the_reason_stands(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, object], said: tuple[str, ...]
) -> None:
    with run_azure_pool(**options) as pool:
        monkeypatch.setenv("REMOTE_KERNEL_TOKEN", pool.token)
        if pool.ceiling == 1:
            with notebook_on(pool) as notebook:
                notebook.run("pass")
                done = run_command("doctor", "--endpoint", pool.endpoint)
        else:
            done = run_command("doctor", "--endpoint", pool.endpoint)
    text = " ".join(done.stdout.split())
    assert done.status == 1
    assert [part for part in said if part not in text] == [], text
    assert not ("has no session" in text and "may be in use" in text), "one contradicts the other"
