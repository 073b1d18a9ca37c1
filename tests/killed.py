"""Work in a process of its own that is killed by SIGKILL at its n-th step: with half of a line written, or before a whole file takes its name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

REAL = {name: getattr(os, name) for name in ("write", "replace")}


def forked(work: Callable[[], object], at: int) -> int:
    """The process id of a copy of this process that works, and is killed at a step; at 0 it is not."""
    child = os.fork()
    if not child:
        seen = 0

        def killed_in(name: str) -> Callable[..., Any]:
            def call(*args: Any, **more: Any) -> Any:
                nonlocal seen
                seen += 1
                if seen == at:
                    if name == "write":
                        REAL["write"](args[0], bytes(args[1])[: len(args[1]) // 2])
                    os.kill(os.getpid(), signal.SIGKILL)
                return REAL[name](*args, **more)

            return call

        for name in REAL:
            setattr(os, name, killed_in(name))
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(7)
    return child


def ended(child: int) -> int:
    """How it ended: 0, or -9 when it was killed; anything else ends this process too."""
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code not in (0, -9):
        sys.exit(f"the work ended with {code}")
    return code


def said_by(script: str, *args: str, env: Mapping[str, str] | None = None, timeout: float = 900) -> list[str]:
    """Lines that a script prints; it can import this module."""
    with tempfile.TemporaryFile("w+") as errors:
        ran = subprocess.run([sys.executable, "-c", script, *args], stdout=subprocess.PIPE, stderr=errors, text=True, timeout=timeout,
                             env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), **(env or {})})
        errors.seek(0)
        assert ran.returncode == 0, errors.read()[-3000:]
    return ran.stdout.splitlines()
