"""What a console is told of a line in Python before there is a session: the truth, or that it is not known."""

import pytest

from remote_kernel.kernel.before_session import local_answers
from remote_kernel.kernel.before_session.completeness import MAX_CHARACTERS, judge


@pytest.mark.parametrize(
    "code",
    [
        "",
        "\n",
        "1",
        "# a comment",
        "x = (1,\n   2)",
        "def f(x):\n  return x * 2\n\n",
        "await x",
        "if x: pass\n",
        "'\\z'",
    ],
)
def test_what_can_be_run_is_complete(code: str) -> None:
    assert judge(code) == {"status": "complete"}


@pytest.mark.parametrize(
    ("code", "indent"),
    [("x = (", ""), ("'''", ""), ("@decorator", ""), ("for i in x:", "    "), ("def f():\n  1", "  ")],
)
def test_what_goes_on_is_incomplete(code: str, indent: str) -> None:
    assert judge(code) == {"status": "incomplete", "indent": indent}


@pytest.mark.parametrize(
    "code",
    [
        *("!ls", "%time", "%%bash\nls", "a = !ls", "a = %time", "len?"),
        *("import = 7q", "a\0b", "(" * 300, "1\n" * MAX_CHARACTERS),
    ],
    ids=["shell", "magic", "cell magic", "shell's value", "magic's value", "question", "wrong", "zero", "deep", "long"],
)
def test_what_only_the_kernel_in_the_pod_can_tell_is_unknown(code: str) -> None:
    assert judge(code) == {"status": "unknown"}


def test_of_another_language_nothing_is_known() -> None:
    reply = local_answers.without_session("is_complete_request", {"code": "if x:"}, is_python=False)
    assert reply == {"status": "unknown"}
