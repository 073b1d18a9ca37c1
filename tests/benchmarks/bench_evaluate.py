"""The whole evaluation of 1,000,000 held-out rows: two classes, five classes, a quantity.

Measured is what a page shows: every metric with its interval by 1000 resamples, the model against a constant answer and a rule, another model on the
same rows, curves with bands, calibration, 18 columns cut into segments, the search for the worst ones, two protected attributes with all their
combinations, the comparison with 100,000 training rows row by row, all findings EVAL01 to EVAL10, the HTML with its pictures, and the JSON that is
kept. Each task runs in a process of its own; the making of the rows is not in the time, and is in the memory.

Run it by itself: `.venv/bin/python tests/benchmarks/bench_evaluate.py`; `--rows N` for fewer, `--task binary` for one of them, `--profile` says where the time goes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import peers

ROWS, TRAIN, SECONDS, MEGABYTES = 1_000_000, 100_000, 60, 3_000
TASKS = {"binary": "two classes", "multiclass": "five classes", "regression": "a quantity"}


def table(rows: int, seed: int):
    """Twelve numbers, six columns of words, two protected attributes."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(seed)
    made = {f"x{i}": rng.normal(size=rows) for i in range(8)} | {f"n{i}": rng.poisson(3 + i, rows) for i in range(4)}
    for i in range(6):
        words = np.array([f"{'abcdef'[i]}{j}" for j in range(4 + 3 * i)], dtype=object)
        made[f"c{i}"] = words[rng.integers(0, len(words), rows)]
    made["sex"] = np.array(["female", "male", "other"], dtype=object)[rng.choice(3, rows, p=[0.5, 0.45, 0.05])]
    made["region"] = np.array(["north", "east", "south", "west"], dtype=object)[rng.integers(0, 4, rows)]
    return pd.DataFrame(made)


def answers(frame, task: str, seed: int):
    """Truth, and what a model, another one, a rule and a constant say."""
    import numpy as np

    rng, n = np.random.default_rng(seed + 1), len(frame)
    signal = (frame["x0"] + 0.7 * frame["x1"] + 0.2 * frame["n0"] - 0.6).to_numpy() + 0.5 * (frame["c0"] == "a1").to_numpy()
    if task == "regression":
        truth = 20 + 5 * signal + rng.gamma(2, 2, n) * (1 + (frame["c1"] == "b2").to_numpy())
        said = {"model": 24 + 5 * signal, "the other": 24 + 4.9 * signal + rng.normal(0, 1, n), "a rule": 24 + 5 * frame["x0"].to_numpy()}
        return truth, said | {"always the median": np.full(n, np.median(truth))}
    if task == "binary":
        odds = 1.5 * signal - 2.2
        truth = (rng.random(n) < 1 / (1 + np.exp(-odds - (frame["c1"] == "b2").to_numpy()))).astype(int)
        odds = {"model": odds, "the other": odds + rng.normal(0, 0.5, n), "a rule": 1.5 * frame["x0"].to_numpy() - 2.2, "always 0": np.full(n, -2.2)}
        return truth, {name: 1 / (1 + np.exp(-each)) for name, each in odds.items()}
    tilt = np.array([[1.0, 0.5, 0, -0.5, -1]]) * signal[:, None] + np.log([0.4, 0.25, 0.2, 0.1, 0.05])
    odds = {"model": tilt, "the other": tilt + rng.normal(0, 0.3, (n, 5)), "a rule": np.log([0.4, 0.25, 0.2, 0.1, 0.05]) + 0 * tilt + 0.5 * tilt.clip(-1, 1)}
    prob = {name: np.exp(each) / np.exp(each).sum(axis=1, keepdims=True) for name, each in odds.items()}
    truth = (prob["model"].cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(0, 4)
    return truth, prob | {"always 0": np.tile(np.bincount(truth, minlength=5) / n, (n, 1))}


def whole(task: str, rows: int):
    """A function that makes the whole evaluation, and what it is given is made before."""
    import pandas as pd

    from mlnb.evaluation.evaluate import Evaluation, evaluate
    from mlnb.evaluation.evaluate_files import shared_with_train
    from mlnb.evaluation.predictions import predictions

    frame, train = table(rows, 0), table(min(TRAIN, rows), 1)
    truth, said = answers(frame, task, 0)
    options = {"binary": {"positive": 1, "threshold": 0.4}, "multiclass": {"classes": [0, 1, 2, 3, 4]}, "regression": {}}[task] | {"task": task}

    def checked(name: str):
        return predictions(truth, **{"y_pred" if task == "regression" else "y_score": said[name]}, **options)

    def work() -> tuple[Evaluation, str, str]:
        facts = {"experiment": "e1", "strategy": "stratified", "train_rows": len(train), "folds": 5, "time": "", "threshold": 0.4, "share_gap": 0.001,
                 "names": {"baseline": list(said)[-1], "heuristic": "a rule"}, "positive": 1, "shared_rows": shared_with_train(frame, train)}
        rivals = {name: checked(name) for name in list(said)[2:]}
        e = evaluate(checked("model"), rivals, frame, frame[["sex", "region"]], facts=facts, other=("the other", checked("the other")))
        return e, e._repr_html_(), json.dumps({**e.to_dict(), "findings": e.findings.to_dict()}, default=str)

    assert isinstance(frame, pd.DataFrame)
    return work


def warm_up(task: str) -> None:
    """Imports, fonts and caches are no part of the time."""
    whole(task, 3000)()


def ours(task: str, rows: int, profile: bool) -> dict:
    """Seconds by the clock and of the processor, and what came out."""
    import cProfile
    import pstats

    warm_up(task)
    work, watch = whole(task, rows), cProfile.Profile()
    if profile:
        watch.enable()
    wall, cpu = time.perf_counter(), time.process_time()
    e, html, kept = work()
    found = {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "findings": [f"{f.code} {f.status.value}" for f in e.findings],
             "pictures": html.count("<img"), "html_kb": len(html) / 1000, "json_kb": len(kept) / 1000, "metrics": len(e.metrics),
             "worst": (e.search.get("segments") or [{}])[0].get("segment")}
    if profile:
        watch.disable()
        pstats.Stats(watch, stream=sys.stderr).sort_stats("cumulative").print_stats(45)
    return found


def main(tasks: list[str], rows: int, profile: bool) -> None:
    found = {}
    for task in tasks:
        if profile:
            print(json.dumps(ours(task, rows, True)))
            continue
        measured = peers.measured([sys.executable, __file__, "--side", task, "--rows", str(rows)])
        one = found[task] = json.loads(measured.stdout.strip().splitlines()[-1]) | {"peak_mb": measured.peak_mb}
        print(f"{TASKS[task]}, {rows:,} rows: {one['seconds']:.1f} s by the clock, {one['cpu']:.1f} s of the processor, {one['peak_mb']:.0f} MB; {one['metrics']} metrics, "
              f"{one['pictures']} pictures, {one['html_kb']:.0f} kB HTML, {one['json_kb']:.0f} kB JSON, worst segment {one['worst']}; {', '.join(one['findings'])}", flush=True)
        peers.row(f"whole evaluation, {TASKS[task]}, {rows:,} rows", one["seconds"], unit="s", limit=SECONDS)
        peers.row(f"whole evaluation, {TASKS[task]}, processor", one["cpu"], unit="s", limit=SECONDS)
        peers.row(f"whole evaluation, {TASKS[task]}, peak memory", one["peak_mb"], unit="MB", limit=MEGABYTES)
    print(json.dumps({"bench": "evaluate", "rows": rows, **found}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--task", action="append", choices=list(TASKS), default=[])
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--side", default="")
    args = parser.parse_args()
    if args.side:
        print(json.dumps(ours(args.side, args.rows, False)))
    else:
        main(args.task or list(TASKS), args.rows, args.profile)
