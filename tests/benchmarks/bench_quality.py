"""Quality of 1,000,000 x 30 in Parquet: mlnb beside ydata-profiling's minimal report; and long tables, whose time grows with the rows.

Each tool is a process of its own that reads the file as its users do. The peer writes no file; it computes the description behind
its minimal report. `bench_quality.py [ROWS [LONG]]`: LONG is the longest table of 10 columns (10,000,000 unless given, 50,000,000
for the whole); it is measured beside one of half the rows. The files live in a temporary folder that is deleted.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from bench_drift import make

ROWS, LONG, PIECE = 1_000_000, 10_000_000, 1_000_000
YDATA = ["ydata-profiling>=4.12,<5", "pandas<3", "pyarrow", "setuptools<80"]  # needs pandas 2 and pkg_resources


def make_long(folder: Path, rows: int) -> None:
    """10 columns in files of a million rows: numbers, categories, text that holds numbers, an identifier, days; some faults."""
    import numpy as np
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    towns = np.array([f"town {i}" for i in range(200)], dtype=object)
    for piece in range(-(-rows // PIECE)):
        n, rng = min(PIECE, rows - piece * PIECE), np.random.default_rng(piece)
        code = rng.integers(0, 200, n)
        sizes = rng.integers(1, 99, n).astype(str).astype(object)
        sizes[rng.random(n) < 0.01] = "n/a"
        frame = pd.DataFrame({
            "id": np.arange(n) + piece * PIECE, "income": rng.lognormal(8, 0.7, n), "age": rng.normal(45, 12, n).round(), "score": rng.random(n),
            "code": code, "town": towns[code], "plan": rng.choice(["basic", "plus", "pro"], n), "size": sizes,
            "day": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 300, n), unit="D"), "left": rng.random(n) < 0.2,
        })  # fmt: skip
        frame.to_parquet(folder / f"{piece:03}.parquet")


def ours(path: str, target: str, time_column: str = "") -> None:
    import datetime

    import ibis.backends.duckdb  # noqa: F401  (brings pandas along)

    from mlnb.core.tables import open_table
    from mlnb.data.quality import assess

    start = time.perf_counter()
    report = assess(open_table(path), target, time_column, now=datetime.date(2026, 11, 1))
    print(json.dumps({"total": report.total, "unmeasured": report.unmeasured, "work": time.perf_counter() - start}))


def ydata(path: str) -> None:
    import pandas as pd
    from ydata_profiling import ProfileReport

    start = time.perf_counter()
    ProfileReport(pd.read_parquet(path), minimal=True, progress_bar=False).get_description()
    print(json.dumps({"work": time.perf_counter() - start}))


def main(rows: int, long: int) -> None:
    import peers

    python = peers.python("ydata", YDATA)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "wide.parquet"
        peers.measured([sys.executable, __file__, "make", file, rows])
        mine = peers.measured([sys.executable, __file__, "ours", file, "c0"])
        theirs = peers.measured([python, __file__, "ydata", file])
        said = [json.loads(side.stdout.strip().splitlines()[-1]) for side in (mine, theirs)]
        for name, side, words in zip(("mlnb: six scores, rules, examples", "ydata-profiling, minimal"), (mine, theirs), said, strict=True):
            print(f"{name:45} {side.seconds:7.2f} s, without imports {words['work']:7.2f} s {side.peak_mb:7.0f} MB")
        file.unlink()
        lengths = {}
        for size in (long // 2, long):
            parts = Path(folder) / f"long{size}"
            peers.measured([sys.executable, __file__, "long", parts, size])
            lengths[size] = side = peers.measured([sys.executable, __file__, "ours", parts / "*.parquet", "plan", "day"])
            work = json.loads(side.stdout.strip().splitlines()[-1])["work"]
            print(f"{f'mlnb, {size:,} x 10':45} {side.seconds:7.2f} s, without imports {work:7.2f} s {side.peak_mb:7.0f} MB")
            for piece in parts.iterdir():
                piece.unlink()
    peers.row(f"quality, {rows:,} x 30", mine.seconds, theirs.seconds, unit="s", peer="ydata-profiling minimal", goal=10)
    peers.row(f"quality, {rows:,} x 30, memory", mine.peak_mb, theirs.peak_mb, unit="MB", peer="ydata-profiling minimal", limit=1000)
    peers.row(f"quality, {long:,} x 10, memory", lengths[long].peak_mb, unit="MB", limit=2000)
    peers.row(f"quality, {long:,} x 10, time for twice the rows", lengths[long].seconds / lengths[long // 2].seconds, unit="x", limit=2.5)


if __name__ == "__main__":
    if sys.argv[1:2] == ["make"]:
        make(Path(sys.argv[2]), int(sys.argv[3]), 0, drift=False)
    elif sys.argv[1:2] == ["long"]:
        make_long(Path(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1:2] == ["ours"]:
        ours(*sys.argv[2:])
    elif sys.argv[1:2] == ["ydata"]:
        ydata(sys.argv[2])
    else:
        main(*[int(x) for x in sys.argv[1:3]] or [ROWS], *([] if len(sys.argv) > 2 else [LONG]))
