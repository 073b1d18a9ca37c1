"""A copy of what is exported, cleaned or rendered, so that no check ever writes into the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("nbs", "mlnb", "templates")
LEFT_OUT = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", ".last_checked", "_*", "*.tmp")


def copy(root: Path, to: Path) -> Path:
    """The notebooks, templates and settings of `root`, and of the package only what is written by hand."""
    to.mkdir(parents=True, exist_ok=True)
    shutil.copy2(root / "settings.ini", to)
    for name in ("nbs", "templates"):
        if (root / name).is_dir():
            shutil.copytree(root / name, to / name, ignore=LEFT_OUT)
    for page in ("_quarto.yml", "nbs/_quarto.yml"):
        if (root / page).exists():
            shutil.copy2(root / page, to / page)
    (to / "mlnb").mkdir(exist_ok=True)
    by_hand = root / "mlnb" / "__init__.py"
    if by_hand.exists():
        shutil.copy2(by_hand, to / "mlnb")
    return to


def nbdev(name: str, *options: str, cwd: Path, path: str = "") -> subprocess.CompletedProcess:
    """Run a command of nbdev from this environment in a folder, with the package of that folder."""
    env = {**os.environ, "PYTHONPATH": str(cwd), "PYTHONWARNINGS": "ignore,default::UserWarning", "MPLBACKEND": "Agg"}
    env.pop("IN_TEST", None)  # nbdev's own mark for a running notebook test: it switches exporting off
    here = str(Path(sys.executable).parent)
    env["PATH"] = os.pathsep.join(filter(None, [here, path, env.get("PATH", "")]))
    return subprocess.run(
        [f"{here}/{name}", *options], cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
