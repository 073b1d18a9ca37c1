"""Integrity of 100,000 x 30: mlnb beside deepchecks' data integrity suite; what each says of an honest table and of one with a dozen planted defects.

Each tool is a process of its own that reads a Parquet file as its users do, with label, identifier and kinds of columns named to deepchecks,
which asks for them. `bench_integrity.py [ROWS [LONG]]`: LONG rows are inspected by mlnb alone (1,000,000 unless given).
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

ROWS, LONG = 100_000, 1_000_000
DEEPCHECKS = ["deepchecks==0.19.1", "numpy<2", "pandas<2.2", "scikit-learn<1.4", "setuptools<70", "pyarrow<16"]
CATEGORIES = [*(f"c{i}" for i in range(8)), "note"]
SAME = {  # what deepchecks calls it
    "Single Value in Column": "DATA01", "Mixed Data Types": "DATA02", "Mixed Nulls": "DATA03", "Special Characters": "DATA04", "String Mismatch": "DATA05",
    "String Length Out Of Bounds": "DATA06", "Conflicting Labels": "DATA07", "Data Duplicates": "DATA08", "Outlier Sample Detection": "DATA09",
    "Feature-Feature Correlation": "DATA10", "Identifier Label Correlation": "DATA11", "Class Imbalance": "DATA12",
}  # fmt: skip


def make(path: str, rows: int, planted: bool) -> None:
    """An identifier, 19 numbers of several shapes, 8 categories, a note and a label; planted: each defect in a column or row of its own."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    y = rng.random(rows) < (0.02 if planted else 0.3)
    shapes = (rng.normal, lambda size: rng.lognormal(0, 0.8, size), lambda size: rng.standard_t(4, size), lambda size: rng.integers(0, 90, size))
    d: dict[str, object] = {"id": [f"K{i:08}" for i in rng.permutation(rows)]}
    d |= {f"n{i}": shapes[i % 4](size=rows) + (y if i == 0 else 0) for i in range(19)}
    d |= {f"c{i}": np.array([f"level {chr(97 + k)}" for k in range(3 + 2 * i)], dtype=object)[rng.integers(0, 3 + 2 * i, rows)] for i in range(8)}
    d["note"] = [" ".join(["word"] * int(k)) + f" {i}" for i, k in enumerate(rng.integers(3, 12, rows))]
    d["y"] = np.where(y, "yes", "no")
    frame = pd.DataFrame(d)
    if planted:
        some = rng.permutation(rows)
        part = max(rows // 200, 20)
        places = {i: some[i * part:(i + 1) * part] for i in range(8)}
        frame["c0"] = "level a"
        frame["c1"] = frame["c1"].mask(frame.index.isin(places[0]), "17.5")
        frame["c2"] = frame["c2"].mask(frame.index.isin(places[1]), "N/A").mask(frame.index.isin(places[2]), "none")
        frame["c3"] = frame["c3"].mask(frame.index.isin(places[3]), "!!")
        frame["c4"] = frame["c4"].where(~frame.index.isin(places[4]), frame["c4"].str.upper())
        frame.loc[some[-1], "note"] = "x" * 9_000
        frame.loc[some[-2], ["n0", "n4", "n8"]] = 1e6
        frame["n18"] = frame["n1"] * 100
        frame["id"] = [f"K{i:08}" for i in np.argsort(np.argsort(y + 0.5 * rng.random(rows)))]
        twins = frame.iloc[places[5]].assign(y=lambda t: np.where(t["y"] == "yes", "no", "yes"))
        frame = pd.concat([frame, twins, frame.iloc[places[6]]], ignore_index=True)
    frame.to_parquet(path)


def ours(path: str) -> None:
    from mlnb.data.integrity import inspect

    start = time.perf_counter()
    found = inspect(path, target="y").findings
    print(json.dumps({"said": [f.code for f in found.having("fail", "warn")], "work": time.perf_counter() - start}))


def theirs(path: str) -> None:
    import pandas as pd
    from deepchecks.tabular import Dataset
    from deepchecks.tabular.suites import data_integrity

    start = time.perf_counter()
    result = data_integrity().run(Dataset(pd.read_parquet(path), label="y", index_name="id", cat_features=CATEGORIES))
    said = sorted(SAME.get(check.get_header(), check.get_header()) for check in result.get_not_passed_checks(fail_if_warning=True))
    print(json.dumps({"said": said, "work": time.perf_counter() - start}))


def main(rows: int, long: int) -> None:
    import peers

    python, planted = peers.python("deepchecks", DEEPCHECKS), set(SAME.values())
    with tempfile.TemporaryDirectory() as folder:
        sides = {}
        for kind in ("honest", "planted"):
            file = Path(folder) / f"{kind}.parquet"
            peers.measured([sys.executable, __file__, "make", file, rows, kind])
            for name, command in (("mlnb", [sys.executable, __file__, "ours", file]), ("deepchecks", [python, __file__, "theirs", file])):
                sides[kind, name] = side = peers.measured(command)
                words = json.loads(side.stdout.strip().splitlines()[-1])
                said = set(words["said"])
                text = f"{len(said & planted)} of {len(planted)}, not {sorted(planted - said)}" if kind == "planted" else f"said {sorted(said)}"
                print(f"{kind:8} {name:11} {side.seconds:7.2f} s, without imports {words['work']:7.2f} s {side.peak_mb:7.0f} MB  {text}", flush=True)
        mine, other = sides["honest", "mlnb"], sides["honest", "deepchecks"]
        file = Path(folder) / "long.parquet"
        peers.measured([sys.executable, __file__, "make", file, long, "honest"])
        whole = peers.measured([sys.executable, __file__, "ours", file])
    peers.row(f"integrity, {rows:,} x 30", mine.seconds, other.seconds, unit="s", peer="deepchecks", goal=5)
    peers.row(f"integrity, {rows:,} x 30, memory", mine.peak_mb, other.peak_mb, unit="MB", peer="deepchecks", goal=1)
    peers.row(f"integrity, {long:,} x 30", whole.seconds, unit="s", limit=15)
    peers.row(f"integrity, {long:,} x 30, memory", whole.peak_mb, unit="MB", limit=1000)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["make", path, rows, kind]:
            make(path, int(rows), kind == "planted")
        case ["ours", path]:
            ours(path)
        case ["theirs", path]:
            theirs(path)
        case rest:
            main(*(int(x) for x in (*rest, *(ROWS, LONG)[len(rest):])))
