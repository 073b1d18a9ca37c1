"""Profile of 1,000,000 x 30 from Parquet beside whylogs, and of a file larger than memory: 100,000,000 x 10 (`--rows N` for fewer).

Each tool is a process of its own that reads the file. The large file is written in row groups of 1,000,000, profiled in quarters and as
a whole, to see that time is linear and memory is not.
`bench_profile.py [--rows N]`; without enough disk (100 bytes a row) 20,000,000 rows are taken.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

WHYLOGS = ["whylogs>=1.6,<2", "pandas<3", "pyarrow"]
GROUP = 1_000_000


def make_large(path: Path, rows: int) -> None:
    """8 numbers of four shapes and 2 categories, a row group at a time."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng, writer = np.random.default_rng(0), None
    for start in range(0, rows, GROUP):
        n = min(GROUP, rows - start)
        columns = {f"n{i}": (rng.normal(i, 1, n), rng.exponential(2, n), rng.integers(0, 1000, n), rng.random(n))[i % 4] for i in range(8)}
        columns |= {f"c{i}": pa.DictionaryArray.from_arrays(rng.integers(0, k, n, dtype=np.int32), [f"v{j}" for j in range(k)]).cast(pa.string())
                    for i, k in enumerate((5, 50))}  # fmt: skip
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def ours(path: str, kept: str) -> None:
    from mlnb.monitoring.profile import profile

    profile(path).save(kept)


def theirs(path: str) -> None:
    import pandas as pd
    import whylogs as why

    view = why.log(pd.read_parquet(path)).view()
    print(len(view.to_pandas()))


def main(large: int | None) -> None:
    import peers
    from bench_drift import make

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder / "a.parquet", 1_000_000, 0, drift=False)
        mine = peers.measured([sys.executable, __file__, "ours", folder / "a.parquet", folder / "a.json"])
        other = peers.measured([peers.python("whylogs", WHYLOGS), __file__, "whylogs", folder / "a.parquet"])
        for said, side in (("mlnb", mine), ("whylogs", other)):
            print(f"profile of 1,000,000 x 30, {said:8} {side.seconds:7.2f} s, processor {side.cpu:7.2f} s {side.peak_mb:7.0f} MB")
        peers.row("profile, 1,000,000 x 30", mine.seconds, other.seconds, unit="s", peer="whylogs", goal=15)
        peers.row("profile, processor time", mine.cpu, other.cpu, unit="s", peer="whylogs", goal=15)
        (folder / "a.parquet").unlink()
        rows = large or (100_000_000 if shutil.disk_usage(folder).free > 20e9 else 20_000_000)
        make_large(folder / "quarter.parquet", rows // 4)
        quarter = peers.measured([sys.executable, __file__, "ours", folder / "quarter.parquet", folder / "q.json"])
        (folder / "quarter.parquet").unlink()
        make_large(folder / "large.parquet", rows)
        whole = peers.measured([sys.executable, __file__, "ours", folder / "large.parquet", folder / "l.json"])
    for n, side in ((rows // 4, quarter), (rows, whole)):
        print(f"profile of {n:,} x 10: {side.seconds:.1f} s, processor {side.cpu:.1f} s, {side.peak_mb:.0f} MB")
    peers.row(f"profile, {rows:,} x 10, memory", whole.peak_mb, unit="MB", limit=2000)
    peers.row("profile, processor time of four times the rows", whole.cpu / quarter.cpu, unit="times", limit=4.4)
    print(json.dumps({"bench": "profile", "seconds": mine.seconds, "cpu": mine.cpu, "peer_seconds": other.seconds, "peer_cpu": other.cpu,
                      "peak_mb": mine.peak_mb, "rows": rows, "large_seconds": whole.seconds, "large_cpu": whole.cpu, "large_mb": whole.peak_mb,
                      "quarter_cpu": quarter.cpu}))  # fmt: skip


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["ours", path, kept]:
            ours(path, kept)
        case ["whylogs", path]:
            theirs(path)
        case ["--rows", rows]:
            main(int(rows))
        case _:
            main(None)
