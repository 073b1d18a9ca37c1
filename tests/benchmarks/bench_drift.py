"""Drift of 1,000,000 x 30 against 1,000,000 x 30 in Parquet: mlnb beside Evidently's data drift preset with PSI and NannyML's Jensen–Shannon.

Each tool is a process of its own that reads the files as its users do and compares all columns. The ratio is of whole
processes; what is left without the imports is printed beside it.
`bench_drift.py [ROWS]`; the two files live in a temporary folder that is deleted.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

ROWS, NUMBERS, CATEGORIES = 1_000_000, 25, 5
NANNYML = ["nannyml>=0.13,<1", "statsmodels", "pyarrow"]
EVIDENTLY = ["evidently>=0.7,<0.8", "pandas<3", "pyarrow"]  # 0.7 does not import with pandas 3


def make(path: Path, rows: int, seed: int, drift: bool) -> None:
    """25 numbers of five shapes (some with gaps) and 5 categories of 3 to 40 levels; n0 and c0 drift."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(seed)
    columns: dict[str, object] = {}
    for i in range(NUMBERS):
        values = (
            rng.normal(i, 1 + i / 10, rows),
            rng.lognormal(1, 0.6, rows),
            rng.exponential(3, rows),
            rng.integers(0, 100, rows),
            rng.uniform(-1, 1, rows),
        )[i % 5]
        if i % 5 == 1:
            values = np.where(rng.random(rows) < 0.03, np.nan, values)
        columns[f"n{i}"] = values + 0.5 if drift and i == 0 else values
    for i, levels in enumerate((3, 5, 8, 12, 40)):
        weights = np.linspace(2, 1, levels)
        if drift and i == 0:
            weights = weights[::-1]
        codes = rng.choice(levels, rows, p=weights / weights.sum())
        columns[f"c{i}"] = np.array([f"level {level}" for level in range(levels)], dtype=object)[codes]
    pd.DataFrame(columns).to_parquet(path)


def ours(reference: str, current: str) -> None:
    from mlnb.monitoring.drift import compare

    start = time.perf_counter()
    report = compare(reference, current)
    psi = {name: column.psi for name, column in report.columns.items()}
    print(json.dumps({"psi": psi, "work": time.perf_counter() - start}))


def evidently(reference: str, current: str) -> None:
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    start = time.perf_counter()
    sides = [pd.read_parquet(path) for path in (reference, current)]
    names = list(sides[0])
    roles = DataDefinition(
        numerical_columns=[name for name in names if name.startswith("n")],
        categorical_columns=[name for name in names if name.startswith("c")],
    )
    old, new = (Dataset.from_pandas(side, data_definition=roles) for side in sides)
    found = Report([DataDriftPreset(method="psi")]).run(new, old).dict()
    psi = {m["config"]["column"]: float(m["value"]) for m in found["metrics"] if "column" in m.get("config", {})}
    print(json.dumps({"psi": psi, "work": time.perf_counter() - start}))


def nannyml(reference: str, current: str) -> None:
    import nannyml as nml
    import pandas as pd

    start = time.perf_counter()
    old, new = (pd.read_parquet(path) for path in (reference, current))
    found = nml.UnivariateDriftCalculator(
        column_names=list(old), continuous_methods=["jensen_shannon"], categorical_methods=["jensen_shannon"], chunk_number=1
    )
    shown = found.fit(old).calculate(new).filter(period="analysis").to_df()
    js = {name: float(shown[name]["jensen_shannon"]["value"].iloc[0]) for name in old}
    print(json.dumps({"js": js, "work": time.perf_counter() - start}))


def main(rows: int) -> None:
    import peers

    python = peers.python("evidently", EVIDENTLY)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{side}.parquet" for side in ("reference", "current")]
        for seed, file in enumerate(files):
            peers.measured([sys.executable, __file__, "make", file, rows, seed])
        kept = Path(folder) / "reference.json"
        peers.measured([sys.executable, __file__, "profile", files[0], kept])
        mine = peers.measured([sys.executable, __file__, "ours", *files])
        batch = peers.measured([sys.executable, __file__, "ours", kept, files[1]])
        theirs = peers.measured([python, __file__, "evidently", *files])
        other = peers.measured([peers.python("nannyml", NANNYML), __file__, "nannyml", *files])
    sides = (mine, batch, theirs, other)
    said = [json.loads(side.stdout.strip().splitlines()[-1]) for side in sides]
    names = ("mlnb: PSI, KS, JS, KL, chi-square, missing", "mlnb: the same from a saved profile", "evidently: PSI", "nannyml: Jensen–Shannon")
    for name, side, words in zip(names, sides, said, strict=True):
        print(f"{name:45} {side.seconds:7.2f} s (processor {side.cpu:6.2f}), without imports {words['work']:7.2f} s {side.peak_mb:7.0f} MB")
    apart = max(abs(said[0]["psi"][f"c{i}"] - said[2]["psi"][f"c{i}"]) for i in range(CATEGORIES))
    print(f"largest difference of PSI over the categories, where both use the same bins: {apart:.5f}")
    size = f"{rows:,} x {NUMBERS + CATEGORIES}"
    peers.row(f"drift, {size}", mine.seconds, theirs.seconds, unit="s", peer="evidently", goal=30)
    peers.row(f"drift, {size}, processor time", mine.cpu, theirs.cpu, unit="s", peer="evidently", goal=30)
    peers.row(f"drift, {size}", mine.seconds, other.seconds, unit="s", peer="nannyml", goal=8)
    peers.row(f"drift, {size}, memory of mlnb", mine.peak_mb, unit="MB", limit=800)
    peers.row("drift from a saved profile, whole process", batch.seconds, unit="s", limit=1)
    peers.row(f"drift, {size}, memory", mine.peak_mb, theirs.peak_mb, unit="MB", peer="evidently", goal=3)
    peers.row("drift from a saved profile", batch.seconds, theirs.seconds, unit="s", peer="evidently")
    print(json.dumps({
        "bench": "drift", "rows": rows, "seconds": mine.seconds, "peak_mb": mine.peak_mb, "peer_seconds": theirs.seconds,
        "peer_peak_mb": theirs.peak_mb, "ratio": theirs.seconds / mine.seconds, "memory_ratio": theirs.peak_mb / mine.peak_mb,
        "cpu": mine.cpu, "peer_cpu": theirs.cpu, "nannyml_seconds": other.seconds, "nannyml_cpu": other.cpu,
        "work_ratio": said[2]["work"] / said[0]["work"], "saved_profile_seconds": batch.seconds,
    }))  # fmt: skip


def save(path: str, kept: str) -> None:
    from mlnb.monitoring.profile import profile

    profile(path).save(kept)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["make", path, rows, seed]:
            make(Path(path), int(rows), int(seed), drift=seed != "0")
        case ["ours", reference, current]:
            ours(reference, current)
        case ["profile", path, kept]:
            save(path, kept)
        case ["evidently", reference, current]:
            evidently(reference, current)
        case ["nannyml", reference, current]:
            nannyml(reference, current)
        case rest:
            main(int(rest[0]) if rest else ROWS)
