"""Build the documentation site with nbdev and Quarto, in a copy, so that neither README nor notebooks are rewritten.

`process` is what the tests use too: it makes the pages that Quarto renders and needs no Quarto itself.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from stages import tree

NO_QUARTO = """Quarto renders the documentation and is not installed here. Get it from Quarto's own site (a package for Debian and Ubuntu,
installers for macOS and Windows) or your package manager (macOS: brew install --cask quarto), then run `make docs` again."""
TITLE = re.compile(r"(# [^\n]*\n+> [^\n]*)\n+(.+)", re.DOTALL)


def keep_prose(path: Path) -> None:
    """Move what follows title and subtitle into a cell of its own: nbdev turns the first cell into settings and drops the rest."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    first = notebook["cells"][0]
    match = TITLE.fullmatch("".join(first["source"]).strip())
    if match:
        first["source"] = match[1]
        notebook["cells"].insert(1, {"cell_type": "markdown", "id": "prose", "metadata": {}, "source": match[2]})
        path.write_text(json.dumps(notebook), encoding="utf-8")


def process(root: Path, to: Path) -> Path:
    """The pages for Quarto, made from a copy of the notebooks; the error of a notebook that cannot become one names it."""
    tree.copy(root, to)
    shutil.copytree(root / "mlnb", to / "mlnb", ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    for path in (to / "nbs").glob("*.ipynb"):
        keep_prose(path)
    shutil.copy2(Path(__file__).with_name("page_renderer.py"), to)
    settings = to / "settings.ini"
    kept = [line for line in settings.read_text(encoding="utf-8").splitlines() if not line.startswith("skip_procs")]
    own = ["skip_procs = exec_show_docs", "procs = page_renderer:Documentation"]
    settings.write_text("\n".join([*kept, *own, ""]), encoding="utf-8")
    stand_in = to / "bin"  # nbdev would download Quarto when there is none; it only looks whether the command exists
    stand_in.mkdir()
    (stand_in / "quarto").write_text("#!/bin/sh\nexit 1\n")
    (stand_in / "quarto").chmod(0o755)
    done = tree.nbdev("nbdev_proc_nbs", "--n_workers", "2", cwd=to, path=str(stand_in))
    if done.returncode:
        raise RuntimeError(f"nbdev_proc_nbs failed:\n{done.stderr.strip()[-1500:]}")
    return to / "_proc"


def main() -> None:
    if not shutil.which("quarto"):
        sys.exit(NO_QUARTO)
    with tempfile.TemporaryDirectory(prefix="mlnb-docs-") as folder:
        try:
            pages = process(tree.ROOT, Path(folder).resolve() / "site")
        except RuntimeError as error:
            sys.exit(str(error))
        if code := subprocess.run(["quarto", "render", "--no-cache"], cwd=pages).returncode:
            sys.exit(code)
        target = tree.ROOT / "_docs"
        shutil.rmtree(target, ignore_errors=True)
        shutil.move(pages / "_docs", target)
    print(f"Open this in a browser: {target}/index.html")


if __name__ == "__main__":
    main()
