"""Requirements as users write them."""

import os
from pathlib import Path

import pytest

from remote_kernel.client.packages.requirements import allowed_hashes, parse_wanted, paths_named_by, wanted_by
from remote_kernel.core.errors import UsageError
from remote_kernel.core.project_settings import ProjectSettings
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


def test_all_paths_that_a_project_s_packages_are_named_by_are_known(tmp_path: Path) -> None:
    pages = (tmp_path / "pages").as_uri()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/r.txt").write_text(
        f"numpy\n? no requirement\n-r more.txt\n-c '../limits one.txt'\n-f wheels\n--index-url={pages}\n-r r.txt\n"
        "-r a\0b\n--find-links https://example.org/x\nmine @ https://example.org/x.whl\ndist/a-1-py3-none-any.whl\n"
        f"b @ {pages}/b-1-py3-none-any.whl ; python_version > '3'\n-r ~nobody-at-all/r.txt\n"
    )
    (tmp_path / "deep/more.txt").write_text("-rlast.txt")
    named = paths_named_by(ProjectSettings(folder=str(tmp_path), packages_file="deep/r.txt"))
    assert {Path(os.path.normpath(path)).relative_to(tmp_path).as_posix() for path in named} == {
        "deep/r.txt", "deep/more.txt", "deep/last.txt", "limits one.txt", "deep/wheels", "pages", "deep/a\0b",
        "dist/a-1-py3-none-any.whl", "pages/b-1-py3-none-any.whl",
    }  # fmt: skip
    named = paths_named_by(ProjectSettings(folder=str(tmp_path), packages=("numpy", "dist/a-1-py3-none-any.whl")))
    assert named == {tmp_path / "dist/a-1-py3-none-any.whl"}


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
        ("--editable=.", "is not understood"),
        ("x @ git+https://example.org/x", "is no requirement that can be sent: build a wheel"),
        ("x @ git+https://example.org/x-1.0-py3-none-any.whl", "is no requirement that can be sent: build a wheel"),
        ("x @ https://example.org/x-1.0.tar.gz", "is no requirement that can be sent: build a wheel"),
        ("x @ https://example.org/x-1.0.tar.gz#x-1.0-py3-none-any.whl", "is no requirement that can be sent"),
        ("x @ https://example.org/x-1.0.tar.gz?x-1.0-py3-none-any.whl", "is no requirement that can be sent"),
        ("x @ file:///home/folder", "is no requirement that can be sent: build a wheel"),
        ("x @ file://elsewhere/x-1.0-py3-none-any.whl", "is no requirement that can be sent: build a wheel"),
        ("-i https://example.org/simple --trusted-host example.org", "is not understood"),
        ("-i git+https://example.org/simple", "is no place"),
        ("-f git+https://example.org/simple", "is no place"),
        ("--proxy http://example.org", "is not understood"),
        ("x==1 --hash=sha512:" + "0" * 128, "has no checksum of the kind sha256"),
        ("-i https://${SECRET}@example.org/simple", "no variable of this machine is put into requirements"),
        ("x @ https://example.org/${SECRET}/x-1.0-py3-none-any.whl", "no variable of this machine"),
        ("-r .", "it is no file"),
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


def test_a_login_in_an_address_is_not_told(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text(
        "--extra-index-url https://me:secret@one.example/simple\n--trusted-host two.example\n"
        "x @ https://three.example:8443/x-1.0-py3-none-any.whl\n-f wheels\n"
    )
    wanted = parse_wanted(["y @ https://typed.example/y-1.0-py3-none-any.whl"], ["r.txt"], tmp_path)
    assert wanted.describe_sources() == (
        " What was asked for has packages looked for at one.example, three.example:8443, two.example (whose "
        "certificate is not checked): who is there decides what they do."
    )
    assert parse_wanted(["numpy"], [], tmp_path).describe_sources() == ""


@pytest.mark.parametrize(
    "line",
    [
        "-r ../outside.txt",
        "-c ../outside.txt",
        "-r link.txt",
        "-r {outside}",
        "-f ..",
        "-f {folder}",
        "-f file://{folder}",
        "-i file://{folder}",
        "../rk_out-1.0-py3-none-any.whl",
        "rk-out @ file://{folder}/rk_out-1.0-py3-none-any.whl",
    ],
)
def test_a_project_names_nothing_outside_its_folder(line: str, tmp_path: Path) -> None:
    make_wheel(tmp_path, "rk-out")
    (tmp_path / "outside.txt").write_text("a-token-of-somebody")
    project = tmp_path / "project"
    (project / "deep").mkdir(parents=True)
    (project / "link.txt").symlink_to("../outside.txt")
    (project / "deep/r.txt").write_text("numpy\n-r ../more.txt\n")
    (project / "more.txt").write_text(line.format(outside=tmp_path / "outside.txt", folder=tmp_path))
    with pytest.raises(UsageError, match="which is outside its folder") as raised:
        parse_wanted([], ["deep/r.txt"], project, within=project)
    assert "a-token-of-somebody" not in str(raised.value)
    parse_wanted([], ["deep/r.txt"], project)  # what the user has named may name anything
    (project / "more.txt").write_text("pandas")
    wanted = parse_wanted([], ["deep/r.txt"], project, within=project)
    assert [each.name for each in wanted.requirements] == ["numpy", "pandas"]


def test_a_project_s_list_names_nothing_outside_its_folder(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "rk-out")
    (tmp_path / "project").mkdir()
    (tmp_path / "project/link.txt").symlink_to(make_wheel(tmp_path, "rk-out"))
    for names, files in [([str(path)], []), ([f"../{path.name}"], []), ([], ["link.txt"])]:
        with pytest.raises(UsageError, match="which is outside its folder"):
            parse_wanted(names, files, tmp_path / "project", within=tmp_path / "project")
    with pytest.raises(UsageError, match="which is outside its folder"):
        wanted_by(ProjectSettings(folder=str(tmp_path / "project"), packages_file="link.txt"))


def test_files_that_name_ever_more_files_come_to_an_end(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number}.txt").write_text(f"-r {number + 1}.txt\n" * 10)
    (tmp_path / "12.txt").write_text("")
    with pytest.raises(UsageError, match="too many files"):
        parse_wanted([], ["0.txt"], tmp_path)


def test_a_file_that_is_no_list_of_requirements_is_not_read_to_its_end(tmp_path: Path) -> None:
    with (tmp_path / "r.txt").open("wb") as file:
        file.truncate(10_000_000_000)  # a hole, which takes no room
    with pytest.raises(UsageError, match="too large"):
        parse_wanted([], ["r.txt"], tmp_path)
    with pytest.raises(UsageError, match="it is no file"):
        parse_wanted([], ["/dev/zero"], tmp_path)


def test_where_one_has_a_checksum_all_need_one(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text(f"numpy==1.0 --hash sha256:{'A' * 64}\nscipy\n")
    wanted = parse_wanted([], ["r.txt"], tmp_path)
    assert wanted.requires_hashes
    assert allowed_hashes(wanted.hashes, "numpy") == {"a" * 64}
    (tmp_path / "r.txt").write_text("--require-hashes\nnumpy\n")
    assert parse_wanted([], ["r.txt"], tmp_path).requires_hashes
