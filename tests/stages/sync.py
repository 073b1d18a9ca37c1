"""mlnb/ is exactly what nbs/ exports: nothing edited by hand, nothing forgotten, nothing left of a deleted notebook."""

from __future__ import annotations

import difflib
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from stages import tree


def modules(root: Path) -> dict[str, str]:
    """The files of the package, by path from the root, with their text."""
    files = (root / "mlnb").rglob("*")
    kept = (file for file in files if file.is_file() and "__pycache__" not in file.parts and file.suffix != ".pyc")
    return {file.relative_to(root).as_posix(): file.read_text(encoding="utf-8") for file in kept}


def problems(root: Path) -> list[str]:
    """One line per file of the package that differs from a fresh export of the notebooks."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = tree.copy(root, Path(folder).resolve() / "export")
        done = tree.nbdev("nbdev_export", cwd=fresh)
        if done.returncode:
            return [f"nbdev_export failed:\n{done.stdout}{done.stderr}"]
        exported, present = modules(fresh), modules(root)
    found = [
        f"{name}: no notebook exports this (was one deleted or renamed? then delete the module too)"
        for name in present.keys() - exported
    ]
    found += [
        f"{name}: exported by a notebook, but not in the package; run `make export`"
        for name in exported.keys() - present
    ]
    for name in sorted(present.keys() & exported):
        if present[name] != exported[name]:
            lines = difflib.unified_diff(
                present[name].splitlines(),
                exported[name].splitlines(),
                name,
                "what the notebooks export",
                n=0,
                lineterm="",
            )
            found.append(
                f"{name}: not what the notebooks export; run `make export`\n    " + "\n    ".join(list(lines)[2:14])
            )
    return sorted(found)


if __name__ == "__main__":
    found = problems(tree.ROOT)
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(bool(found))
