"""The site's list of pages: every notebook in nbs/, grouped by phase, written to nbs/sidebar.yml (`make export` does it)."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = {
    "00": "Core",
    "01": "1 · Framing",
    "02": "2 · Data",
    "03": "3 · Experiments",
    "04": "4 · Evaluation",
    "05": "5 · Deployment",
    "06": "6 · LLM engineering",
    "07": "7 · Monitoring",
    "08": "8 · MLOps",
    "09": "9 · Responsible use",
    "10": "10 · Cost",
    "11": "11 · Scorecard",
    "12": "Reports and command line",
}
HEAD = "# Written by tests/stages/sidebar.py; `make export` brings it up to date.\n"


def sidebar(nbs: Path) -> str:
    """The YAML that Quarto reads: the front page, tutorials, then one section for each phase that has pages."""
    names = sorted(path.name for path in nbs.glob("*.ipynb"))
    tutorials = [name for name in names if name[2:].startswith("_tutorial_")]
    lines = ["website:", "  sidebar:", "    contents:", "      - text: Start", "        href: index.ipynb"]
    sections = {"Tutorials": tutorials} | {
        title: [name for name in names if re.match(rf"{phase}[a-z]", name)] for phase, title in SECTIONS.items()
    }
    for title, pages in sections.items():
        if pages:
            lines += [f'      - section: "{title}"', "        contents:", *(f"          - {name}" for name in pages)]
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    path = ROOT / "nbs" / "sidebar.yml"
    path.write_text(sidebar(path.parent), encoding="utf-8")
    sys.exit()
