"""The leak audit of 100,000 x 30 train and test: mlnb beside deepchecks' train-test validation suite.

Each tool is a process of its own that reads the files as its users do. `bench_leak_speed.py [ROWS]`.
deepchecks needs older libraries; its environment is made on demand.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

ROWS, NUMBERS, CATEGORIES = 100_000, 22, 7
DEEPCHECKS = ["deepchecks==0.19.1", "numpy<2", "pandas<2.2", "scikit-learn<1.4", "setuptools<70", "pyarrow<16"]


def make(path: Path, rows: int, seed: int) -> None:
    """22 numbers, 7 categories and a binary target."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(seed)
    columns: dict[str, object] = {f"n{i}": rng.normal(size=rows).round(4) for i in range(NUMBERS)}
    for i in range(CATEGORIES):
        columns[f"c{i}"] = np.array([f"level {k}" for k in range(3 + 4 * i)], dtype=object)[rng.integers(0, 3 + 4 * i, rows)]
    score = np.asarray(columns["n0"]) + 0.5 * np.asarray(columns["n1"])
    pd.DataFrame(columns | {"y": (rng.random(rows) < 1 / (1 + np.exp(-score))).astype(int)}).to_parquet(path)


def ours(train: str, test: str) -> None:
    from mlnb.data.leakage import audit

    start = time.perf_counter()
    found = audit(train, test, target="y").findings
    print(json.dumps({"failed": len(found.failed), "work": time.perf_counter() - start}))


def theirs(train: str, test: str) -> None:
    import pandas as pd
    from deepchecks.tabular import Dataset
    from deepchecks.tabular.suites import train_test_validation

    start = time.perf_counter()
    cats = [f"c{i}" for i in range(CATEGORIES)]
    sides = [Dataset(pd.read_parquet(path), label="y", cat_features=cats) for path in (train, test)]
    train_test_validation().run(*sides)
    print(json.dumps({"work": time.perf_counter() - start}))


def main(rows: int) -> None:
    import peers

    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{side}.parquet" for side in ("train", "test")]
        for seed, file in enumerate(files):
            peers.measured([sys.executable, __file__, "make", file, rows, seed])
        mine = peers.measured([sys.executable, __file__, "ours", *files])
        print(f"mlnb        {mine.seconds:7.2f} s {mine.cpu:7.2f} CPU s {mine.peak_mb:7.0f} MB  {mine.stdout.strip()}", flush=True)
        other = peers.measured([peers.python("deepchecks", DEEPCHECKS), __file__, "theirs", *files])
        print(f"deepchecks  {other.seconds:7.2f} s {other.cpu:7.2f} CPU s {other.peak_mb:7.0f} MB  {other.stdout.strip().splitlines()[-1]}")
    peers.row(f"leak audit, {rows:,} x 30", mine.seconds, other.seconds, unit="s", peer="deepchecks", goal=10)
    peers.row(f"leak audit, {rows:,} x 30, processor time", mine.cpu, other.cpu, unit="s", peer="deepchecks", goal=10)
    peers.row(f"leak audit, {rows:,} x 30, memory", mine.peak_mb, other.peak_mb, unit="MB", peer="deepchecks", goal=2)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["make", path, rows, seed]:
            make(Path(path), int(rows), int(seed))
        case ["ours", train, test]:
            ours(train, test)
        case ["theirs", train, test]:
            theirs(train, test)
        case rest:
            main(int(rest[0]) if rest else ROWS)
