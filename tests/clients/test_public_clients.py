"""Clients that others have published for Azure's session pools, as they are, against the local pool.

All log in with azure-identity, as they do in a program that has a managed identity.
"""

import base64
import importlib
import importlib.util
import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from remote_kernel.core.pools.front_door import LIST_MANAGED_PATH
from remote_kernel.pool.processes.mounts import can_mount
from tests.driver import Pool, wait_until

# What their packages warn of is theirs.
pytestmark = [pytest.mark.clients, pytest.mark.filterwarnings("ignore")]


def needs(package: str) -> pytest.MarkDecorator:
    """Skip, before a pool is started, where the client is not installed."""
    return pytest.mark.skipif(importlib.util.find_spec(package) is None, reason=f"{package} is not installed")


PLOT = "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 3, 2])\nplt.show()"
PNG = b"\x89PNG"


def identifiers(pool: Pool) -> list[str]:
    with pool.client() as client:
        answer = client.post(LIST_MANAGED_PATH, params={"api-version": "2025-02-02-preview"}).raise_for_status()
        return [session["identifier"] for session in answer.json()["value"]]


# The second is the successor of the first, and not to be had from every registry.
LANGCHAIN = [
    pytest.param(name, marks=needs(name.partition(".")[0]))
    for name in ("langchain_azure_dynamic_sessions", "langchain_azure_compute.dynamic_sessions")
]


@pytest.mark.parametrize("module", LANGCHAIN)
def test_langchain(module: str, endpoint: str, pool: Pool, flavor: str, tmp_path: Path) -> None:
    langchain = importlib.import_module(module)
    tool = langchain.SessionsPythonREPLTool(pool_management_endpoint=endpoint)

    assert json.loads(tool.invoke("x = 20\nprint('hi')\nx + 1")) == {"result": 21, "stdout": "hi\n", "stderr": ""}
    assert tool.execute("x * 2")["result"] == 40
    assert "NameError" in tool.execute("y")["stderr"]

    uploaded = tool.upload_file(data=io.BytesIO(b"a,b\n1,2\n"), remote_file_path="in put.csv")
    assert (uploaded.filename, uploaded.size_in_bytes, uploaded.full_path) == ("in put.csv", 8, "/mnt/data/in put.csv")
    local = tmp_path / "é.txt"
    local.write_text("é")
    tool.upload_file(local_file_path=str(local))
    tool.invoke("open('out.txt', 'w').write(open('in put.csv').read().upper())")
    assert {file.filename for file in tool.list_files()} == {"in put.csv", "é.txt", "out.txt"}
    assert tool.download_file(remote_file_path="out.txt").read() == b"A,B\n1,2\n"

    content, artifact = tool._run(PLOT)
    assert json.loads(content)["result"] == {"type": "image", "format": "png"}
    assert base64.b64decode(artifact["result"]["base64_data"]).startswith(PNG)

    if flavor == "interpreter":  # elsewhere, as in Azure, its request to end the session is the container's
        identifier = tool.session_id
        assert identifier in identifiers(pool)
        tool.close()
        wait_until(lambda: identifier not in identifiers(pool))


@pytest.mark.parametrize("module", LANGCHAIN)
def test_langchains_shell_is_told_that_there_is_none(module: str, endpoint: str) -> None:
    langchain = importlib.import_module(module)
    with pytest.raises(Exception, match="400"):
        langchain.SessionsBashTool(pool_management_endpoint=endpoint).execute("echo hi")


@needs("llama_index")
def test_llama_index(endpoint: str, tmp_path: Path) -> None:
    module = importlib.import_module("llama_index.tools.azure_code_interpreter")
    tool = module.AzureCodeInterpreterToolSpec(pool_management_endpoint=endpoint, local_save_path=str(tmp_path))

    properties = tool.code_interpreter("x = 20\nprint('hi')\nx + 1")["properties"]
    assert (properties["status"], properties["result"], properties["stdout"]) == ("Success", 21, "hi\n")
    assert tool.code_interpreter("```python\nx * 2\n```")["properties"]["result"] == 40

    local = tmp_path / "in.csv"
    local.write_bytes(b"a,b\n1,2\n")
    (uploaded,) = tool.upload_file(local_file_path=str(local))
    assert (uploaded.filename, uploaded.size_in_bytes, uploaded.file_full_path) == ("in.csv", 8, "/mnt/data/in.csv")
    tool.code_interpreter("open('out.txt', 'w').write(open('in.csv').read().upper())")
    assert {file.filename for file in tool.list_files()} == {"in.csv", "out.txt"}
    assert tool.download_file_to_local("/mnt/data/out.txt").read() == b"A,B\n1,2\n"

    assert tool.code_interpreter(PLOT)["properties"]["result"]["saved_to_local_path"] is True
    (picture,) = tmp_path.glob("*.png")
    assert picture.read_bytes().startswith(PNG)


@needs("azure_dynamic_sessions_code_interpreter")
def test_azure_dynamic_sessions_code_interpreter(endpoint: str, tmp_path: Path) -> None:
    module = importlib.import_module("azure_dynamic_sessions_code_interpreter")
    tool = module.CodeInterpreterTool(pool_management_endpoint=endpoint)

    assert tool.execute("x = 20\nprint('hi')\nx + 1").items() >= {"result": 21, "stdout": "hi\n"}.items()
    assert tool.execute("x * 2")["result"] == 40

    tool.upload_file(data=io.BytesIO(b"a,b\n1,2\n"), remote_file_path="in.csv")
    tool.execute("open('out.txt', 'w').write(open('in.csv').read().upper())")
    assert {file.filename for file in tool.list_files()} == {"in.csv", "out.txt"}
    assert _content_of(tool.download_file(remote_file_path="out.txt")) == b"A,B\n1,2\n"

    picture = tool.execute(PLOT)["result"]
    assert base64.b64decode(picture["base64_data"]).startswith(PNG)


def _content_of(downloaded: Any) -> bytes:
    content = downloaded.read() if hasattr(downloaded, "read") else downloaded
    assert isinstance(content, bytes)
    return content


@needs("autogen_ext")
@pytest.mark.anyio
async def test_autogen(endpoint: str, tmp_path: Path) -> None:
    azure = importlib.import_module("autogen_ext.code_executors.azure")
    core = importlib.import_module("autogen_core")
    executor_module = importlib.import_module("autogen_core.code_executor")
    identity = importlib.import_module("azure.identity")
    if not can_mount():
        pytest.skip("it changes to /mnt/data, which these pods do not have")
    token = core.CancellationToken()
    executor = azure.ACADynamicSessionsCodeExecutor(
        pool_management_endpoint=endpoint, credential=identity.DefaultAzureCredential(), work_dir=tmp_path
    )

    async def run(code: str) -> Any:
        block = executor_module.CodeBlock(code=code, language="python")
        return await executor.execute_code_blocks([block], token)

    result = await run("x = 20\nprint('hi')\nx + 1")
    assert (result.exit_code, result.output) == (0, "hi\n21")
    assert (await run("x * 2")).output == "40"
    assert (await run("y")).exit_code == 1
    assert "numpy" in await executor.get_available_packages(token)

    (tmp_path / "in.csv").write_bytes(b"a,b\n1,2\n")
    await executor.upload_files(["in.csv"], token)
    await run("open('out.txt', 'w').write(open('in.csv').read().upper())")
    assert set(await executor.get_file_list(token)) == {"in.csv", "out.txt"}
    assert await executor.download_files(["out.txt"], token) == [str(tmp_path / "out.txt")]
    assert (tmp_path / "out.txt").read_bytes() == b"A,B\n1,2\n"
    assert "'type': 'image'" in (await run(PLOT)).output


class LoopbackTransport(httpx.AsyncHTTPTransport):
    """Speaks http where https is asked for, as a client that insists on it has no other way to a local pool."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(scheme="http")
        return await super().handle_async_request(request)


@needs("semantic_kernel")
@pytest.mark.anyio
async def test_semantic_kernel(endpoint: str, tmp_path: Path) -> None:
    module = importlib.import_module("semantic_kernel.core_plugins.sessions_python_tool.sessions_python_plugin")
    identity = importlib.import_module("azure.identity")
    async with httpx.AsyncClient(transport=LoopbackTransport(), timeout=60) as http_client:
        tool = module.SessionsPythonTool(
            pool_management_endpoint=endpoint.replace("http://", "https://"),
            credential=identity.DefaultAzureCredential(),
            token_endpoint="https://dynamicsessions.io/.default",
            http_client=http_client,
            enable_dangerous_file_uploads=True,
            allowed_upload_directories=[str(tmp_path)],
        )
        assert await tool.execute_code("x = 20\nprint('hi')\nx + 1") == (
            "Status:\nSuccess\nResult:\n21\nStdout:\nhi\n\nStderr:\n"
        )
        assert "Result:\n40\n" in await tool.execute_code("x * 2")

        (tmp_path / "in.csv").write_bytes(b"a,b\n1,2\n")
        uploaded = await tool.upload_file(local_file_path=str(tmp_path / "in.csv"))
        assert (uploaded.full_path, uploaded.size_in_bytes) == ("/mnt/data/in.csv", 8)
        await tool.execute_code("open('out.txt', 'w').write(open('in.csv').read().upper())")
        assert {file.filename for file in await tool.list_files()} == {"in.csv", "out.txt"}
        downloaded = await tool.download_file(remote_file_name="out.txt")
        assert downloaded.read() == b"A,B\n1,2\n"
        assert "'type': 'image'" in await tool.execute_code(PLOT)
