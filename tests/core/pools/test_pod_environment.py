"""What a pod may see of the environment."""

import pytest

from remote_kernel.core.pools.pod_environment import pod_environment


@pytest.mark.parametrize("name", ["PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "CONDA_PREFIX", "OMP_NUM_THREADS"])
def test_what_programs_need_passes(name: str) -> None:
    assert pod_environment({name: "value"}) == {name: "value"}


@pytest.mark.parametrize(
    "name",
    [
        "AZURE_CLIENT_SECRET",
        "AWS_ACCESS_KEY_ID",
        "JUPYTERHUB_API_TOKEN",
        "JUPYTER_TOKEN",
        "JPY_PARENT_PID",
        "REMOTE_KERNEL_TOKEN",
        "REMOTE_KERNEL_IDENTITY_KEY",
        "SSH_AUTH_SOCK",
        "DATABASE_URL",
        "anything_else",
    ],
)
def test_everything_else_is_left_out(name: str) -> None:
    assert pod_environment({name: "value"}) == {}


@pytest.mark.parametrize("name", ["CONDA_TOKEN", "PIP_PASSWORD", "PYTHON_KEYRING_AUTH", "XDG_API_KEY"])
def test_name_of_a_secret_is_left_out_even_with_an_allowed_prefix(name: str) -> None:
    assert pod_environment({name: "value"}) == {}


def test_url_with_credentials_is_left_out() -> None:
    environ = {
        "PIP_INDEX_URL": "https://user:password@packages.example/simple",
        "PIP_EXTRA_INDEX_URL": "https://one.example/simple https://token@two.example/simple",
        "HTTPS_PROXY": "http://proxy.example:3128",
    }
    assert pod_environment(environ) == {"HTTPS_PROXY": "http://proxy.example:3128"}
