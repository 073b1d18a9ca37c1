"""Row by row: rows a second on one core in lists of 1000, and what one row costs, for a table of 30 columns.

`bench_stream.py [ROWS]`; the rows are mappings as a service has them, 25 numbers (some missing) and 5 categories.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

LIST = 1000


def main(rows: int) -> None:
    import tempfile

    import numpy as np
    import peers
    import pyarrow.parquet as pq
    from bench_drift import make

    from mlnb.monitoring.profile import profile
    from mlnb.monitoring.stream import StreamProfile

    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder) / "a.parquet", rows, 1, drift=False)
        reference = profile(Path(folder) / "a.parquet")
        given = pq.read_table(Path(folder) / "a.parquet").to_pylist()
    stream = StreamProfile(reference)
    start = time.process_time()
    for i in range(0, rows, LIST):
        stream.update(given[i : i + LIST])
    stream.profile()
    fast = rows / (time.process_time() - start)
    alone = StreamProfile(reference)
    cost = np.empty(rows)
    for i, row in enumerate(given):
        begin = time.perf_counter_ns()
        alone.update(row)
        cost[i] = time.perf_counter_ns() - begin
    same = all(alone.profile().columns[name].counts == c.counts == reference.columns[name].counts for name, c in stream.profile().columns.items())
    half, rare, rarest = np.percentile(cost / 1e3, [50, 99, 99.95])
    print(f"{fast:,.0f} rows a second of processor time in lists of {LIST}; one row {half:.1f} µs, p99 {rare:.1f} µs, p99.95 {rarest:,.0f} µs; "
          f"counts equal to those of the file: {same}")  # fmt: skip
    peers.row("stream, 1000 rows in a list", 1000 * LIST / fast, unit="ms", limit=10)
    peers.row("stream, one row, p99", rare, unit="µs", limit=100)
    print(json.dumps({"bench": "stream", "rows": rows, "rows_per_second": fast, "p50_us": half, "p99_us": rare, "equal": same}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 100_000)
