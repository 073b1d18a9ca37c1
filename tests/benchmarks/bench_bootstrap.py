"""1000 bootstrap resamples of metrics on 100,000 rows, against drawing rows and calling scikit-learn.

Each side runs in a process of its own, one after the other. The rows are drawn and the library is called for 40
resamples only; their mean time is multiplied up to 1000, because all of them would take minutes. Intervals are compared
by their standard errors and ends: 40 resamples give a standard error to about 11 %, 1000 to about 2 %.

Seconds are those of the clock; where others use the machine, those of the processor say more, of all threads together: mlnb uses up to four, the library one.
MAP is compared with scikit-learn's average precision of label rankings, which is the same where each list has a hit.

Run it by itself: `.venv/bin/python tests/benchmarks/bench_bootstrap.py`, with `--each` also for every metric alone, or `--each r2 medae` for some.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import peers

ROWS, RESAMPLES, PEER_RESAMPLES = 100_000, 1000, 40
FOUR = ("roc_auc", "pr_auc", "f1", "log_loss")  # of one task, so they share a resample on both sides
LABELS = ("f1", "precision", "recall", "accuracy", "balanced_accuracy", "mcc", "macro_f1", "micro_f1")
SCORES = ("roc_auc", "pr_auc", "log_loss", "brier", "roc_auc_ovr")
NUMBERS = ("mae", "rmse", "r2", "medae", "mape")
RANKED = ("ndcg_at_k", "map", "precision_at_k", "recall_at_k")  # lists of ten; the hundred highest scores

LISTS = ("ndcg_at_k", "map")


def data(name: str) -> tuple:
    """Truth, predicted labels or numbers, and scores, for the task of a metric."""
    import numpy as np

    rng = np.random.default_rng(0)
    if name in NUMBERS:
        truth = rng.gamma(2, 10, ROWS) + 1
        return truth, truth + rng.normal(0, 3, ROWS), None
    if name in ("macro_f1", "micro_f1", "roc_auc_ovr"):
        prob = rng.dirichlet([3, 2, 1], ROWS)
        truth = (prob.cumsum(axis=1) < rng.random((ROWS, 1))).sum(axis=1)
        return truth, prob.argmax(axis=1), prob
    if name in LISTS:
        return rng.integers(0, 4 if name == "ndcg_at_k" else 2, ROWS), None, rng.random(ROWS)
    if name in RANKED:
        truth = (rng.random(ROWS) < 0.01).astype(int)
        return truth, None, rng.normal(0, 1, ROWS) + 2 * truth
    score = rng.beta(1, 5, ROWS)
    return (rng.random(ROWS) < score).astype(int), (score >= 0.3).astype(int), score


def options(name: str) -> dict:
    """What `predictions` has to be told."""
    import numpy as np

    if name in LISTS:
        return {"task": "ranking", "query": np.repeat(np.arange(ROWS // 10), 10)}
    return {"task": "anomaly", "k": 100} if name in RANKED else {}


def function(name: str):
    """The metric of scikit-learn."""
    from functools import partial

    import numpy as np
    from sklearn import metrics as sk

    def top(truth, score):
        return truth[np.argpartition(-score, 100)[:100]]

    named = {
        "ndcg_at_k": lambda truth, score: sk.ndcg_score(truth.reshape(-1, 10), score.reshape(-1, 10), k=10),
        "map": lambda truth, score: sk.label_ranking_average_precision_score(truth.reshape(-1, 10), score.reshape(-1, 10)),
        "precision_at_k": lambda truth, score: top(truth, score).mean(),
        "recall_at_k": lambda truth, score: top(truth, score).sum() / truth.sum(),
        "f1": sk.f1_score,
        "precision": sk.precision_score,
        "recall": sk.recall_score,
        "accuracy": sk.accuracy_score,
        "micro_f1": partial(sk.f1_score, average="micro"),
        "macro_f1": partial(sk.f1_score, average="macro"),
        "balanced_accuracy": sk.balanced_accuracy_score,
        "mcc": sk.matthews_corrcoef,
        "roc_auc": sk.roc_auc_score,
        "roc_auc_ovr": partial(sk.roc_auc_score, multi_class="ovr"),
        "pr_auc": sk.average_precision_score,
        "log_loss": sk.log_loss,
        "brier": sk.brier_score_loss,
        "mae": sk.mean_absolute_error,
        "rmse": sk.root_mean_squared_error,
        "r2": sk.r2_score,
        "medae": sk.median_absolute_error,
        "mape": sk.mean_absolute_percentage_error,
    }
    return named[name]


def ours(names: list[str]) -> dict:
    """Seconds of the whole of 1000 resamples, checks and sorting included, and the intervals."""
    from mlnb.evaluation.bootstrap import bootstrap_values, percentile_interval
    from mlnb.evaluation.measures import METRICS
    from mlnb.evaluation.predictions import predictions

    truth, label, score = data(names[0])
    bootstrap_values([(METRICS["mae"], predictions([0.5, 1.5], [1, 2]))], 2)  # imports are no part of it
    start, cpu = time.perf_counter(), time.process_time()
    p = predictions(truth, label, score, **options(names[0]))
    jobs = [(METRICS[name], p) for name in names]
    samples = bootstrap_values(jobs, RESAMPLES)
    found = [percentile_interval(m.name, m.of(p), samples[:, j], 0.95) for j, (m, p) in enumerate(jobs)]
    return {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu, "intervals": {i.name: (i.low, i.high, i.se) for i in found}}


def theirs(names: list[str]) -> dict:
    """Seconds of the resamples that were drawn, and their values."""
    import numpy as np

    warnings.simplefilter("ignore")
    truth, label, score = data(names[0])
    calls = [(function(name), score if name in SCORES + RANKED else label) for name in names]
    for call, given in calls:
        call(truth, given)  # imports are no part of it
    rng, values = np.random.default_rng(1), []
    start, cpu = time.perf_counter(), time.process_time()
    for _ in range(PEER_RESAMPLES):
        rows = rng.integers(0, ROWS, ROWS) if names[0] not in LISTS else (rng.integers(0, ROWS // 10, ROWS // 10)[:, None] * 10 + range(10)).ravel()
        values.append([call(truth[rows], given[rows]) for call, given in calls])
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    columns = np.array(values).T
    found = {n: (*np.quantile(c, [0.025, 0.975]), c.std(ddof=1)) for n, c in zip(names, columns, strict=True)}
    return {"seconds": seconds, "cpu": cpu, "intervals": found}


def compare(names: tuple[str, ...]) -> dict:
    """Both sides, each in a process of its own."""
    sides = {}
    for side in ("ours", "theirs"):
        measured = peers.measured([sys.executable, __file__, side, *names])
        sides[side] = json.loads(measured.stdout.strip().splitlines()[-1]) | {"peak_mb": measured.peak_mb}
    mine, other = sides["ours"], sides["theirs"]
    full = other["seconds"] / PEER_RESAMPLES * RESAMPLES
    return {"ours": mine["seconds"], "theirs": full, "ratio": full / mine["seconds"],
            "cpu": other["cpu"] / PEER_RESAMPLES * RESAMPLES / max(mine["cpu"], 1e-9), "peak_mb": mine["peak_mb"],
            "intervals": {n: {"mlnb": mine["intervals"][n], "rows": other["intervals"][n]} for n in names}}  # fmt: skip


def main(each: bool, some: tuple[str, ...]) -> None:
    found = compare(FOUR)
    print(f"{RESAMPLES} resamples of {', '.join(FOUR)} on {ROWS:,} rows")
    print(f"  mlnb         {found['ours']:8.2f} s   peak {found['peak_mb']:.0f} MB, libraries included")
    print(f"  scikit-learn {found['theirs']:8.2f} s   from {PEER_RESAMPLES} resamples, scaled up")
    print(f"  ratio        {found['ratio']:8.1f}   by the processor {found['cpu']:.1f}")
    print("  metric         standard error    by rows   ends, in standard errors apart")
    worst = 0.0
    for name, pair in found["intervals"].items():
        (low, high, se), (other_low, other_high, other_se) = pair["mlnb"], pair["rows"]
        apart = max(abs(low - other_low), abs(high - other_high)) / se
        worst = max(worst, abs(se / other_se - 1))
        print(f"  {name:13} {se:14.6f} {other_se:10.6f}   {apart:.2f}")
    what = f"bootstrap of 4 metrics, {ROWS:,} rows"
    peers.row(what, found["ours"], found["theirs"], unit="s", peer="scikit-learn", goal=20)
    peers.row("bootstrap, peak memory", found["peak_mb"], unit="MB", limit=500)
    singles = {}
    if each:
        for name in some or (*LABELS, *SCORES, *NUMBERS, *RANKED):
            one = compare((name,))
            singles[name] = [round(one["ratio"], 1), round(one["cpu"], 1)]
            print(f"  {name:18} {one['ratio']:8.1f} times by the clock, {one['cpu']:8.1f} by the processor, {one['peak_mb']:.0f} MB", flush=True)
            peers.row(f"bootstrap, {name}", one["ours"], one["theirs"], unit="s", peer="scikit-learn", goal=25)
    print(json.dumps({"bench": "bootstrap", "ratio": round(found["ratio"], 1), "seconds": round(found["ours"], 3),
                      "peer_seconds": round(found["theirs"], 1), "peak_mb": round(found["peak_mb"]),
                      "worst_standard_error_gap": round(worst, 3), "each": singles}))  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] in (["ours"], ["theirs"]):
        print(json.dumps({"ours": ours, "theirs": theirs}[sys.argv[1]](sys.argv[2:])))
    else:
        main("--each" in sys.argv, tuple(sys.argv[sys.argv.index("--each") + 1:]) if "--each" in sys.argv else ())
