"""Worst segments of 100,000 rows and 30 columns, up to three conditions, against sliceline on the same table.

Planted is one segment of 2 % of the rows, described by three columns, in which twice as many predictions are wrong. Both sides
get the same coded table (numbers in five parts), the same smallest segment and three conditions; sliceline's encoding is inside
its time as ours is in ours. Its score weighs size against errors; with alpha 0.95 a segment of 2 % with twice the errors scores below 0, so alpha is 0.99.
A side has found the segment when one of its first eight covers nine tenths of the planted rows
and at most half as many others. Labels in doubt are compared with cleanlab on planted flips.

sliceline does not come to an end with three conditions in 30 columns, so both are compared on two tasks that it finishes as well: pairs of conditions in all 30
columns, and up to three conditions in the first eight; each has a planted segment of 2 % of the rows of its own.

Run it by itself: `.venv/bin/python tests/benchmarks/bench_segments.py`, with `--rows N` for fewer rows and
`--limit S` for the seconds that sliceline is given, `--task pairs` for one of full, pairs and eight.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import peers

ROWS, COLUMNS = 100_000, 30


TASKS = {"full": (COLUMNS, 3), "pairs": (COLUMNS, 2), "eight": (8, 3)}  # columns, and conditions at once


def data(rows: int, task: str = "full"):
    """Coded columns as text, the planted rows, and right or wrong."""
    import numpy as np

    rng = np.random.default_rng(0)
    table = rng.integers(0, 5, (rows, COLUMNS))
    table[:, 0] = rng.choice(5, rows, p=[0.25, 0.25, 0.2, 0.2, 0.1])
    if task == "eight":
        table[:, 6] = rng.choice(5, rows, p=[0.15, 0.4, 0.15, 0.15, 0.15])
    planted = {"full": lambda t: (t[:, 0] == 0) & (t[:, 7] <= 1) & (t[:, 19] == 3), "pairs": lambda t: (t[:, 0] == 4) & (t[:, 19] == 3),
               "eight": lambda t: (t[:, 0] == 0) & (t[:, 6] == 1) & (t[:, 5] == 3)}[task](table)  # fmt: skip
    table = table[:, : TASKS[task][0]]
    wrong = (rng.random(rows) < 0.1 + 0.1 * planted).astype(float)
    return table, planted, wrong


def judged(masks, planted) -> bool:
    """Whether one of the masks is the planted segment."""
    return any((mask & planted).sum() >= 0.9 * planted.sum() and (mask & ~planted).sum() <= 0.5 * planted.sum() for mask in masks)


def ours(rows: int, task: str) -> dict:
    import numpy as np
    import pandas as pd

    from mlnb.evaluation.segment_search import search_segments

    table, planted, wrong = data(rows, task)
    rng = np.random.default_rng(1)  # numbers again, so that cutting them is inside the time
    frame = pd.DataFrame({f"x{i}": table[:, i] + 0.999 * rng.random(rows) if i % 2 else table[:, i].astype(str) for i in range(table.shape[1])})
    search_segments(frame.head(500), wrong[:500])  # imports are no part of it
    start, cpu = time.perf_counter(), time.process_time()
    found = search_segments(frame, wrong, order=TASKS[task][1])
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    masks = []
    for segment in found.segments:
        mask = np.ones(rows, bool)
        for word in segment.conditions:
            mask &= _holds(frame, word)
        masks.append(mask)
    return {"seconds": seconds, "cpu": cpu, "found": judged(masks, planted), "first": [str(s) for s in found.segments], "candidates": sum(found.candidates.values())}


def _holds(frame, word: str):
    """The rows that fulfil a condition that is written in words."""
    if " = " in word:
        name, level = word.split(" = ")
        return (frame[name] == level).to_numpy()
    parts = word.split()
    if parts[1] == "<":
        return (frame[parts[2]] > float(parts[0])).to_numpy() & (frame[parts[2]] <= float(parts[4])).to_numpy()
    return ((frame[parts[0]] <= float(parts[2])) if parts[1] == "≤" else (frame[parts[0]] > float(parts[2]))).to_numpy()


THEIRS = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
import numpy as np
from bench_segments import TASKS, data, judged
from sliceline.slicefinder import Slicefinder
rows, task = int(sys.argv[2]), sys.argv[3]
table, planted, wrong = data(rows, task)
start, cpu = time.perf_counter(), time.process_time()
finder = Slicefinder(alpha=0.99, k=8, max_l=TASKS[task][1], min_sup=max(30, round(0.01 * rows)), verbose=False).fit(table, wrong)
seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
masks = [np.logical_and.reduce([np.ones(rows, bool)] + [table[:, j] == v for j, v in enumerate(top) if v is not None]) for top in finder.top_slices_]
covered = max(((m & planted).sum() / planted.sum() for m in masks), default=0.0)
print(json.dumps({"seconds": seconds, "cpu": cpu, "found": bool(judged(masks, planted)), "covered": float(covered),
                  "first": [str([(j, int(v)) for j, v in enumerate(top) if v is not None]) for top in finder.top_slices_]}))
"""

NOISE = """
import json
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
rng = np.random.default_rng(0)
X = rng.normal(size=(2000, 5))
clean = (X @ [2, -2, 1, 0, 0] > 0).astype(int)
flipped = rng.choice(2000, 100, replace=False)
y = clean.copy()
y[flipped] = 1 - y[flipped]
proba = cross_val_predict(LogisticRegression(), X, y, method="predict_proba", cv=5)
"""
OURS_NOISE = NOISE + """
from mlnb.evaluation.label_noise import label_noise
from mlnb.evaluation.predictions import predictions
rows = [d.row for d in label_noise(predictions(y, y_score=proba[:, 1], positive=1)).doubts]
print(json.dumps([len(set(rows[:50]) & set(flipped.tolist())) / 50, len(set(rows) & set(flipped.tolist())) / 100, len(rows)]))
"""
THEIR_NOISE = NOISE + """
from cleanlab.filter import find_label_issues
rows = find_label_issues(y, proba, return_indices_ranked_by="normalized_margin", filter_by="confident_learning").tolist()
print(json.dumps([len(set(rows[:50]) & set(flipped.tolist())) / 50, len(set(rows) & set(flipped.tolist())) / 100, len(rows)]))
"""


def sliceline(python: str, here: str, rows: int, task: str, limit: float) -> tuple[dict, float]:
    """What sliceline gives, or that it was not done in time; then its seconds are those it was given."""
    try:
        done = peers.measured([python, "-c", THEIRS, here, str(rows), task], timeout=limit)
    except peers.Crashed as error:
        if "not finished" not in str(error):
            raise
        return {"seconds": limit, "cpu": float("nan"), "found": None, "covered": None, "first": [f"not finished after {limit:g} s"]}, float("nan")
    return json.loads(done.stdout.strip().splitlines()[-1]), done.peak_mb


def main(rows: int, limit: float, tasks: list[str]) -> None:
    here, sides = str(Path(__file__).resolve().parent), {}
    for task in tasks:
        columns, order = TASKS[task]
        mine = peers.measured([sys.executable, __file__, "ours", str(rows), task])
        a = json.loads(mine.stdout.strip().splitlines()[-1])
        b, peak = sliceline(peers.python("sliceline", ["sliceline==0.2.22"]), here, rows, task, limit)
        sides[task] = {"mlnb": a, "sliceline": b}
        print(f"{rows:,} rows × {columns} columns, up to {order} conditions")
        for name, side, memory in (("mlnb", a, mine.peak_mb), ("sliceline", b, peak)):
            word = {True: "found", False: "MISSED", None: "not known"}[side["found"]]
            print(f"  {name:9} {side['seconds']:7.1f} s, {side['cpu']:7.1f} s of the processor  planted segment {word}  {memory:.0f} MB  {side['first'][:3]}", flush=True)
        if task == "full":
            peers.row(f"worst segments, {rows:,} x {columns}", a["seconds"], b["seconds"] if b["found"] is not None else None, unit="s", peer="sliceline", limit=20)
        else:
            theirs = b["cpu"] if b["found"] is not None else None
            peers.row(f"worst segments, {rows:,} x {columns}, up to {order}", a["cpu"], theirs, unit="s of the processor", peer="sliceline", goal=1)
    if "full" not in tasks:
        return
    python = peers.python("cleanlab", ["cleanlab==2.7.*", "scikit-learn"])
    noise = [json.loads(peers.measured([p, "-c", code]).stdout.strip().splitlines()[-1]) for p, code in ((sys.executable, OURS_NOISE), (python, THEIR_NOISE))]
    for name, (precision, recall, count) in zip(("mlnb", "cleanlab"), noise, strict=True):
        print(f"  labels in doubt, {name:8} precision of the first 50 {precision:.2f}, recall of all {recall:.2f}, {count} candidates")
    print(json.dumps({"bench": "segments", **sides, "noise": noise}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["ours"]:
        print(json.dumps(ours(int(sys.argv[2]), sys.argv[3])))
    else:
        options = {name: sys.argv[sys.argv.index(name) + 1] for name in ("--rows", "--limit", "--task") if name in sys.argv}
        main(int(options.get("--rows", ROWS)), float(options.get("--limit", 600)), [options["--task"]] if "--task" in options else list(TASKS))
