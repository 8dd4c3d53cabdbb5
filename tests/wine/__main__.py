"""Makes a Python for Windows in .build/wine, with the package and what its tests need: `make wine`.

Wine and a compiler for Windows are Debian's (`wine`, `gcc-mingw-w64-x86-64`). Python for Windows is no package of PyPI;
panda3d's wheel has Python's DLL and compiled modules in it, for the programs that are made with panda3d. The rest of
the library is that of the Python that runs this, as it is the same text for all systems.

`python -m tests.wine -m pytest …` makes it, where it is missing, and runs it with these arguments.
"""

import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Sequence
from importlib.metadata import requires
from pathlib import Path

from tests.wine.windows import COMPILER, FOLDER, PYTHON, environ, run_python

ROOT = Path(__file__).parents[2]
MADE = FOLDER / "made"  # behind all the rest: what was begun and not ended is begun anew
VERSION = f"{sys.version_info.major}{sys.version_info.minor}"

# Of the wheel's libraries, what belongs beside the program, and not beside the compiled modules.
BESIDE_PROGRAM = (f"python{VERSION}.dll", "VCRUNTIME140.dll", "VCRUNTIME140_1.dll")

PROGRAM = """\
#include <wchar.h>
__declspec(dllimport) int Py_Main(int, wchar_t **);
int wmain(int count, wchar_t **words) { return Py_Main(count, words); }
"""

# What Rust's library wants of Windows 10, and Wine 8 does not have.
RANDOM = """\
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE to, SIZE_T count) { return SystemFunction036(to, (ULONG)count); }
"""

# What pip does not see that Windows needs, as it runs on Linux, and what the tests need of our extras.
MORE = (
    "colorama",
    "hypothesis",
    "jsonschema<4.25",
    "pip",
    "psutil",
    "pytest",
    "pytest-timeout",
    "pytest-xdist",
    "pywin32",
)
FOR_WINDOWS = ("--platform", "win_amd64", "--python-version", VERSION, "--only-binary", ":all:")


def main(arguments: Sequence[str]) -> int:
    if missing := [name for name in ("wine", COMPILER) if shutil.which(name) is None]:
        print(f"There is no {' and no '.join(missing)}: apt-get install wine gcc-mingw-w64-x86-64", file=sys.stderr)
        return 2
    if not MADE.exists():
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(parents=True)
        make_interpreter()
        make_library()
        MADE.touch()
    if not arguments:
        return install_package()
    # It does not take a file for its standard output, nor no input.
    command = ["wine", str(PYTHON), *arguments]
    with subprocess.Popen(
        command, env=environ(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.buffer.write(line)
            sys.stdout.flush()
    return process.returncode


def make_interpreter() -> None:
    """Take apart the wheel, and compile what starts Python."""
    pip("download", "--no-deps", *FOR_WINDOWS, "--dest", str(FOLDER), "panda3d")
    (wheel,) = FOLDER.glob("panda3d*.whl")
    modules = FOLDER / "DLLs"
    modules.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            folder, _, base = name.rpartition("/")
            if folder == "deploy_libs" and not base.startswith("api-ms"):
                place = FOLDER if base in BESIDE_PROGRAM else modules
                (place / base).write_bytes(archive.read(name))
    wheel.unlink()
    library = f"python{VERSION}.dll"
    compile_for_windows("random.c", RANDOM, "-shared", "-o", "bcryptprimitives.dll", "random.c", "-ladvapi32")
    names = exported_by(FOLDER / library)
    forwards = "".join(f"  {name} = python{VERSION}.{name}\n" for name in names)
    (FOLDER / "python3.def").write_text(f"LIBRARY python3.dll\nEXPORTS\n{forwards}")
    compile_for_windows(
        "none.c", "", "-shared", "-nostdlib", "-Wl,--entry=0", "-o", "python3.dll", "none.c", "python3.def"
    )
    compile_for_windows("python.c", PROGRAM, "-municode", "-o", "python.exe", "python.c", library)


def compile_for_windows(file: str, text: str, *arguments: str) -> None:
    (FOLDER / file).write_text(text)
    subprocess.run([COMPILER, "-O1", *arguments], cwd=FOLDER, check=True)


def exported_by(library: Path) -> list[str]:
    """Return the names that Python's DLL exports: those of the stable interface are among them."""
    command = [COMPILER.replace("gcc", "objdump"), "-p", str(library)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    _, _, table = text.partition("[Ordinal/Name Pointer] Table")
    words = [line.split()[-1] for line in table.splitlines() if line.split()]
    return [word for word in words if word.startswith(("Py", "_Py"))]


def make_library() -> None:
    """Copy Python's own library, and install what the package and its tests import."""
    left_out = shutil.ignore_patterns("site-packages", "lib-dynload", "test", "__pycache__")
    shutil.copytree(sysconfig.get_path("stdlib"), FOLDER / "Lib", ignore=left_out)
    wanted = [line.partition(";")[0] for line in requires("remote-session-kernel") or () if "extra ==" not in line]
    pip("install", *FOR_WINDOWS, "--target", str(FOLDER / "Lib" / "site-packages"), *wanted, *MORE)


def install_package() -> int:
    """Install the package as it is now, by pip under Wine, which puts its programs and kernelspec where they belong."""
    wheels = FOLDER / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(ROOT))
    (wheel,) = wheels.iterdir()
    arguments = ("install", "--quiet", "--no-deps", "--no-index", "--force-reinstall", "--no-warn-script-location")
    return run_python("-m", "pip", *arguments, str(wheel), env=environ()).returncode


def pip(*arguments: str) -> None:
    command: Sequence[str] = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)
    subprocess.run(command, check=True, stderr=None if "--verbose" in arguments else subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
