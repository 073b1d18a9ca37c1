"""Make or repair .venv and install mlnb into it, so that `make demo` and `make test` work in a clean clone.

Runs on any Python from 3.11 with the standard library alone: `python3 tests/stages/venv.py [EXTRA …]`
(`--complete` first only asks, by its exit code, whether there is nothing to do).
uv does the work when it is on the PATH, pip otherwise. A stamp says what was installed, so that a second run costs nothing until
settings.ini or setup.py change. A mark that outlives its installation says that it was cut off: then .venv is made anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NEW_ENOUGH = "import sys; sys.exit(sys.prefix == sys.base_prefix or sys.version_info < (3, 11))"


def inputs(root: Path) -> str:
    """The hash of everything the installation depends on."""
    return hashlib.sha256(b"".join((root / name).read_bytes() for name in ("settings.ini", "setup.py"))).hexdigest()


def stamp(root: Path) -> dict:
    """What the last finished installation wrote down, empty when there is none."""
    try:
        return json.loads((root / ".venv" / ".mlnb-installed").read_text())
    except (OSError, ValueError):
        return {}


def complete(root: Path, extras: list[str]) -> bool:
    """Whether .venv already holds this version of the project with at least these extras."""
    last = stamp(root)
    same = last.get("root") == str(root) and last.get("inputs") == inputs(root)
    return same and set(extras) <= set(last["extras"]) and (root / ".venv" / "bin" / "python").exists()


def repairable(root: Path) -> bool:
    """Whether the .venv that is there can be kept: not moved, not cut off while installing, and its Python works."""
    venv = root / ".venv"
    if (venv / ".mlnb-installing").exists() or stamp(root).get("root", str(root)) != str(root):
        return False
    try:
        return subprocess.run([venv / "bin" / "python", "-c", NEW_ENOUGH], capture_output=True).returncode == 0
    except OSError:
        return False


def make(venv: Path, uv: str | None) -> None:
    """Create an empty environment with this Python, in the place of whatever was there."""
    if venv.exists():
        say(f"{venv.name} is not complete; making it anew")
        shutil.rmtree(venv)
    say(f"creating {venv.name} with Python {sys.version.split()[0]}")
    run(
        [uv, "venv", "--quiet", "--seed", "--python", sys.executable, str(venv)]
        if uv
        else [sys.executable, "-m", "venv", str(venv)]
    )


def install(root: Path, extras: list[str], uv: str | None) -> None:
    """Install the project in editable form with its extras."""
    venv, python = root / ".venv", str(root / ".venv" / "bin" / "python")
    mark, done = venv / ".mlnb-installing", venv / ".mlnb-installed"
    what = ["--editable", f"{root}[{','.join(extras)}]" if extras else str(root)]
    mark.touch()
    done.unlink(missing_ok=True)
    if uv:
        say("installing mlnb and what it needs with uv")
        run([uv, "pip", "install", "--quiet", "--python", python, *what])
    else:
        say("installing mlnb and what it needs with pip; the first time takes some minutes")
        if subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode:
            run([python, "-m", "ensurepip"])
        quiet = [] if sys.stdout.isatty() else ["--quiet"]
        run([python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *quiet, *what])
    done.write_text(json.dumps({"root": str(root), "inputs": inputs(root), "extras": extras}))
    mark.unlink()


def run(command: list[str]) -> None:
    """Run one step; its own output is the explanation when it fails."""
    clean = {
        name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")
    }
    if subprocess.run(command, env=clean, stdin=subprocess.DEVNULL).returncode:
        sys.exit(
            f"\nThis step failed: {' '.join(command)}\nThe lines above say why. Put it right and run the same make command again."
        )


def say(text: str) -> None:
    print(f"-- {text}", flush=True)


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Let a second make wait for the first; the lock ends with the process that holds it."""
    try:
        import fcntl
    except ImportError:  # no such lock on this system
        yield
        return
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def main(extras: list[str], root: Path = ROOT) -> None:
    if complete(root, extras):
        return
    with lock(root / ".venv.lock"):
        if complete(root, extras):  # another make did it while this one waited
            return
        uv, kept = shutil.which("uv"), repairable(root)
        before = stamp(root).get("extras", []) if kept else []
        if not kept:
            make(root / ".venv", uv)
        install(root, sorted({*before, *extras}), uv)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--complete"]:
        sys.exit(not complete(ROOT, sys.argv[2:]))
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit("\ninterrupted; the next run of make starts the installation again")
