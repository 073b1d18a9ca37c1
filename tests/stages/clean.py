"""Notebooks and templates are committed clean: `nbdev_clean` would change nothing in them."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from stages import tree


def problems(root: Path) -> list[str]:
    """One line per notebook that cleaning changes."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = tree.copy(root, Path(folder).resolve() / "clean")
        names = sorted([*fresh.glob("nbs/*.ipynb"), *fresh.glob("templates/*.ipynb")])
        before = {path: path.read_bytes() for path in names}
        done = tree.nbdev("nbdev_clean", "--fname", ".", cwd=fresh)
        if done.returncode or "Failed to clean" in done.stderr:
            return [f"nbdev_clean failed:\n{done.stdout}{done.stderr}"]
        changed = [path.relative_to(fresh).as_posix() for path, old in before.items() if path.read_bytes() != old]
    return [f"{name}: not clean; run `make export`" for name in changed]


if __name__ == "__main__":
    found = problems(tree.ROOT)
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(bool(found))
