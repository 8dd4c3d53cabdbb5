"""The Azure template, as far as it can be checked without Azure: its structure, and that it fits image and agent."""

import re
from pathlib import Path

import pytest

from remote_kernel.core.pools.cooldown import COOLDOWN_VARIABLE
from remote_kernel.core.pools.credential import AUDIENCE
from tests.deploy.test_dockerfile import STAGES

PROJECT = Path(__file__).parents[2]
DEPLOY = PROJECT / "deploy"
TEXT = (DEPLOY / "main.bicep").read_text()
GUIDE = (PROJECT / "docs" / "azure.md").read_text()

CODE = re.sub(r"//[^\n]*", "", TEXT)
PARAMETERS = dict(re.findall(r"^param (\w+) (\w+)", CODE, re.MULTILINE))
RESOURCES = dict(re.findall(r"^resource (\w+) '([\w./]+@[\w-]+)'", CODE, re.MULTILINE))


def block(symbol: str) -> str:
    """Return the text of a resource, to its closing brace in the first column."""
    found = re.search(rf"^resource {symbol} .*?^[}}\]]", CODE, re.MULTILINE | re.DOTALL)
    assert found
    return found[0]


def test_brackets_close_in_the_order_in_which_they_open() -> None:
    opened: list[str] = []
    for character in re.sub(r"'[^'\n]*'", "", CODE):
        if character in "{[(":
            opened.append(character)
        elif character in "}])":
            assert opened.pop() + character in {"{}", "[]", "()"}
    assert opened == []


def test_everything_that_is_declared_is_used_and_described() -> None:
    for name in {**PARAMETERS, **dict.fromkeys(re.findall(r"^var (\w+)", CODE, re.MULTILINE))}:
        assert len(re.findall(rf"\b{name}\b", CODE)) > 1, name
    assert len(re.findall(r"^@description\('[^']+'\)$", TEXT, re.MULTILINE)) == len(PARAMETERS)


def test_resources_are_of_versions_that_have_what_is_used() -> None:
    assert RESOURCES == {
        "registry": "Microsoft.ContainerRegistry/registries@2023-07-01",
        "puller": "Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31",
        "mayPull": "Microsoft.Authorization/roleAssignments@2022-04-01",
        "environment": "Microsoft.App/managedEnvironments@2025-07-01",
        # The first published type of a session pool's container that has probes is a preview of 2025.
        "pool": "Microsoft.App/sessionPools@2025-10-02-preview",
        "mayExecute": "Microsoft.Authorization/roleAssignments@2022-04-01",
    }


@pytest.mark.parametrize(
    "line",
    [
        "containerType: 'CustomContainer'",
        "poolManagementType: 'Dynamic'",
        "lifecycleType: 'Timed'",
        "maxConcurrentSessions: maxConcurrentSessions",
        "readySessionInstances: readySessionInstances",
        "cooldownPeriodInSeconds: cooldownPeriodInSeconds",
        "status: egress ? 'EgressEnabled' : 'EgressDisabled'",
        "lifecycle: 'None'",
    ],
)
def test_the_pool_has_its_ceiling_cooldown_ready_sessions_and_network_switch(line: str) -> None:
    assert line in block("pool")


def test_the_pool_fits_the_image_and_the_agent() -> None:
    (exposed,) = [instruction.text for instruction in STAGES[""] if instruction.word == "EXPOSE"]
    assert f"var targetPort = {exposed}\n" in CODE
    assert "targetPort: targetPort" in block("pool")
    assert block("pool").count("path: '/health'") == 2
    assert re.findall(r"name: '(REMOTE_KERNEL_\w+)'", block("pool")) == [COOLDOWN_VARIABLE]


def test_a_probe_gives_a_busy_pod_minutes() -> None:
    liveness = block("pool").split("'Liveness'")[1]
    period, failures = (
        int(re.findall(rf"{name}: (\d+)", liveness)[0]) for name in ("periodSeconds", "failureThreshold")
    )
    assert period * failures >= 240
    assert failures <= 10, "the most that Azure allows"


def test_no_secret_is_made_or_asked_for() -> None:
    assert "adminUserEnabled: false" in block("registry")
    for word in ("password", "listkeys", "listcredentials", "@secure", "secretref"):
        assert word not in CODE.lower()


def test_roles_are_the_built_in_ones_at_the_narrowest_scope() -> None:
    assert "var acrPull = '7f951dda-4ed3-4680-a7ca-43fe172d538d'" in CODE
    assert "var sessionExecutor = '0fb8eba5-a2bb-4abe-b1c1-49dfad359bb0'" in CODE
    assert "scope: registry" in block("mayPull")
    assert "scope: pool" in block("mayExecute")


def test_parameter_file_and_guide_set_parameters_that_exist() -> None:
    named = set(re.findall(r"^param (\w+) =", (DEPLOY / "main.bicepparam").read_text(), re.MULTILINE))
    assert named
    assert named <= set(PARAMETERS)
    given = set(re.findall(r"^ +(?:--parameters )?(\w+)=\S+", GUIDE, re.MULTILINE))
    assert {"image", "executors"} <= given
    assert given <= set(PARAMETERS)
    outputs = set(re.findall(r"properties\.outputs\.(\w+)\.value", GUIDE))
    assert outputs
    assert outputs <= set(re.findall(r"^output (\w+)", CODE, re.MULTILINE))


def test_the_guide_names_files_and_settings_that_exist() -> None:
    for path in re.findall(r"deploy/[\w.]+", GUIDE):
        assert (PROJECT / path).exists()
    assert AUDIENCE in GUIDE
