"""Run code or a script in a fresh process, where neither a host nor mmext is imported yet."""

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
from pathlib import Path

ROOT = Path(__file__).parents[1]
TIMEOUT = 300  # seconds

# For the head of such code: sys.meta_path.insert(0, Block("mmseg")) makes a package look
# uninstalled.
BLOCK = """
import sys
from importlib.abc import MetaPathFinder

class Block(MetaPathFinder):
    def __init__(self, *names):
        self.names = names
    def find_spec(self, fullname, path, target=None):
        if fullname.split(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
"""

# Torch and what it brings take five sixths of the time that a host takes to import. This process
# has them, and forks a child for each piece of code.
PARENT = """
import importlib, json, os, signal, sys, traceback, types
for name in ("torch", "torchvision", "scipy.stats", "matplotlib.pyplot"):
    try:
        importlib.import_module(name)
    except Exception:  # torchvision may be missing, or of another build
        sys.modules.pop(name, None)
print("ready", flush=True)

def child(task):
    os.setsid()  # it is killed with all that it starts
    for stream, file in enumerate((task["stdout"], task["stderr"]), start=1):
        with open(file, "ab", buffering=0) as output:  # one after the other where both are one file
            os.dup2(output.fileno(), stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(task["env"])
    os.chdir(task["cwd"])
    sys.path[1:1] = filter(None, task["env"].get("PYTHONPATH", "").split(os.pathsep))
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    exec(compile(task["code"], "<string>", "exec"), main.__dict__)

for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        try:
            child(json.loads(line))
        except SystemExit:
            raise
        except BaseException:
            traceback.print_exc()
            sys.exit(1)
        sys.exit()
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""
_parents: list[subprocess.Popen] = []


def run(code: str, *, cwd: Path, **env: str) -> str:
    """Run ``code`` in ``cwd`` and return what it printed; a failure shows its traceback.

    Torch, torchvision, scipy and matplotlib are there already: see :func:`run_from_nothing`.
    """
    with tempfile.NamedTemporaryFile() as output:
        _fork(code, cwd, _environment(cwd, env), output.name, output.name, check=True)
        return output.read().decode()


def run_script(script: Path, *arguments: object, cwd: Path, **env: str):
    """Run a script with arguments as ``python`` does; returns exit status, stdout and stderr.

    It is a process of its own, with its own environment, folder and exit status, but torch is
    there already, which is half of what such a test costs.
    """
    command = [str(script), *map(str, arguments)]
    code = f"""
        import runpy, sys
        sys.argv = {command!r}
        sys.path[0] = {str(Path(script).parent)!r}
        runpy.run_path(sys.argv[0], run_name="__main__")
    """
    with tempfile.NamedTemporaryFile() as stdout, tempfile.NamedTemporaryFile() as stderr:
        status = _fork(code, cwd, {**os.environ, **env}, stdout.name, stderr.name)
        texts = stdout.read().decode(), stderr.read().decode()
    return subprocess.CompletedProcess(command, status, *texts)


def _fork(code: str, cwd: Path, env: dict, stdout: str, stderr: str, *, check: bool = False) -> int:
    """Run ``code`` in a child of the process that has torch; returns its exit status."""
    parent = _parent()
    task = dict(code=textwrap.dedent(code), cwd=str(Path(cwd).resolve()), env=env)
    parent.stdin.write(json.dumps(dict(task, stdout=stdout, stderr=stderr)) + "\n")
    parent.stdin.flush()
    pid = int(parent.stdout.readline())
    limit = threading.Timer(TIMEOUT, os.killpg, (pid, signal.SIGKILL))
    limit.start()
    status = int(parent.stdout.readline())
    limit.cancel()
    assert not check or status == 0, f"exit status {status}\n{Path(stdout).read_text()[-3000:]}"
    return status


def run_from_nothing(code: str, *, cwd: Path, **env: str) -> str:
    """The same with nothing imported, not even torch."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=cwd,
        env=_environment(cwd, env),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def _environment(cwd: Path, env: dict[str, str]) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{cwd}", **env}


def _parent() -> subprocess.Popen:
    if not _parents:
        command = [sys.executable, "-c", PARENT]
        pipe = subprocess.PIPE
        _parents.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd="/"))
        atexit.register(_parents[0].kill)
        assert _parents[0].stdout.readline() == "ready\n"
    return _parents[0]
