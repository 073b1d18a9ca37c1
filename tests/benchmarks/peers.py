"""What benchmarks share: tools to compare with in environments of their own, measured processes, and rows of the result.

python = peers.python("evidently", ["evidently==0.7.*", "pandas<3"])
theirs = peers.measured([python, "drift_evidently.py", reference, current])
ours = peers.measured([sys.executable, "drift_mlnb.py", reference, current])
peers.row("drift, 1,000,000 x 30", ours.seconds, theirs.seconds, unit="s", peer="evidently", goal=15)
peers.row("drift, memory", ours.peak_mb, theirs.peak_mb, unit="MB", peer="evidently", goal=3)
peers.row("import mlnb", seconds, unit="s", limit=0.2)
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".venv-bench"
ROW = "#row "


@dataclass(frozen=True)
class Measured:
    """One finished process."""

    seconds: float
    peak_mb: float  # the largest resident memory of the process or any child that it waited for
    stdout: str
    cpu: float = 0.0  # processor seconds of all its threads: says more than the clock where others use the machine


class Crashed(RuntimeError):
    """A measured process, or the making of an environment, failed; the message ends with what it said."""


def python(name: str, requirements: Sequence[str], cache: Path = CACHE) -> str:
    """The Python of the environment NAME with these requirements, made on first use and when they change."""
    venv = cache / name
    key = hashlib.sha256(json.dumps([sys.version, *requirements]).encode()).hexdigest()
    stamp, path = venv / ".made-for", str(venv / "bin" / "python")
    if stamp.is_file() and stamp.read_text() == key and os.path.exists(path):
        return path
    print(f"-- making {venv.relative_to(cache.parent)}: {' '.join(requirements) or 'nothing extra'}", flush=True)
    shutil.rmtree(venv, ignore_errors=True)
    venv.parent.mkdir(parents=True, exist_ok=True)
    if uv := shutil.which("uv"):
        _run([uv, "venv", "--quiet", "--python", sys.executable, str(venv)])
        install = [uv, "pip", "install", "--quiet", "--python", path]
    else:
        _run([sys.executable, "-m", "venv", *([] if requirements else ["--without-pip"]), str(venv)])
        install = [path, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if requirements:
        _run([*install, *requirements])
    stamp.write_text(key)
    return path


def _run(command: list[str]) -> None:
    env = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise Crashed(f"{' '.join(command)}\n{(done.stdout + done.stderr)[-3000:]}")


def measured(
    command: Sequence[str | os.PathLike[str]],
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    timeout: float = 3600,
) -> Measured:
    """Run a command and measure its wall time and peak memory; a command that fails raises Crashed.

    A small process in between starts the command: a child counts what its parent held at the moment of forking.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        between = [sys.executable, "-S", str(Path(__file__).resolve()), str(result), *map(str, command)]
        process = subprocess.Popen(
            between,
            env=None if env is None else {**os.environ, **env},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except BaseException as error:  # too long, or interrupted: nothing that it started stays behind
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                raise Crashed(f"{' '.join(map(str, command))}: not finished after {timeout:g} s") from error
            raise
        if process.returncode or not result.exists():
            raise Crashed(f"{' '.join(map(str, command))}: exit {process.returncode}\n{stderr[-3000:]}")
        return Measured(**json.loads(result.read_text()), stdout=stdout)


def row(
    what: str,
    ours: float,
    theirs: float | None = None,
    *,
    unit: str,
    peer: str = "",
    goal: float | None = None,
    limit: float | None = None,
    more: bool = False,
) -> None:
    """One line of the table: `goal` is how many times less than the peer, `limit` the most that is allowed.

    With `more`, more is better: `goal` is how many times more than the peer, `limit` the least that is allowed.
    """
    values = {"what": what, "ours": ours, "theirs": theirs, "unit": unit, "peer": peer, "goal": goal, "limit": limit, "more": more}
    print(ROW + json.dumps(values), flush=True)


def _between(result: str, command: list[str]) -> int:
    """Start a command, wait for it, write down its time, processor time and peak memory."""
    start = time.perf_counter()
    child = subprocess.Popen(command)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux KiB
    Path(result).write_text(json.dumps({"seconds": seconds, "peak_mb": usage.ru_maxrss / unit, "cpu": usage.ru_utime + usage.ru_stime}))
    child.returncode = os.waitstatus_to_exitcode(status)
    return abs(child.returncode)


if __name__ == "__main__":
    sys.exit(_between(sys.argv[1], sys.argv[2:]))
