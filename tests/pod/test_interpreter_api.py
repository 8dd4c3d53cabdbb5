"""Azure's interpreter API over real HTTP, with real interpreters behind it."""

import tempfile
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from remote_kernel.core.interpreter_api.versions import ApiVersion
from tests.driver import TIMEOUT_SECONDS, Content, Pod, PodProgram, run_in_pod, stdout_of, wait_until

OLD, NEW = ApiVersion.V2024_02_02, ApiVersion.V2025_10_02
NEWER_VERSIONS = [version for version in ApiVersion if not version.has_code_execute]

# The smallest PNG there is.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture
def client(pod: Pod) -> Iterator[httpx.Client]:
    params = {"api-version": NEW.value, "identifier": "session-1"}
    with httpx.Client(base_url=pod.endpoint, timeout=TIMEOUT_SECONDS, params=params) as client:
        yield client


def execute(client: httpx.Client, code: str, *, version: ApiVersion = NEW, **fields: Any) -> Content:
    params = {"api-version": version.value}
    answer = client.post("/executions", params=params, json={"code": code, **fields}).raise_for_status()
    resource: Content = answer.json()
    return resource


def result_of(client: httpx.Client, code: str, **fields: Any) -> Content:
    """Execute code that succeeds and return its result."""
    resource = execute(client, code, **fields)
    assert resource["status"] == "Succeeded", resource
    result: Content = resource["result"]
    return result


def wait_finished(client: httpx.Client, operation_id: str) -> Content:
    resource: Content = {}

    def is_finished() -> bool:
        resource.update(client.get(f"/executions/{operation_id}").raise_for_status().json())
        return resource["status"] not in ("NotStarted", "Running")

    wait_until(is_finished)
    return resource


def assert_refused(answer: httpx.Response, status: int, code: str, target: str | None = None) -> None:
    assert (answer.status_code, answer.headers["x-ms-error-code"]) == (status, code)
    error = answer.json()["error"]
    assert (error["code"], error.get("target")) == (code, target)
    assert error["message"]


# Executions


def test_code_prints_and_returns_a_value(client: httpx.Client) -> None:
    resource = execute(client, "import sys\nprint('out')\nprint('err', file=sys.stderr)\n{'a': [1, 2.5, None]}")
    result = resource.pop("result")
    assert result.pop("executionTimeInMilliseconds") >= 0
    assert result == {"stdout": "out\n", "stderr": "err\n", "executionResult": {"a": [1, 2.5, None]}}
    expected = {"identifier": "session-1", "executionType": "Synchronous", "status": "Succeeded"}
    assert resource.pop("id")
    assert resource == expected


@pytest.mark.parametrize("version", NEWER_VERSIONS)
def test_answer_says_where_the_execution_is(client: httpx.Client, pod: Pod, version: ApiVersion) -> None:
    params = {"api-version": version.value}
    answer = client.post("/executions", params=params, json={"code": "1"}, headers={"operation-id": f"op-{version}"})
    assert answer.status_code == (200 if version is NEW else 202)
    assert answer.headers["operation-id"] == answer.json()["id"] == f"op-{version}"
    location = answer.headers["operation-location"]
    assert location.startswith(f"{pod.endpoint}/executions/op-{version}?")
    with httpx.Client() as other:
        assert other.get(location).json() == answer.json()


def test_execution_with_the_same_id_is_not_run_again(client: httpx.Client) -> None:
    execute(client, "n = 0")
    headers = {"operation-id": "once"}
    answers = [client.post("/executions", json={"code": "n += 1\nn"}, headers=headers).json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert result_of(client, "n")["executionResult"] == 1


def test_notebook_and_client_share_variables(client: httpx.Client) -> None:
    run_in_pod(client, "shared = 'from the notebook'")
    assert result_of(client, "shared")["executionResult"] == "from the notebook"
    result_of(client, "shared = 'from the client'")
    assert stdout_of(run_in_pod(client, "print(shared)")) == "from the client\n"


def test_failing_code_fails_with_its_traceback(client: httpx.Client) -> None:
    resource = execute(client, "print('before')\n1/0")
    assert resource["status"] == "Failed"
    assert resource["error"]["error"] == {"code": "ZeroDivisionError", "message": "division by zero"}
    assert resource["result"]["stdout"] == "before\n"
    assert "ZeroDivisionError: division by zero" in resource["result"]["stderr"]
    assert "\x1b" not in resource["result"]["stderr"]


def test_picture_comes_back_as_an_image_and_before_other_values(client: httpx.Client) -> None:
    code = f"import base64\nfrom IPython.display import Image, display\nimage = Image(base64.b64decode({PIXEL!r}))\n"
    picture = {"type": "image", "format": "png", "base64_data": PIXEL}
    assert result_of(client, code + "image")["executionResult"] == picture
    assert result_of(client, "display(image)\n'value'")["executionResult"] == picture


def test_output_is_cut_at_the_limit(client: httpx.Client) -> None:
    code = "import sys\nprint('x' * 5000)\nprint('y' * 5000, file=sys.stderr)"
    result = result_of(client, code)
    assert (result["stdout"], result["stderr"]) == ("x" * 4096, "y" * 4096)
    assert result_of(client, code, outputStreamsMaxLength=10)["stdout"] == "x" * 10
    assert len(result_of(client, code, outputStreamsMaxLength=6000)["stdout"]) == 5001


@pytest.mark.parametrize("code", ["'\\udcff'", "['\\ud83d']", "{'\\udcaa': 1}"])
def test_value_that_is_no_unicode_is_shown_as_a_cell_shows_it(client: httpx.Client, code: str) -> None:
    assert result_of(client, code)["executionResult"] == code


def test_jupyters_own_form_of_a_value(client: httpx.Client) -> None:
    forms = {"float('nan')": "nan", "'nan'": "'nan'", "4": "4", "None": None}
    for code, form in forms.items():
        assert result_of(client, code, returnJupyterFormatExecutionResult=True)["executionResult"] == form
    assert [result_of(client, code)["executionResult"] for code in forms] == ["nan", "nan", 4, ""]


def test_empty_kernel_has_none_of_the_variables(client: httpx.Client) -> None:
    result_of(client, "mine = 1")
    assert execute(client, "mine", useEmptyKernel=True)["status"] == "Failed"
    assert result_of(client, "mine")["executionResult"] == 1


def test_input_is_refused_at_once(client: httpx.Client) -> None:
    assert execute(client, "input()")["error"]["error"]["code"] == "StdinNotImplementedError"


def test_interpreter_that_dies_fails_the_execution_and_is_replaced(client: httpx.Client) -> None:
    code = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    resource = execute(client, code, useEmptyKernel=True)
    assert resource["error"]["error"]["code"] == "SessionLost"
    assert result_of(client, "1 + 1", useEmptyKernel=True)["executionResult"] == 2


@pytest.mark.parametrize("code", ["import time\ntime.sleep(60)", "import asyncio\nawait asyncio.sleep(60)"])
def test_execution_that_takes_too_long_is_interrupted(client: httpx.Client, code: str) -> None:
    resource = execute(client, f"print('begun')\n{code}", timeoutInSeconds=1)
    assert (resource["status"], resource["error"]["error"]["code"]) == ("Failed", "Timeout")
    assert resource["result"]["stdout"] == "begun\n"
    assert 900 < resource["result"]["executionTimeInMilliseconds"] < 20_000
    assert result_of(client, "'alive'")["executionResult"] == "alive"


def test_synchronous_executions_run_one_after_another(client: httpx.Client, pod: Pod) -> None:
    execute(client, "import time\nspans = []")
    code = "begun = time.monotonic()\ntime.sleep(0.2)\nspans.append((begun, time.monotonic()))"
    threads = [threading.Thread(target=execute, args=(client, code)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spans = result_of(client, "spans")["executionResult"]
    assert len(spans) == 3
    assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))


def test_execution_that_waits_too_long_never_runs(client: httpx.Client) -> None:
    """The one ahead of it is a notebook's cell, which is not interrupted."""
    execute(client, "ran = False\nimport pathlib, time\ngate = pathlib.Path('gate')")
    cell = "pathlib.Path('begun').touch()\nwhile not gate.exists(): time.sleep(0.01)\nprint('through')"
    answers: list[list[Content]] = []
    notebook = threading.Thread(target=lambda: answers.append(run_in_pod(client, cell)))
    notebook.start()
    wait_until(lambda: client.get("/files/begun").status_code == 200)
    resource = execute(client, "ran = True", timeoutInSeconds=1)
    assert resource["error"]["error"]["code"] == "Timeout"
    client.post("/files", files={"file": ("gate", b"")}).raise_for_status()
    notebook.join()
    assert stdout_of(answers[0]) == "through\n"
    assert result_of(client, "ran")["executionResult"] is False


def test_asynchronous_execution_is_polled(client: httpx.Client) -> None:
    code = "import pathlib, time\nwhile not pathlib.Path('go').exists(): time.sleep(0.01)\n'done'"
    resource = execute(client, code, executionType="Asynchronous", timeoutInSeconds=60)
    assert resource["status"] in ("NotStarted", "Running")
    assert "result" not in resource
    # It keeps neither synchronous executions nor another asynchronous one from running.
    assert result_of(client, "2 + 2")["executionResult"] == 4
    other = execute(client, "'other'", executionType="Asynchronous")
    assert wait_finished(client, other["id"])["result"]["executionResult"] == "other"
    assert client.get(f"/executions/{resource['id']}").json()["status"] == "Running"
    client.post("/files", files={"file": ("go", b"")}).raise_for_status()
    finished = wait_finished(client, resource["id"])
    assert (finished["executionType"], finished["result"]["executionResult"]) == ("Asynchronous", "done")


def test_unknown_execution_is_not_found(client: httpx.Client) -> None:
    assert_refused(client.get("/executions/none"), 404, "ExecutionNotFound", "executionId")


def test_body_that_makes_no_sense_is_refused(client: httpx.Client) -> None:
    assert_refused(client.post("/executions", content=b"{"), 400, "InvalidRequestBody", "body")


# The older versions


def test_old_version_has_bodies_of_its_own(client: httpx.Client) -> None:
    body = {"properties": {"codeInputType": "inline", "executionType": "synchronous", "code": "print(1)\n'v'"}}
    answer = client.post("/code/execute", params={"api-version": OLD.value}, json=body)
    assert answer.status_code == 200
    properties = answer.json()["properties"]
    expected = {"status": "Success", "stdout": "1\n", "stderr": "", "result": "v", "executionResult": "v"}
    assert properties.items() >= expected.items()
    assert properties["executionTimeInMilliseconds"] >= 0
    body["properties"]["code"] = "undefined"
    properties = client.post("/code/execute", params={"api-version": OLD.value}, json=body).json()["properties"]
    assert properties["status"] == "Failure"
    assert "NameError" in properties["stderr"]


@pytest.mark.parametrize("path", ["/execute", "/code/execute", "/executions"])
def test_code_may_go_to_any_path_in_any_version_which_decides_about_the_shape(client: httpx.Client, path: str) -> None:
    answer = client.post(path, json={"code": "6 * 7"}).raise_for_status().json()
    assert (answer["status"], answer["result"]["executionResult"]) == ("Succeeded", 42)
    old = client.post(path, params={"api-version": OLD.value}, json={"properties": {"code": "6 * 7"}})
    assert old.raise_for_status().json()["properties"].items() >= {"status": "Success", "result": 42}.items()
    assert_refused(client.post(path, json={"properties": {"code": "1"}}), 400, "InvalidRequestBody", "code")


def test_files_have_paths_of_their_own_in_each_version(client: httpx.Client) -> None:
    old = {"api-version": OLD.value}
    assert_refused(client.post("/files", params=old, files={"file": ("a", b"")}), 404, "NotFound")
    assert_refused(client.post("/files/upload", files={"file": ("a", b"")}), 404, "NotFound")


@pytest.mark.parametrize(("method", "path"), [("POST", "/executions"), ("GET", "/executions/x"), ("GET", "/files")])
def test_api_version_has_to_be_known(pod: Pod, method: str, path: str) -> None:
    with httpx.Client(base_url=pod.endpoint) as client:
        assert_refused(client.request(method, path), 400, "MissingApiVersionParameter", "api-version")
        answer = client.request(method, path, params={"api-version": "1999-01-01"})
        assert_refused(answer, 400, "UnsupportedApiVersionValue", "api-version")


# Files


@pytest.fixture
def files(client: httpx.Client) -> httpx.Client:
    """A client of a pod whose data folder holds nothing."""
    for entry in client.get("/files").raise_for_status().json()["value"]:
        client.delete(f"/files/{entry['name']}").raise_for_status()
    return client


def upload(client: httpx.Client, name: str, content: bytes, **params: str) -> Content:
    answer = client.post("/files", params=params, files={"file": (name, content)}).raise_for_status()
    entry: Content = answer.json()
    return entry


def test_file_goes_there_and_back(files: httpx.Client) -> None:
    entry = upload(files, "data.csv", b"a,b\n1,2\n")
    assert entry.pop("lastModifiedAt").endswith("Z")
    expected = {"name": "data.csv", "type": "File", "contentType": "text/csv", "sizeInBytes": 8, "directory": ""}
    assert entry == expected
    assert result_of(files, "open('data.csv').read()")["executionResult"] == "a,b\n1,2\n"
    answer = files.get("/files/data.csv/content")
    assert (answer.content, answer.headers["content-type"]) == (b"a,b\n1,2\n", "text/csv; charset=utf-8")
    assert files.get("/files/data.csv").json().items() >= expected.items()
    assert files.delete("/files/data.csv").status_code == 204
    for path in ("/files/data.csv", "/files/data.csv/content"):
        assert_refused(files.get(path), 404, "FileMissing")
    assert_refused(files.delete("/files/data.csv"), 404, "FileMissing")


@pytest.mark.parametrize(
    "names",
    [
        "filename=\"=?utf-8?B?Y2Fmw6kudHh0?=\"; filename*=utf-8''caf%C3%A9.txt",
        "filename*=UTF-8'fr'caf%C3%A9.txt; filename=cafe.txt",
        "filename=cafe.txt; filename*=iso-8859-1''caf%E9.txt",
    ],
)
def test_extended_name_of_a_file_counts(files: httpx.Client, names: str) -> None:
    body = f'--b\r\nContent-Disposition: form-data; name="file"; {names}\r\n\r\n1\r\n--b--\r\n'
    headers = {"content-type": "multipart/form-data; boundary=b"}
    entry = files.post("/files", content=body.encode(), headers=headers).raise_for_status().json()
    assert entry["name"] == "café.txt"


@pytest.mark.parametrize("extended", ["utf-8''caf%E9.txt", "no-such''caf%E9.txt"])
def test_extended_name_that_cannot_be_read_does_not_count(files: httpx.Client, extended: str) -> None:
    names = f"filename=plain.txt; filename*={extended}"
    body = f'--b\r\nContent-Disposition: form-data; name="file"; {names}\r\n\r\n1\r\n--b--\r\n'
    headers = {"content-type": "multipart/form-data; boundary=b"}
    assert files.post("/files", content=body.encode(), headers=headers).json()["name"] == "plain.txt"


@pytest.mark.parametrize("printed", ["os.fsdecode(b'caf\\xe9')", "'caf\\udce9'"])
def test_output_that_is_no_utf_8_is_shown_with_a_replacement_character(client: httpx.Client, printed: str) -> None:
    code = f"import os; print({printed}); print('behind it')"
    assert result_of(client, code)["stdout"] == "caf\ufffd\nbehind it\n"
    assert stdout_of(run_in_pod(client, code)) == "caf\ufffd\nbehind it\n"


def test_path_is_a_folder_below_the_data_folder(files: httpx.Client) -> None:
    upload(files, "a.txt", b"1", path="one/two")
    upload(files, "one/b.txt", b"22")
    upload(files, "/mnt/data/c.txt", b"333")
    assert [entry["name"] for entry in files.get("/files").json()["value"]] == ["c.txt", "one"]
    assert files.get("/files/a.txt/content", params={"path": "/mnt/data/one/two"}).content == b"1"
    assert files.get("/files/one%2Fb.txt/content").content == b"22"
    listed = files.get("/files", params={"path": "one"}).json()["value"]
    assert [(entry["name"], entry["type"]) for entry in listed] == [("b.txt", "File"), ("two", "Directory")]
    deep = files.get("/files", params={"recursive": "true"}).json()["value"]
    assert [(entry["directory"], entry["name"]) for entry in deep if entry["type"] == "File"] == [
        ("", "c.txt"), ("one", "b.txt"), ("one/two", "a.txt"),
    ]  # fmt: skip
    assert files.delete("/files/two", params={"path": "one"}).status_code == 204
    assert_refused(files.get("/files", params={"path": "one/two"}), 404, "FileMissing")


def test_versions_before_the_newest_know_no_directory(files: httpx.Client) -> None:
    middle = {"api-version": ApiVersion.V2025_02_02.value, "recursive": "true"}
    entry = upload(files, "one/a.txt", b"1", **middle)
    assert "directory" not in entry
    assert [entry["name"] for entry in files.get("/files", params=middle).json()["value"]] == ["one"]


def test_old_versions_files(files: httpx.Client) -> None:
    old = {"api-version": OLD.value}
    answer = files.post("/files/upload", params=old, files={"file": ("/mnt/data/sub/a b.txt", b"abc")})
    (uploaded,) = answer.raise_for_status().json()["value"]
    assert (uploaded["properties"]["filename"], uploaded["properties"]["size"]) == ("a b.txt", 3)
    files.post("/files/upload", params=old, files={"file": ("b.txt", b"1")}).raise_for_status()
    listed = files.get("/files", params=old).json()
    assert [entry["properties"]["filename"] for entry in listed["value"]] == ["b.txt"]
    numbers = [listed["$id"], *(n for entry in listed["value"] for n in (entry["$id"], entry["properties"]["$id"]))]
    assert numbers == ["1", "2", "3"]
    assert files.get("/files/content/sub/a%20b.txt", params=old).content == b"abc"
    assert files.delete("/files/b.txt", params=old).status_code == 204


@pytest.mark.parametrize(
    "path",
    [
        "%2e%2e/secret",
        "..%2fsecret",
        "%2Fetc%2Fpasswd",
        "a/%2e%2e/%2e%2e/secret",
        "%00",
        "//etc/passwd",
        "/..%2F..%2Fx",
    ],
)
@pytest.mark.parametrize("suffix", ["", "/content"])
def test_no_path_leads_out_of_the_data_folder(files: httpx.Client, pod: Pod, path: str, suffix: str) -> None:
    (pod.scratch / "secret").write_text("secret")
    target = f"/files/{path}{suffix}?api-version={NEW.value}".encode()
    answer = files.get("/", extensions={"target": target})
    assert answer.status_code in (400, 404)
    assert "x-ms-error-code" in answer.headers
    assert answer.content != b"secret"


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x"])
def test_no_upload_leads_out_of_the_data_folder(files: httpx.Client, pod: Pod, name: str) -> None:
    assert_refused(files.post("/files", files={"file": (name, b"")}), 400, "InvalidPath")
    assert_refused(files.post("/files", params={"path": name}, files={"file": ("a", b"")}), 400, "InvalidPath")
    assert not (pod.scratch / "x").exists()


def test_link_that_code_makes_does_not_lead_out(files: httpx.Client, pod: Pod) -> None:
    (pod.scratch / "secret").write_text("secret")
    result_of(files, "import os\nos.symlink('../secret', 'link')\nos.symlink('..', 'up')")
    for path in ("link", "up%2Fsecret", "link/content", "up%2Fsecret/content"):
        assert_refused(files.get(f"/files/{path}"), 400, "InvalidPath")
    assert files.get("/files").json()["value"] == []
    result_of(files, "os.remove('link'); os.remove('up')")


def test_form_without_a_file_is_refused(files: httpx.Client) -> None:
    for answer in (
        files.post("/files", content=b"abc"),
        files.post("/files", data={"file": "text"}, files={"other": ("a", b"")}),
        files.post("/files", content=b"abc", headers={"content-type": "multipart/form-data; boundary=x"}),
        files.post("/files", content=b"abc", headers={"content-type": "multipart/form-data"}),
    ):
        assert_refused(answer, 400, "InvalidMultipart", "file")


def test_form_under_another_name_is_understood(files: httpx.Client) -> None:
    body = b'--x\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\n\r\nabc\r\n--x--\r\n'
    answer = files.post("/files", content=body, headers={"content-type": "application/json"})
    assert answer.raise_for_status().json()["sizeInBytes"] == 3
    assert files.get("/files/a.txt/content").content == b"abc"


def test_upload_over_the_limit_is_refused_and_leaves_nothing(files: httpx.Client) -> None:
    answer = files.post("/files", files={"file": ("big.bin", bytes(128 * 1024 * 1024))})
    assert_refused(answer, 413, "FileTooLarge", "file")
    assert files.get("/files").json()["value"] == []


# A pod of the other kind


@pytest.fixture(scope="module")
def interpreter_pod() -> Iterator[httpx.Client]:
    options = ("--flavor", "interpreter", "--sandbox", "strict", "--sync-limit", "4")
    with (
        PodProgram.start(Path(tempfile.mkdtemp(prefix="rk-")), *options) as pod,
        httpx.Client(base_url=pod.endpoint, params={"api-version": NEW.value}, timeout=TIMEOUT_SECONDS) as client,
    ):
        yield client


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "session"), ("GET", "events"), ("POST", "messages"), ("POST", "execute")]
)
def test_pod_of_an_interpreter_pool_knows_nothing_of_notebooks(
    interpreter_pod: httpx.Client, method: str, path: str
) -> None:
    assert_refused(interpreter_pod.request(method, f"/api/v2/{path}"), 404, "NotFound")
    assert interpreter_pod.get("/health").status_code == 200


def test_synchronous_execution_cannot_ask_for_more_than_the_limit(interpreter_pod: httpx.Client) -> None:
    resource = execute(interpreter_pod, "import time\ntime.sleep(60)", timeoutInSeconds=100)
    assert resource["error"]["error"]["message"] == "The execution took longer than 4 s."


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("open('x', 'w')", "OSError"),
        ("import os\nos.open('x', os.O_CREAT)", "OSError"),
        ("import os\nos.mkdir('x')", "OSError"),
        ("import tempfile\ntempfile.TemporaryFile()", "OSError"),
        ("import subprocess\nsubprocess.Popen(['true'])", "PermissionError"),
        ("!true", "PermissionError"),
        ("import os\nos.fork()", "PermissionError"),
        (
            "import multiprocessing\nmultiprocessing.get_context('spawn').Process(target=print).start()",
            "PermissionError",
        ),
    ],
)
def test_strict_sandbox_neither_writes_nor_starts_anything(
    interpreter_pod: httpx.Client, code: str, error: str
) -> None:
    assert execute(interpreter_pod, code)["error"]["error"]["code"] == error


def test_strict_sandbox_computes_and_leaves_no_names(interpreter_pod: httpx.Client) -> None:
    assert result_of(interpreter_pod, "[name for name in dir() if 'lock' in name]")["executionResult"] == []
    answer = interpreter_pod.post("/files", files={"file": ("a", b"")})
    assert_refused(answer, 507, "NotWritable")
    assert_refused(interpreter_pod.delete("/files/a"), 507, "NotWritable")
