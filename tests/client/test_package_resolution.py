"""Which versions a pod's interpreter gets, given what it has and what there is."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from remote_kernel.client.packages.requirements import parse_wanted
from remote_kernel.client.packages.resolution import Found, is_satisfied, resolve
from remote_kernel.core.errors import UsageError
from remote_kernel.core.wire.packages import Packages

POD = Packages(
    pod="pod-1",
    python="3.12.4",
    implementation="cp",
    abi="cp312",
    platforms=["manylinux_2_36_x86_64"],
    markers={
        "sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "python_version": "3.12",
        "python_full_version": "3.12.4", "implementation_name": "cpython", "platform_machine": "x86_64",
    },
    installer="pip 24.0",
    installed={"numpy": "1.26.4", "pandas": "2.1.0", "odd": "not a version"},
)  # fmt: skip

INDEX: Mapping[str, Mapping[str, Sequence[str]]] = {
    "numpy": {"1.26.4": [], "2.0": []},
    "pandas": {"2.1.0": ["numpy>=1.2", 'pytables; extra == "hdf"'], "2.2": ["numpy>=2"]},
    "pytables": {"3.0": ["numpy"]},
    "seaborn": {"0.13": ["pandas>=2", "numpy"]},
    "needs-two": {"1.0": ["numpy>=2"]},
    "wants-old": {"1.0": ["helper<2"]},
    "helper": {"1.5": ["only-of-old"], "2.5": []},
    "only-of-old": {"1": []},
    "windows": {"1.0": ['pywin32; sys_platform == "win32"', 'pexpect; sys_platform != "win32"']},
    "pexpect": {"4.0": ['typing-extensions; python_version < "3.11"']},
    "ring-a": {"1": ["ring-b"]},
    "ring-b": {"1": ["ring-a[more]"]},
    "everything": {"1": ['everything[one]; extra == "all"', 'pexpect; extra == "one"']},
    "odd": {"1.0": ["not a requirement!"]},
    "builds": {"1.0": ["evil @ https://x/evil-1.0.tar.gz"]},
    "reads": {"1.0": ["evil @ file:///home/evil-1.0-py3-none-any.whl"]},
}


class Index:
    """An index in memory; `asked` has the lines of each round."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    async def find(self, lines: Sequence[str]) -> list[Found]:
        self.asked.append([*lines])
        return [self._best(Requirement(line)) for line in lines]

    def _best(self, requirement: Requirement) -> Found:
        name = canonicalize_name(requirement.name)
        fitting = [version for version in INDEX.get(name, {}) if requirement.specifier.contains(version)]
        if not fitting:
            raise UsageError(f"no {requirement}")
        version = max(fitting, key=Version)
        return Found(name=name, version=version, url=f"https://x/{name}", requires=tuple(INDEX[name][version]))


def chosen(*wanted: str, index: Index | None = None, files: Sequence[str] = ()) -> list[str]:
    parsed = parse_wanted(wanted, files, Path.cwd())
    found = asyncio.run(resolve(parsed, POD, (index or Index()).find))
    return [f"{each.name} {each.version}" for each in found]


def test_what_the_pod_has_is_not_looked_for() -> None:
    index = Index()
    assert chosen("seaborn", "numpy>=1.20", index=index) == ["seaborn 0.13"]
    assert index.asked == [["seaborn"]]


def test_nothing_is_asked_where_all_is_there() -> None:
    wanted = parse_wanted(["numpy", "pandas>=2", 'nosuch; sys_platform == "win32"'], [], Path())
    assert is_satisfied(wanted, POD)
    assert not is_satisfied(parse_wanted(["numpy>=2"], [], Path()), POD)
    assert not is_satisfied(parse_wanted(["numpy", "seaborn"], [], Path()), POD)
    assert not is_satisfied(parse_wanted(["odd"], [], Path()), POD)


def test_what_is_too_old_there_is_replaced() -> None:
    assert chosen("needs-two") == ["needs-two 1.0", "numpy 2.0"]


def test_markers_are_those_of_the_pod() -> None:
    assert chosen("windows") == ["pexpect 4.0", "windows 1.0"]


def test_a_choice_that_another_requirement_excludes_is_made_anew_with_what_only_it_wanted() -> None:
    assert chosen("helper", "wants-old") == ["helper 1.5", "only-of-old 1", "wants-old 1.0"]


def test_extras_of_what_is_there_bring_only_what_they_want() -> None:
    index = Index()
    assert chosen("pandas[hdf]", index=index) == ["pytables 3.0"]
    assert index.asked == [["pandas[hdf]==2.1.0"], ["pytables"]]


def test_extras_that_name_other_extras_of_the_same_are_followed() -> None:
    assert chosen("everything[all]") == ["everything 1", "pexpect 4.0"]


def test_requirements_in_a_ring_come_to_an_end() -> None:
    assert chosen("ring-a") == ["ring-a 1", "ring-b 1"]


def test_a_pod_that_says_nonsense_of_itself_is_asked_for_nothing_more() -> None:
    pod = replace(POD, markers={**POD.markers, "python_full_version": "\x00", "sys_platform": "--pre"})
    wanted = parse_wanted(
        ['nosuch; python_full_version >= "3"', 'nosuch; sys_platform == "linux"', "helper"], [], Path()
    )
    found = asyncio.run(resolve(wanted, pod, Index().find))
    assert [each.name for each in found] == ["helper"]


def test_metadata_that_nobody_can_read_costs_nothing() -> None:
    assert chosen("odd") == ["odd 1.0"]


def test_pins_that_exclude_each_other_are_told_with_who_wants_them() -> None:
    with pytest.raises(UsageError, match=r"one requirement asks for helper 2\.5, and wants-old 1\.0 for helper<2: "):
        chosen("helper==2.5", "wants-old")


def test_what_cannot_be_found_is_told() -> None:
    with pytest.raises(UsageError, match="no nosuch"):
        chosen("nosuch")


def test_constraints_hold_for_what_is_asked_for_and_bring_nothing(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("helper<2\npexpect<1\n")
    (tmp_path / "r.txt").write_text("-c c.txt\nhelper\n")
    assert chosen(files=[str(tmp_path / "r.txt")]) == ["helper 1.5", "only-of-old 1"]


@pytest.mark.parametrize("name", ["builds", "reads"])
def test_a_package_has_nothing_built_or_read_on_this_machine(name: str) -> None:
    with pytest.raises(UsageError, match=r"1\.0 asks for evil at '.*', which is no wheel on the web"):
        chosen(name)
