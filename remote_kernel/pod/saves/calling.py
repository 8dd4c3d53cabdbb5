"""Calls a program that was sent as an archive, in the IPython interpreter that runs this; see `pod.saves.save_call`.

`main` is sent as text, needs Python's own library only, of any version from 3.9 on, and leaves no name behind.
"""

from typing import Any


def main(argument: dict[str, Any]) -> object:
    """Call the program; return what shows as JSON: its answer, or a problem."""
    import importlib
    import json
    import sys
    from pathlib import Path

    package, archive = argument["package"], argument["archive"]

    class Told:
        """An answer that is shown as it is, whatever IPython makes of texts here."""

        def __init__(self, fields: dict[str, Any]) -> None:
            self._text = json.dumps(fields)

        def __repr__(self) -> str:
            return self._text

    def load() -> Any:
        loaded = sys.modules.get(package)
        if loaded is not None and str(loaded.__file__).startswith(archive):
            return loaded
        for name in [name for name in sys.modules if name.partition(".")[0] == package]:
            del sys.modules[name]
        sys.path.append(archive)
        try:
            importlib.invalidate_caches()
            return importlib.import_module(package)
        finally:
            sys.path.remove(archive)

    try:
        if argument["folder"] and not Path(argument["folder"]).is_dir():
            return Told({"problem": "It was given up before it had begun."})
        return Told({"answer": json.loads(load().call(argument["call"], json.dumps(argument["arguments"])))})
    except KeyboardInterrupt:
        return Told({"problem": "It was interrupted."})
    except MemoryError:
        return Told({"problem": "The session has too little memory for it."})
    except BaseException as error:  # also `SystemExit`, of code that is loaded
        return Told({"problem": f"The program has failed in the session ({type(error).__name__}: {error})."[:500]})
