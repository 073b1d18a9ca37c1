"""Four metrics for the 12 groups of two attributes: 1,000,000 rows, then 1000 bootstrap resamples of 100,000 rows, against fairlearn.

fairlearn's MetricFrame with two sensitive features calls scikit-learn once for every group and metric; its bootstrap copies the rows of every
resample. It is given 50 resamples where mlnb makes 1000. Each side runs in a process of its own; values are compared to 1e-12.

Run it by itself: `.venv/bin/python tests/benchmarks/bench_groups.py`; `--resamples 5` has fairlearn make 5 and scales its time up.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import peers

ROWS, FEWER, RESAMPLES, PEER_RESAMPLES = 1_000_000, 100_000, 1000, 50
NAMES = ("accuracy", "recall", "precision", "selection_rate")


def data(rows: int):
    """Truth, prediction, and two attributes with 3 and 4 values."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    score = rng.beta(2, 3, rows)
    who = pd.DataFrame({"sex": rng.choice(["female", "male", "other"], rows, p=[0.5, 0.45, 0.05]),
                        "region": rng.choice(["north", "east", "south", "west"], rows)})  # fmt: skip
    return (rng.random(rows) < score).astype(int), (score >= 0.45).astype(int), who


def ours(rows: int, resamples: int) -> dict:
    """Seconds from raw columns to values, and the values."""
    from mlnb.evaluation.group_metrics import group_metrics
    from mlnb.evaluation.predictions import predictions

    warm = data(1000)
    group_metrics(predictions(*warm[:2]), warm[2], NAMES, n_resamples=10)  # imports are no part of it
    truth, label, who = data(rows)
    start = time.perf_counter()
    found = group_metrics(predictions(truth, label, task="binary", positive=1), who, NAMES, n_resamples=resamples)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "values": found.values.tolist(), "overall": found.overall.tolist(), "low": found.low.tolist(), "high": found.high.tolist()}


def theirs(rows: int, resamples: int) -> dict:
    """The same by fairlearn."""
    from fairlearn.metrics import MetricFrame, selection_rate
    from sklearn.metrics import accuracy_score, precision_score, recall_score

    functions = dict(zip(NAMES, (accuracy_score, recall_score, precision_score, selection_rate), strict=True))
    warm = data(1000)
    MetricFrame(metrics=functions, y_true=warm[0], y_pred=warm[1], sensitive_features=warm[2])
    truth, label, who = data(rows)
    more = {"n_boot": resamples, "ci_quantiles": [0.025, 0.975], "random_state": 0} if resamples else {}
    start = time.perf_counter()
    frame = MetricFrame(metrics=functions, y_true=truth, y_pred=label, sensitive_features=who, **more)
    by_group, overall = frame.by_group, frame.overall
    seconds = time.perf_counter() - start
    edges = [q[list(NAMES)].to_numpy().tolist() for q in frame.by_group_ci] if resamples else [None, None]
    return {"seconds": seconds, "values": by_group[list(NAMES)].to_numpy().tolist(), "overall": overall[list(NAMES)].tolist(),
            "low": edges[0], "high": edges[1]}  # fmt: skip


def side(name: str, rows: int, resamples: int) -> dict:
    measured = peers.measured([sys.executable, __file__, name, str(rows), str(resamples)])
    return json.loads(measured.stdout.strip().splitlines()[-1]) | {"peak_mb": measured.peak_mb}


def main(peer_resamples: int) -> None:
    import numpy as np

    mine, other = side("ours", ROWS, 0), side("theirs", ROWS, 0)
    apart = max(np.abs(np.subtract(mine[part], other[part])).max() for part in ("values", "overall"))
    print(f"{', '.join(NAMES)} of 12 groups, {ROWS:,} rows: mlnb {mine['seconds']:.3f} s, fairlearn {other['seconds']:.1f} s, "
          f"ratio {other['seconds'] / mine['seconds']:.0f}, values apart by at most {apart:.1e}")
    peers.row(f"metrics of 12 groups, {ROWS:,} rows", mine["seconds"], other["seconds"], unit="s", peer="fairlearn", goal=30)
    drawn, copied = side("ours", FEWER, RESAMPLES), side("theirs", FEWER, peer_resamples)
    full = copied["seconds"] / peer_resamples * PEER_RESAMPLES
    width = np.mean(np.subtract(drawn["high"], drawn["low"]) / np.subtract(copied["high"], copied["low"]))
    print(f"bootstrap of {FEWER:,} rows: mlnb {drawn['seconds']:.3f} s for {RESAMPLES}, fairlearn {full:.1f} s for {PEER_RESAMPLES}; "
          f"mlnb's intervals are {width:.2f} times as wide")
    peers.row(f"12 groups, {RESAMPLES} resamples against {PEER_RESAMPLES}", drawn["seconds"], full, unit="s", peer="fairlearn", goal=1)
    peers.row("groups, peak memory", max(mine["peak_mb"], drawn["peak_mb"]), unit="MB", limit=1000)
    print(json.dumps({"bench": "groups", "ratio": round(other["seconds"] / mine["seconds"], 1), "seconds": round(mine["seconds"], 3),
                      "peer_seconds": round(other["seconds"], 1), "apart": float(apart), "bootstrap_seconds": round(drawn["seconds"], 3),
                      "peer_bootstrap_seconds": round(full, 1)}))  # fmt: skip
    if apart > 1e-12:
        raise SystemExit("values differ from fairlearn's")


if __name__ == "__main__":
    if sys.argv[1:2] in (["ours"], ["theirs"]):
        print(json.dumps({"ours": ours, "theirs": theirs}[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))))
    else:
        main(int(sys.argv[sys.argv.index("--resamples") + 1]) if "--resamples" in sys.argv else PEER_RESAMPLES)
