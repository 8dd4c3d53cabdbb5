"""The Azure template, as far as it can be checked without Azure: its structure, its properties, and that it fits image
and agent. There is no Bicep compiler among the packages that the tests may install."""

import re
from pathlib import Path

import pytest

from remote_kernel.core.pools.cooldown import COOLDOWN_VARIABLE
from remote_kernel.core.pools.credential import AUDIENCE
from remote_kernel.core.pools.front_door import NEVER_READY
from tests.deploy.test_dockerfile import STAGES

PROJECT = Path(__file__).parents[2]
DEPLOY = PROJECT / "deploy"
TEXT = (DEPLOY / "main.bicep").read_text()
PARAMETER_FILE = (DEPLOY / "main.bicepparam").read_text()
GUIDE = (PROJECT / "docs" / "azure.md").read_text()

CODE = re.sub(r"//[^\n]*", "", TEXT)
PARAMETERS = dict(re.findall(r"^param (\w+) (\w+)", CODE, re.MULTILINE))
RESOURCES = dict(re.findall(r"^resource (\w+) '([\w./]+@[\w-]+)'", CODE, re.MULTILINE))


# Properties of the published types (`Microsoft.App` 2026-07-01, session pools and managed environments, in Azure's REST
# API specifications), with those of the elements of lists.
POOL = {
    "name", "location", "identity", "identity.type", "identity.userAssignedIdentities", "properties",
    *(f"properties.{path}" for path in (
        "environmentId", "containerType", "poolManagementType", "secrets",
        "scaleConfiguration", "scaleConfiguration.maxConcurrentSessions", "scaleConfiguration.readySessionInstances",
        "dynamicPoolConfiguration", "dynamicPoolConfiguration.lifecycleConfiguration",
        "dynamicPoolConfiguration.lifecycleConfiguration.lifecycleType",
        "dynamicPoolConfiguration.lifecycleConfiguration.cooldownPeriodInSeconds",
        "dynamicPoolConfiguration.lifecycleConfiguration.maxAlivePeriodInSeconds",
        "sessionNetworkConfiguration", "sessionNetworkConfiguration.status",
        "managedIdentitySettings", "managedIdentitySettings.identity", "managedIdentitySettings.lifecycle",
        "customContainerTemplate",
        *(f"customContainerTemplate.{inner}" for inner in (
            "registryCredentials", "registryCredentials.server", "registryCredentials.username",
            "registryCredentials.passwordSecretRef", "registryCredentials.identity",
            "ingress", "ingress.targetPort", "containers",
            *(f"containers.{field}" for field in (
                "image", "name", "command", "args", "env", "env.name", "env.value", "env.secretRef",
                "resources", "resources.cpu", "resources.memory", "probes",
                *(f"probes.{field}" for field in (
                    "type", "httpGet", "httpGet.host", "httpGet.path", "httpGet.port", "httpGet.scheme", "tcpSocket",
                    "failureThreshold", "initialDelaySeconds", "periodSeconds", "successThreshold",
                    "terminationGracePeriodSeconds", "timeoutSeconds",
                )),
            )),
        )),
    )),
    "dependsOn",
}  # fmt: skip
ENVIRONMENT = {
    "name", "location", "properties", "properties.appLogsConfiguration", "properties.appLogsConfiguration.destination",
    "properties.workloadProfiles", "properties.workloadProfiles.name",
    "properties.workloadProfiles.workloadProfileType",
}  # fmt: skip
DIAGNOSTICS = {
    "name", "scope", "properties", "properties.workspaceId", "properties.logs", "properties.logs.category",
    "properties.logs.enabled",
}  # fmt: skip


def properties(symbol: str) -> set[str]:
    """Return the paths of all properties that a resource sets; lists and calls add nothing to a path."""
    paths, inside, last = set(), [""], ""
    for found in re.finditer(r"'[^'\n]*'|(\w+):(?=\s)|[{}()[\]]", block(symbol).partition("= ")[2]):
        token = found[0]
        if found[1]:
            last = found[1]
            paths.add(".".join([*filter(None, inside), last]))
        elif token in "{[(":
            inside.append(last)
            last = ""
        elif token in "}])":
            inside.pop()
            last = ""
    return paths


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
        "logs": "Microsoft.OperationalInsights/workspaces@2023-09-01",
        "environment": "Microsoft.App/managedEnvironments@2026-07-01",
        "sessionLogs": "Microsoft.Insights/diagnosticSettings@2021-05-01-preview",
        # The first stable type of a session pool's container that has probes.
        "pool": "Microsoft.App/sessionPools@2026-07-01",
        "mayExecute": "Microsoft.Authorization/roleAssignments@2022-04-01",
    }


@pytest.mark.parametrize(
    ("symbol", "published"), [("pool", POOL), ("environment", ENVIRONMENT), ("sessionLogs", DIAGNOSTICS)]
)
def test_every_property_is_one_of_the_published_type(symbol: str, published: set[str]) -> None:
    used = properties(symbol)
    assert len(used) >= 6
    assert used - published == set()


def test_properties_are_found_with_their_paths() -> None:
    assert {
        "properties.managedIdentitySettings.lifecycle", "properties.customContainerTemplate.containers.env.value",
        "properties.customContainerTemplate.containers.probes.httpGet.path", "identity.userAssignedIdentities",
    } <= properties("pool")  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        "containerType: 'CustomContainer'",
        "poolManagementType: 'Dynamic'",
        "lifecycleType: 'Timed'",
        "maxConcurrentSessions: maxConcurrentSessions",
        "readySessionInstances: readySessions",
        "cooldownPeriodInSeconds: cooldownPeriodInSeconds",
        "status: egress ? 'EgressEnabled' : 'EgressDisabled'",
        "lifecycle: 'None'",
    ],
)
def test_the_pool_has_its_ceiling_cooldown_ready_sessions_and_network_switch(line: str) -> None:
    assert line in block("pool")


def test_a_pool_that_azure_would_refuse_is_refused_before() -> None:
    """It wants one ready session at least, and fewer than the ceiling."""
    declared = dict(re.findall(r"@minValue\((\d+)\)\nparam (\w+)", CODE))
    assert {"1": "readySessionInstances", "2": "maxConcurrentSessions"}.items() <= declared.items()
    condition = "var readySessions = readySessionInstances < maxConcurrentSessions ? readySessionInstances : fail("
    assert condition in " ".join(CODE.split())


def test_an_image_has_a_tag_that_changes() -> None:
    condition = "var poolImage = empty(image) || (contains(image, ':') && !endsWith(image, ':latest')) ? image : fail("
    assert condition in " ".join(CODE.split())
    assert "/${poolImage}'" in block("pool")
    assert re.search(r"export IMAGE=pod:\$\(git rev-parse .*\$\(date ", GUIDE)
    assert "param image = readEnvironmentVariable('IMAGE', '')" in PARAMETER_FILE


def test_variables_outlive_an_update() -> None:
    """Each deployment replaces all of them; so they stand in the file that each is made with."""
    assert "environmentVariables" in block("pool").split("env: concat(")[1].split("probes:")[0]
    assert re.search(r"^param environmentVariables = ", PARAMETER_FILE, re.MULTILINE)
    assert "Do not use\n`az containerapp sessionpool update`" in GUIDE


def test_code_in_sessions_has_no_identity_but_one_that_is_given_to_it() -> None:
    settings = " ".join(
        block("pool").split("managedIdentitySettings: concat(")[1].split("customContainerTemplate")[0].split()
    )
    assert "identity: puller.id lifecycle: 'None'" in settings
    assert "empty(sessionIdentity) ? [] : [ { identity: sessionIdentity lifecycle: 'Main' } ]" in settings
    assert "param sessionIdentity string = ''" in CODE


def test_the_logs_that_tell_why_no_session_starts_are_kept() -> None:
    assert "destination: 'azure-monitor'" in block("environment")
    assert "scope: environment" in block("sessionLogs")
    categories = set(re.findall(r"category: '(\w+)'", block("sessionLogs")))
    assert categories == {"AppEnvSessionConsoleLogs", "AppEnvSessionLifeCycleLogs", "AppEnvSessionPoolEventLogs"}
    tables = {name.replace("LifeCycle", "Lifecycle") for name in categories}
    for text in (GUIDE, NEVER_READY):
        assert tables <= set(re.findall(r"AppEnvSession\w+", text))


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
    named = set(re.findall(r"^param (\w+) =", PARAMETER_FILE, re.MULTILINE))
    assert {"image", "executors"} <= named
    assert named <= set(PARAMETERS)
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", GUIDE.split("## 4.")[1].split("## 5.")[0], re.MULTILINE)
    described = set(re.findall(r"\w+", " ".join(rows)))
    assert described <= set(PARAMETERS)
    assert set(PARAMETERS) - described <= {"location", "name"}
    read = set(re.findall(r"readEnvironmentVariable\('(\w+)'", PARAMETER_FILE))
    assert read == set(re.findall(r"^export (\w+)=", GUIDE.split("## 5.")[0], re.MULTILINE))
    outputs = set(re.findall(r"properties\.outputs\.(\w+)\.value", GUIDE))
    assert outputs
    assert outputs <= set(re.findall(r"^output (\w+)", CODE, re.MULTILINE))


def test_the_guide_names_files_and_settings_that_exist() -> None:
    for path in re.findall(r"deploy/[\w.]+", GUIDE):
        assert (PROJECT / path).exists()
    assert AUDIENCE in GUIDE
