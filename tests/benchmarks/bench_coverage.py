"""How often 95 % intervals hold the truth, by simulation, for every metric and its own method, beside the percentile and the BCa interval.

The data are made so that intervals have it hard: skewed errors, a rare class, few lists. The truth comes from two million rows (or from
many samples, where the metric depends on their size). 93.5 to 96.5 % is what has to be reached; with 2000 simulations the figures are uncertain by
half a percent either way.

Run it by itself: `.venv/bin/python tests/benchmarks/bench_coverage.py`; `--sims 400` is quicker, `--only mae` takes one metric, `--scene lists` some of the data.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
import peers

Made = tuple[tuple, dict]


def binary(rng: np.random.Generator, n: int, share: float) -> Made:
    """A score and outcomes that follow it, calibrated up to noise."""
    odds = rng.normal(np.log(share / (1 - share)), 1.3, n)
    truth = (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(int)
    shown = 1 / (1 + np.exp(-(odds + rng.normal(0, 0.5, n))))
    return (truth, None, shown), {"task": "binary", "positive": 1, "classes": [0, 1], "threshold": min(0.5, 2 * share)}


def classes(rng: np.random.Generator, n: int) -> Made:
    """Three classes of different size."""
    prob = rng.dirichlet([3, 2, 0.7], n)
    truth = (prob.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(0, 2)
    return (truth, None, prob), {"task": "multiclass", "classes": [0, 1, 2]}


def skewed(rng: np.random.Generator, n: int) -> Made:
    """Errors that are exponential in size, on either side."""
    truth = rng.gamma(4, 5, n) + 1
    return (truth, truth + rng.exponential(3, n) * rng.choice([-1, 1], n)), {"task": "regression"}


def lists(rng: np.random.Generator, n: int) -> Made:
    """Lists of ten with few hits."""
    hidden = rng.normal(0, 1, (n, 10))
    hits = (hidden + rng.normal(0, 1, (n, 10)) > 1.2).astype(int)
    return (hits.ravel(), None, hidden.ravel()), {"task": "ranking", "query": np.repeat(np.arange(n), 10), "k": 5}


def alarms(rng: np.random.Generator, n: int) -> Made:
    """Rare anomalies with a score."""
    truth = (rng.random(n) < 0.03).astype(int)
    return (truth, None, rng.normal(0, 1, n) + 2 * truth), {"task": "anomaly", "positive": 1, "k": n // 25}


def ratings(rng: np.random.Generator, n: int) -> Made:
    """Ratings from 1 to 5, most of them high."""
    return (rng.choice([1, 2, 3, 4, 5], n, p=[0.05, 0.05, 0.1, 0.3, 0.5]).astype(float),), {"task": "generation"}


SCENES: dict[str, tuple[Callable[..., Made], int, tuple]] = {
    "30 % positive, 600 rows": (binary, 600, (0.3,)),
    "4 % positive, 3000 rows": (binary, 3000, (0.04,)),
    "three classes, 600 rows": (classes, 600, ()),
    "skewed errors, 300 rows": (skewed, 300, ()),
    "80 lists": (lists, 80, ()),
    "3 % anomalies, 2000 rows": (alarms, 2000, ()),
    "150 ratings": (ratings, 150, ()),
}


def simulate(scene: str, sims: int, n_resamples: int = 1000, only: str = "") -> list[tuple[str, str, dict[str, float]]]:
    """(scene, metric, method -> coverage)."""
    from mlnb.evaluation.accelerated import method_interval
    from mlnb.evaluation.bootstrap import bootstrap_values
    from mlnb.evaluation.measures import metrics_for
    from mlnb.evaluation.predictions import predictions

    make, n, more = SCENES[scene]
    given, options = make(np.random.default_rng(10**6), 2_000_000 if make is not lists else 100_000, *more)
    large = predictions(*given, **options)
    chosen = [m for m in metrics_for(large) if not only or m.name == only]
    if make is alarms:  # the expected value at this number of rows
        samples = [make(np.random.default_rng(10**6 + i), n) for i in range(4000)]
        true = np.mean([[m.of(predictions(*g, **o)) for m in chosen] for g, o in samples], axis=0)
    else:
        true = np.array([m.of(large) for m in chosen])
    hits: dict[tuple[str, str], list[bool]] = {}
    for seed in range(sims):
        given, options = make(np.random.default_rng(seed), n, *more)
        p = predictions(*given, **options)
        values = bootstrap_values([(m, p) for m in chosen], n_resamples, seed, threads=1)
        for m, column, right in zip(chosen, values.T, true, strict=True):
            for method in ("percentile", "bca"):
                i = method_interval((m, p), m.of(p), column, 0.95, method)
                hits.setdefault((m.name, method), []).append(i.low <= right <= i.high)
    return [(scene, m.name, {"default": float(np.mean(hits[m.name, m.interval])), "percentile": float(np.mean(hits[m.name, "percentile"])),
                             "bca": float(np.mean(hits[m.name, "bca"]))}) for m in chosen]  # fmt: skip


def main(sims: int, only: str, scenes: list[str]) -> None:
    rows = []
    print(f"coverage of 95 % intervals in {sims} simulations\n{'':26} {'metric':18} default percentile   BCa", flush=True)
    for scene in (s for s in SCENES if not scenes or any(part in s for part in scenes)):
        for place, name, found in simulate(scene, sims, only=only):
            mark = "" if 0.935 <= found["default"] <= 0.965 else "  <-"
            print(f"{place:26} {name:18} {found['default']:7.3f} {found['percentile']:10.3f} {found['bca']:5.3f}{mark}", flush=True)
            rows.append((place, name, found))
    low, high = (pick(found["default"] for _, _, found in rows) for pick in (min, max))
    peers.row("coverage of 95 % intervals, furthest from 95 %", 100 * max(0.95 - low, high - 0.95), unit="points", limit=1.5)
    print(json.dumps({"bench": "coverage", "sims": sims, "lowest": low, "highest": high,
                      "outside": [f"{name}, {place}" for place, name, f in rows if not 0.935 <= f["default"] <= 0.965]}))  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--sims", type=int, default=2000)
    parser.add_argument("--only", default="", help="one metric")
    parser.add_argument("--scene", action="append", default=[], help="data whose description holds this word")
    args = parser.parse_args()
    main(args.sims, args.only, args.scene)
