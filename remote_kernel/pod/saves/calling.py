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
    # What is longer would not arrive: a report on very many variables, whose whole is in a file.
    most_bytes = argument["answer_bytes"]

    class Told:
        """An answer that is shown as it is, whatever IPython makes of texts here."""

        def __init__(self, fields: dict[str, Any]) -> None:
            self._text = json.dumps(fields)

        def __repr__(self) -> str:
            return self._text

    def shortened(answer: str) -> Any:
        """Return an answer that is short enough, with the numbers of what is left out of its lists."""
        fields = json.loads(answer)
        lists = {name: rows for name, rows in fields.items() if isinstance(rows, list)}
        most = max(map(len, lists.values()), default=0)
        while len(answer) > most_bytes and most > 1:
            most //= 2
            fields.update((name, rows[:most]) for name, rows in lists.items())
            fields.update((f"more_{name}", len(rows) - most) for name, rows in lists.items() if len(rows) > most)
            answer = json.dumps(fields)
        return fields

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
        return Told({"answer": shortened(load().call(argument["call"], json.dumps(argument["arguments"])))})
    except KeyboardInterrupt:
        return Told({"problem": "It was interrupted."})
    except MemoryError:
        return Told({"problem": "The session has too little memory for it."})
    except BaseException as error:  # also `SystemExit`, of code that is loaded
        return Told({"problem": f"The program has failed in the session ({type(error).__name__}: {error})."[:500]})
