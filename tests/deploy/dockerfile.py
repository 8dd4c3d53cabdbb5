"""Reads a Dockerfile, and does what it says in folders instead of layers."""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its word, its options, and the rest."""

    word: str
    text: str
    options: dict[str, str] = field(default_factory=dict)

    @property
    def arguments(self) -> list[str]:
        """The words after the options; of a list in JSON, its elements."""
        if self.text.startswith("["):
            words: list[str] = json.loads(self.text)
            return words
        return shlex.split(self.text)


def parse(text: str) -> list[Instruction]:
    """Read a Dockerfile without here-documents and parser directives."""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n", " ", lines)
    return [_parse_line(line.strip()) for line in joined.splitlines() if line.strip()]


def _parse_line(line: str) -> Instruction:
    word, rest = line.split(maxsplit=1)
    options = {}
    while found := re.match(r"--([\w-]+)=(\S+)\s+", rest):
        options[found[1]] = found[2]
        rest = rest[found.end() :]
    return Instruction(word.upper(), re.sub(r"\s+", " ", rest), options)


def stages(instructions: list[Instruction]) -> Iterator[tuple[str, list[Instruction]]]:
    """Return each stage's name, "" where it has none, and what is in it, with its FROM."""
    starts = [number for number, instruction in enumerate(instructions) if instruction.word == "FROM"]
    for start, end in zip(starts, [*starts[1:], len(instructions)], strict=True):
        words = instructions[start].arguments
        yield (words[2] if len(words) == 3 else ""), instructions[start:end]


def ignores(rules: list[str], path: str) -> bool:
    """Whether a .dockerignore keeps `path` out of the build: the last rule that applies to it, or to a folder of it."""
    parents = ["/".join(path.split("/")[:length]) for length in range(1, path.count("/") + 2)]
    is_ignored = False
    for rule in rules:
        pattern = rule.removeprefix("!").removeprefix("**/")
        candidates = [*parents, *path.split("/")] if "**/" in rule else parents
        if any(fnmatch(candidate, pattern) for candidate in candidates):
            is_ignored = not rule.startswith("!")
    return is_ignored


class Build:
    """Stages as folders: absolute paths of the image are moved below the stage's folder.

    Args:
        context: the files of the build.
        folder: where the stages go.
        paths: the absolute paths that the Dockerfile uses of an image.
        run: does a RUN command, moved, in a working folder.
    """

    def __init__(self, context: Path, folder: Path, paths: list[str], run: Callable[[str, Path], None]) -> None:
        self._context = context
        self._folder = folder
        self._run = run
        self._pattern = re.compile(rf"(?<![\w./])({'|'.join(map(re.escape, paths))})(?![\w-])")
        self._stages: dict[str, Path] = {}

    def make(self, stage: str, instructions: list[Instruction]) -> "Image":
        """Do the instructions of one stage."""
        root = self._stages[stage] = self._folder / (stage or "image")
        root.mkdir()
        image = Image(root, self.move)
        for instruction in instructions:
            match instruction.word:
                case "WORKDIR":
                    image.workdir = Path(self.move(root, instruction.text))
                    image.workdir.mkdir(parents=True, exist_ok=True)
                case "COPY":
                    self._copy(image, instruction)
                case "RUN":
                    self._run(self.move(root, instruction.text), image.workdir)
                case "ENV":
                    for word in instruction.arguments:
                        name, _, value = word.partition("=")
                        image.environ[name] = value
                case "USER" | "EXPOSE" | "HEALTHCHECK" | "ENTRYPOINT" | "CMD":
                    image.settings[instruction.word] = instruction
        return image

    def move(self, root: Path, text: str) -> str:
        """Return `text` with the image's paths below `root`."""
        return self._pattern.sub(lambda found: str(root) + found[0], text)

    def _copy(self, image: "Image", instruction: Instruction) -> None:
        *sources, target = instruction.arguments
        stage = instruction.options.get("from")
        origin = self._stages[stage] if stage else self._context
        destination = Path(self.move(image.root, target))
        destination = destination if destination.is_absolute() else image.workdir / destination
        for source in sources:
            _copy(origin / source.lstrip("/"), destination, into=target.endswith("/"))


def _copy(source: Path, destination: Path, *, into: bool) -> None:
    if source.is_dir():
        shutil.copytree(source, destination, dirs_exist_ok=True, symlinks=True)
        return
    target = destination / source.name if into else destination
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


class Image:
    """The last stage: what would be in the image, and how it is started."""

    def __init__(self, root: Path, move: Callable[[Path, str], str]) -> None:
        self.root = root
        self.workdir = root
        self.environ: dict[str, str] = {}
        self.settings: dict[str, Instruction] = {}
        self._move = move

    def command(self, word: str) -> list[str]:
        """Return the command of an instruction; of a HEALTHCHECK, what follows its CMD."""
        text = self.settings[word].text.removeprefix("CMD ")
        return [self._move(self.root, argument) for argument in Instruction(word, text).arguments]

    def environment(self) -> dict[str, str]:
        """Return the environment of a container: the image's, and the PATH of the machine behind it."""
        expanded = {name: value.replace("${PATH}", os.environ["PATH"]) for name, value in self.environ.items()}
        return {name: self._move(self.root, value) for name, value in expanded.items()}


def run_shell(command: str, folder: Path) -> None:
    """Do a RUN command as an engine does, with `sh`."""
    done = subprocess.run(["/bin/sh", "-ec", command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
