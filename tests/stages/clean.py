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
        found = []
        for place in ("nbs", "templates"):
            before = {
                path.relative_to(fresh).as_posix(): path.read_bytes()
                for path in sorted((fresh / place).glob("*.ipynb"))
            }
            done = tree.nbdev("nbdev_clean", "--fname", place, cwd=fresh) if before else None
            if done and (done.returncode or "Failed to clean" in done.stderr):
                found.append(f"nbdev_clean failed in {place}:\n{done.stdout}{done.stderr}")
            found += [
                f"{name}: not clean; run `make export`"
                for name, old in before.items()
                if (fresh / name).read_bytes() != old
            ]
    return found


if __name__ == "__main__":
    found = problems(tree.ROOT)
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(bool(found))
