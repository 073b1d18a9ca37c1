"""Run benchmarks, each bench_NAME.py as a process of its own, and print one table of ratios.

`run.py [NAME …]`. A ratio says how many times better mlnb is than the other tool in the same run: how many times less
it needs, or, of what more is better, how many times more it finds. Above one it is better, whichever way. Only a
benchmark that crashes makes this fail: a goal that is missed is for people to look at.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from peers import ROW  # noqa: E402


def run(bench: Path) -> tuple[list[dict], int]:
    """The rows that a benchmark prints, and how it ended; its other lines are shown as they come."""
    command = [sys.executable, "-u", str(bench)]
    found = []
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, cwd=bench.parent
    ) as process:
        for line in process.stdout or ():
            if line.startswith(ROW):
                found.append(json.loads(line.removeprefix(ROW)))
            else:
                print(f"   {line}", end="", flush=True)
    return found, process.returncode


def cells(row: dict) -> list[str]:
    """One row of the table as text."""
    better, worse = (row["ours"], row["theirs"]) if row["more"] else (row["theirs"], row["ours"])
    ratio = better / worse if row["theirs"] is not None and worse else None
    reached, goal = None, ""
    if row["goal"] is not None and ratio is not None:
        goal, reached = f"at least {row['goal']:g} x", ratio >= row["goal"]
    elif row["limit"] is not None:
        goal = f"at {'least' if row['more'] else 'most'} {row['limit']:g} {row['unit']}"
        reached = row["ours"] >= row["limit"] if row["more"] else row["ours"] <= row["limit"]
    other = "" if row["theirs"] is None else f"{row['theirs']:.3g} {row['unit']}"
    return [
        row["what"],
        f"{row['ours']:.3g} {row['unit']}",
        f"{row['peer']} {other}".strip(),
        "" if ratio is None else f"{ratio:.1f} x",
        goal,
        {None: "", True: "yes", False: "NO"}[reached],
    ]


def table(rows: list[dict]) -> str:
    head = ["benchmark", "mlnb", "other", "better by", "goal", "reached"]
    lines = [head, *map(cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def main(names: list[str], folder: Path = HERE) -> int:
    benches = {path.stem.removeprefix("bench_"): path for path in sorted(folder.glob("bench_*.py"))}
    if unknown := [name for name in names if name not in benches]:
        print(f"no such benchmark: {', '.join(unknown)}; there are: {', '.join(benches) or 'none'}")
        return 2
    rows, crashed = [], []
    for name in names or benches:
        print(f"== {name}", flush=True)
        found, code = run(benches[name])
        rows += found
        if code:
            crashed.append(name)
            print(f"   crashed with exit {code}", flush=True)
    print()
    print(table(rows) if rows else "no rows")
    if crashed:
        print(f"\ncrashed: {', '.join(crashed)}")
    return 1 if crashed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
