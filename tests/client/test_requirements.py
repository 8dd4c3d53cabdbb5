"""Requirements as users write them."""

from pathlib import Path

import pytest

from remote_kernel.client.packages.requirements import allowed_hashes, parse_wanted
from remote_kernel.core.errors import UsageError
from tests.wheels import make_wheel

FILE = """\
# what the notebook needs
numpy >= 1.26   # and not older
pandas[hdf]==2.1.0 ; python_version > "3.8" \\
    --hash=sha256:{zeros} \\
    --hash=sha256:{ones}

-r more/others.txt
--constraint=limits.txt
--index-url https://example.org/simple
-f wheels
--pre
--only-binary :all:
"""


def test_a_file_of_pip_s_form_is_read_with_those_that_it_names(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text(FILE.format(zeros="0" * 64, ones="1" * 64))
    (tmp_path / "more").mkdir()
    (tmp_path / "more/others.txt").write_text("\ufeffseaborn\n-rlast.txt\n")
    (tmp_path / "more/last.txt").write_text("tqdm")
    (tmp_path / "limits.txt").write_text("scipy<2")
    wanted = parse_wanted(["rich"], ["r.txt"], tmp_path)
    assert [str(each) for each in wanted.requirements] == [
        "rich", "numpy>=1.26", 'pandas[hdf]==2.1.0; python_version > "3.8"', "seaborn", "tqdm",
    ]  # fmt: skip
    assert [str(each) for each in wanted.constraints] == ["scipy<2"]
    assert wanted.options == [
        "--index-url", "https://example.org/simple", "-f", str(tmp_path / "wheels"), "--pre",
    ]  # fmt: skip
    assert allowed_hashes(wanted.hashes, "pandas") == {"0" * 64, "1" * 64}
    assert allowed_hashes(wanted.hashes, "numpy") == set()


def test_a_wheel_is_named_by_its_path(tmp_path: Path) -> None:
    path = make_wheel(tmp_path / "my dist", "rk-own")
    (wanted,) = parse_wanted(["my dist/rk_own-1.0-py3-none-any.whl"], [], tmp_path).requirements
    assert (wanted.name, wanted.url) == ("rk-own", path.resolve().as_uri())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-e .", "'-e .' is not understood: build a wheel"),
        ("./folder", "'./folder' is no requirement that can be sent: build a wheel"),
        ("git+https://x/y", "is no requirement that can be sent: build a wheel"),
        ("-r nosuch.txt", "nosuch.txt: No such file or directory"),
        ("-r r.txt", "names itself, or too many files"),
        ("--install-option=x", "is not understood"),
        ("-i", "is not understood"),
    ],
)
def test_a_line_that_cannot_be_sent_is_named(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text(text)
    with pytest.raises(UsageError) as raised:
        parse_wanted([], ["r.txt"], tmp_path)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a b", "'a b' is not the name of a package"),
        ("--pre", "'--pre' is not the name of a package"),
        ("nosuch-1.0-py3-none-any.whl", "There is no wheel 'nosuch-1.0-py3-none-any.whl' on this machine."),
        ("nosuch.whl", "'nosuch.whl' is not the name of a wheel."),
    ],
)
def test_a_word_that_is_no_requirement_is_named(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        parse_wanted([text], [], tmp_path)
    assert said in str(raised.value)
