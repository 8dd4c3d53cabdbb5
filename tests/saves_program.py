"""A small program that answers calls by the contract of `core.wire.saves`, and the archive that it travels in."""

import hashlib
import io
import zipfile

from remote_kernel.core.wire.saves import program_name

SOURCE = """
import hashlib, json, os, pickle, time

def call(name, arguments):
    return json.dumps(globals()["do_" + name](**json.loads(arguments)))

def write(folder, name, content):
    with open(os.path.join(folder, name + ".new"), "wb") as file:
        file.write(content)
    os.replace(os.path.join(folder, name + ".new"), os.path.join(folder, name))

def tell(folder, state, **fields):
    write(folder, "progress.json", json.dumps({"state": state, "step": "saving", **fields}).encode())

def shell():
    from IPython import get_ipython
    return get_ipython()

def variables():
    hidden = shell().user_ns_hidden
    return {k: v for k, v in shell().user_ns.items() if k not in hidden and not k.startswith("_")}

def do_save(folder, known=(), limits=None, fork=False, **more):
    pid = os.fork() if fork else None
    if pid:
        return {"mode": "fork", "pid": pid}
    try:
        tell(folder, "running")
        objects_folder = os.path.join(folder, "objects")
        os.makedirs(objects_folder, exist_ok=True)
        for _ in range(int(more.get("seconds", 0) * 50)):
            time.sleep(0.02)
        if more.get("dies"):
            os._exit(9)
        packs, objects = [], []
        for name, value in variables().items():
            content = pickle.dumps({name: value})
            pieces = [content[at:at + 4194304] for at in range(0, len(content), 4194304)]
            pairs = [[hashlib.sha256(piece).hexdigest(), len(piece)] for piece in pieces]
            packs.append({"objects": pairs})
            objects += [pair for pair in pairs if pair not in objects]
            for (hash, _), piece in zip(pairs, pieces):
                if hash not in known:
                    write(objects_folder, hash, b"\\0" + piece)
        manifest = {"format": 1, "python": "3", "implementation": "cpython", "libraries": {}, "execution_count": 1,
                    "packs": packs, "objects": objects, "saved": len(packs), "lost": [], "lost_count": 0, "bytes": 0}
        write(folder, "manifest.json", json.dumps(manifest).encode())
        tell(folder, "done", done=len(packs), total=len(packs))
    except BaseException as error:
        tell(folder, "failed", problem="It failed: %s." % type(error).__name__)
        if not fork:
            raise
    finally:
        if fork:
            os._exit(0)
    return {"mode": "in place", "pid": None}

def do_restore(folder, objects, packs, names=None, force=False, **more):
    restored, conflicts = [], []
    for pack in packs:
        content = b"".join(open(os.path.join(objects, hash), "rb").read()[1:] for hash, _ in pack["objects"])
        for name, value in pickle.loads(content).items():
            if names is None or name in names:
                if name in variables() and not force:
                    conflicts.append(name)
                shell().user_ns[name] = value
                restored.append({"name": name, "type": type(value).__name__, "cell": None})
    return {"restored": [] if conflicts else restored, "lost": [], "warnings": [], "conflicts": conflicts}

def do_changed(**more):
    return {"count": shell().execution_count, "variables": len(variables())}

def do_print(**more):
    print("of the call")
    return {}

def do_many(count, **more):
    row = {"name": "x" * 50, "type": "int", "cell": None}
    return {"restored": [row] * count, "lost": [], "warnings": [], "conflicts": []}

def do_fail(**more):
    raise ValueError("no")
"""


def archive(source: str = SOURCE) -> tuple[str, bytes]:
    """Return a program's name and its archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("_remote_kernel_namespace/__init__.py", source)
    content = buffer.getvalue()
    return program_name(hashlib.sha256(content).hexdigest()), content
