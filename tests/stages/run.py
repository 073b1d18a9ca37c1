"""What `make test` runs: every stage, one line for each at the end, and a failure when any of them failed.

`run.py [STAGE …]` runs only the named ones. All stages run even when an early one fails, so that one run shows everything.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PYTEST = [sys.executable, "-m", "pytest", "-c", "tests/pytest.ini", "--rootdir", "."]
RULES = ["tests/test_notebooks.py", "tests/test_layers.py"]

STAGES: dict[str, tuple[str, list[str]]] = {
    "browser": ("a browser for the tests", [sys.executable, "tests/stages/chromium.py"]),
    "java": ("Java for the tests on Spark", [sys.executable, "tests/stages/java.py"]),
    "sync": ("mlnb/ is what nbs/ exports", [sys.executable, "tests/stages/sync.py"]),
    "clean": ("notebooks are clean", [sys.executable, "tests/stages/clean.py"]),
    "rules": ("notebook rules and layer rules", [*PYTEST, *RULES]),
    "notebooks": ("every notebook runs and its assertions hold", [str(BIN / "nbdev_test"), "--n_workers", "2"]),
    "tests": ("tests, end to end and browser included",  # the longest file first, so that nobody waits for it at the end
              [*PYTEST, "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder", "tests/test_end_to_end.py", "tests",
               *(f"--ignore={name}" for name in RULES)]),
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in STAGES]
    if unknown:
        print(f"no such stage: {', '.join(unknown)}; there are: {', '.join(STAGES)}")
        return 2
    env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}", "MPLBACKEND": "Agg"}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of processes start: each would compile the same libraries again
    env.setdefault("PYTHONWARNINGS", "ignore")  # of what notebooks and tools import; pytest.ini sets its own
    lines, failed = [], 0
    for name in names or STAGES:
        title, command = STAGES[name]
        print(f"== {name}: {title}", flush=True)
        start = time.monotonic()
        code = subprocess.run(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL).returncode
        failed += bool(code)
        lines.append(f"{'FAILED' if code else 'ok':<7} {name:<10} {time.monotonic() - start:6.1f} s  {title}")
    print("\n" + "\n".join(lines), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("\ninterrupted")
