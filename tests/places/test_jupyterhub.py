"""JupyterHub: many users, one pool, and nobody in anybody else's session."""

from collections.abc import Iterator

import pytest

from tests.driver import Pool, wait_until

pytest.importorskip("jupyterhub", reason="needs JupyterHub and its proxy: make hub")

from tests.places.hub import Hub, environment_of

pytestmark = pytest.mark.hub

WHERE = "import os; print(os.environ['REMOTE_KERNEL_POD'])"


@pytest.fixture(scope="module")
def hub(pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub whose users' servers show one folder and share, as a bad case, even the identity key."""
    notebooks = tmp_path_factory.mktemp("notebooks")
    environ = environment_of(pool.endpoint, pool.token)
    with Hub.start(tmp_path_factory.mktemp("hub"), notebooks, environ) as running:
        yield running


def test_users_and_named_servers_have_sessions_of_their_own_for_one_path(hub: Hub, pool: Pool) -> None:
    servers = [hub.open_server("ada"), hub.open_server("ada", "second"), hub.open_server("ben")]
    pods = [server.run("work.ipynb", WHERE) for server in servers]
    assert len(set(pods)) == len(pool.sessions()) == 3
    # The notebook is open already, so this is the same kernel; another path is another notebook.
    assert servers[0].run("work.ipynb", WHERE) == pods[0]
    assert servers[0].run("other.ipynb", WHERE) not in pods


def test_who_comes_back_after_the_server_was_stopped_finds_the_variables(hub: Hub) -> None:
    assert hub.open_server("cleo").run("work.ipynb", "found = 'as it was left'; print('begun')") == "begun\n"
    hub.stop_server("cleo")
    assert hub.open_server("cleo").run("work.ipynb", "print(found)") == "as it was left\n"


def test_a_kernel_that_is_shut_down_gives_its_session_back(hub: Hub, pool: Pool) -> None:
    before = len(pool.sessions())
    server = hub.open_server("dora")
    server.run("work.ipynb", WHERE)
    assert len(pool.sessions()) == before + 1
    server.close("work.ipynb")
    wait_until(lambda: len(pool.sessions()) == before)
