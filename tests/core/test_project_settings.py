"""Settings of a project."""

import pytest

from remote_kernel.core.errors import SettingsError
from remote_kernel.core.project_settings import ProjectSettings, parse_project_settings

FILE = "/p/pyproject.toml"
WHERE = "under [tool.remote-kernel] in /p/pyproject.toml"


def parse(text: str) -> ProjectSettings | None:
    return parse_project_settings(text, folder="/p", file=FILE)


def of(table: str) -> ProjectSettings:
    settings = parse(f"[tool.remote-kernel]\n{table}\n")
    assert settings is not None
    return settings


@pytest.mark.parametrize("text", ["", "[project]\nname = 'p'", "tool = 1", "[tool.other]\nenv = 1", "broken ["])
def test_file_without_such_a_table_says_nothing(text: str) -> None:
    assert parse(text) is None


def test_everything_is_read() -> None:
    assert of(
        """
        workspace = "."
        workspace-down = false
        packages = "requirements.txt"
        env = ["NAME", "OTHER_*"]
        startup = "tools/startup.py"
        """
    ) == ProjectSettings(
        folder="/p",
        workspace=".",
        workspace_down=False,
        packages_file="requirements.txt",
        env=("NAME", "OTHER_*"),
        startup="tools/startup.py",
    )


def test_an_empty_table_has_the_defaults() -> None:
    assert of("") == ProjectSettings(folder="/p")


def test_packages_may_be_a_list() -> None:
    assert of('packages = ["pandas>=2", "seaborn"]').packages == ("pandas>=2", "seaborn")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("workspace = 1", "'workspace' {} cannot be used: write a folder"),
        ("workspace = ''", "'workspace'"),
        (
            "workspace-down = 0",
            "'workspace-down' {} cannot be used: write true",
        ),
        ("packages = [1]", "write a file, such as"),
        ("packages = {a = 1}", "write a file, such as"),
        ("env = 'NAME'", "write a list of names and patterns"),
        (
            "env = ['NAME=s3cret']",
            "'env' {} has something that is no name",
        ),
        ("startup = ['a.py']", "write a file, such as"),
        (
            "start_up = 'a.py'",
            "'start_up' {} means nothing: did you mean 'startup'?",
        ),
        ("workspace_down = true", "did you mean 'workspace-down'?"),
        ("environment = []", "means nothing: "),
        ("xyzzy = 1", "use workspace, workspace-down, packages, env, startup"),
    ],
)
def test_what_cannot_be_used_is_told_with_key_and_file_and_what_to_write(table: str, said: str) -> None:
    with pytest.raises(SettingsError) as raised:
        of(table)
    assert said.format(WHERE) in str(raised.value)
    assert FILE in str(raised.value)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("path", ["..", "../a", "a/../../b", "/etc", "~/a", "a\\..\\b", "C:\\a", "\\\\server\\a"])
@pytest.mark.parametrize("key", ["workspace", "packages", "startup"])
def test_no_path_leads_out_of_the_project(key: str, path: str) -> None:
    with pytest.raises(SettingsError, match="leads out of the project"):
        of(f"{key} = '{path}'")


@pytest.mark.parametrize("text", ["[tool.remote-kernel]\nenv = [", "[tool.remote-kernel]\n[tool.remote-kernel]\n"])
def test_broken_file_that_speaks_of_us_is_told(text: str) -> None:
    with pytest.raises(SettingsError, match=r"/p/pyproject.toml cannot be read: .+ Mend it"):
        parse(text)


def test_what_is_no_table_is_told() -> None:
    with pytest.raises(SettingsError, match=r"write \[tool.remote-kernel\]"):
        parse("[tool]\nremote-kernel = 1")
