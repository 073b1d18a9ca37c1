"""How often 95 % intervals hold the truth, by simulation, for every metric and its own method, beside the percentile and the BCa interval.

The data are made so that intervals have it hard: skewed errors, a rare class, few lists. The truth comes from two million rows (or from
many samples, where the metric depends on their size). 93.5 to 96.5 % is what has to be reached; with 2000 simulations the figures are uncertain by
half a percent either way.

Rows of customers and rows in time depend on each other: there customers, or blocks, are drawn. Rates have Wilson's interval, differences of rates
those of Newcombe and Tango, and ROC-AUC DeLong's beside the bootstrap; they are simulated as well.

Run it by itself: `.venv/bin/python tests/benchmarks/bench_coverage.py`; `--sims 400` is quicker, `--only mae` takes one metric, `--scene lists` some of the data,
`--default` leaves out the percentile and BCa interval of metrics for which they are not the default.
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


def customers(rng: np.random.Generator, n: int, noise: float = 0.0) -> Made:
    """Rows of customers, one to twelve each, who are alike; `groups` says whose a row is."""
    sizes = rng.integers(1, 13, n)
    whom, own = np.repeat(np.arange(n), sizes), np.repeat(rng.normal(0, 1, n), sizes)
    odds = own + rng.normal(-1, 1, len(whom))
    truth = (rng.random(len(whom)) < 1 / (1 + np.exp(-odds))).astype(int)
    shown = 1 / (1 + np.exp(-(odds + np.repeat(rng.normal(0, 0.7, n), sizes))))
    return (truth, None, shown), {"task": "binary", "positive": 1, "classes": [0, 1], "threshold": 0.4, "groups": whom}


def customer_amounts(rng: np.random.Generator, n: int) -> Made:
    """Amounts of customers, whose errors are alike."""
    sizes = rng.integers(1, 13, n)
    truth = rng.gamma(4, 5, sizes.sum()) + 1
    error = np.repeat(rng.normal(0, 2, n), sizes) + rng.exponential(2, len(truth)) * rng.choice([-1, 1], len(truth))
    return (truth, truth + error), {"task": "regression", "groups": np.repeat(np.arange(n), sizes)}


def days(rng: np.random.Generator, n: int) -> Made:
    """Rows in time whose errors follow each other; `block` rows are drawn together."""
    from scipy.signal import lfilter

    slow = lfilter([1], [1, -0.5], rng.normal(0, 1, n + 200))[200:]
    truth = 20 + lfilter([1], [1, -0.5], rng.normal(0, 3, n + 200))[200:]
    return (truth, truth + slow + rng.normal(0, 1, n)), {"task": "regression", "block": True}


SCENES: dict[str, tuple[Callable[..., Made], int, tuple]] = {
    "30 % positive, 600 rows": (binary, 600, (0.3,)),
    "4 % positive, 3000 rows": (binary, 3000, (0.04,)),
    "three classes, 600 rows": (classes, 600, ()),
    "skewed errors, 300 rows": (skewed, 300, ()),
    "80 lists": (lists, 80, ()),
    "3 % anomalies, 2000 rows": (alarms, 2000, ()),
    "150 ratings": (ratings, 150, ()),
    "200 customers": (customers, 200, ()),
    "amounts of 200 customers": (customer_amounts, 200, ()),
    "1000 rows in time": (days, 1000, ()),
}


def simulate(scene: str, sims: int, n_resamples: int = 1000, only: str = "", methods: tuple[str, ...] = ("percentile", "bca")) -> list[tuple[str, str, dict[str, float]]]:
    """(scene, metric, method -> coverage)."""
    from mlnb.evaluation.accelerated import method_interval
    from mlnb.evaluation.bootstrap import bootstrap_values
    from mlnb.evaluation.measures import metrics_for
    from mlnb.evaluation.predictions import predictions

    make, n, more = SCENES[scene]
    given, options = make(np.random.default_rng(10**6), {lists: 100_000, customers: 300_000, customer_amounts: 300_000}.get(make, 2_000_000), *more)
    options = {name: value for name, value in options.items() if name not in ("groups", "block")}
    large = predictions(*given, **options)
    chosen = [m for m in metrics_for(large) if not only or m.name == only]
    if not chosen:
        return []
    if make is alarms:  # the expected value at this number of rows
        samples = [make(np.random.default_rng(10**6 + i), n) for i in range(4000)]
        true = np.mean([[m.of(predictions(*g, **o)) for m in chosen] for g, o in samples], axis=0)
    else:
        true = np.array([m.of(large) for m in chosen])
    hits: dict[tuple[str, str], list[bool]] = {}
    for seed in range(sims):
        given, options = make(np.random.default_rng(seed), n, *more)
        whom, block = options.pop("groups", None), options.pop("block", None)
        p = predictions(*given, **options)
        values = bootstrap_values([(m, p) for m in chosen], n_resamples, seed, groups=whom, threads=1, block=round(n ** (1 / 3)) if block else None)
        for m, column, right in zip(chosen, values.T, true, strict=True):
            for method in {*methods, m.interval}:
                i = method_interval((m, p), m.of(p), column, 0.95, method, whom)
                hits.setdefault((m.name, method), []).append(i.low <= right <= i.high)
    share = {key: float(np.mean(held)) for key, held in hits.items()}
    return [(scene, m.name, {"default": share[m.name, m.interval], **{method: share[m.name, method] for method in methods}}) for m in chosen]


def formulas(sims: int) -> list[tuple[str, str, dict[str, float]]]:
    """Coverage of the intervals that have a formula: one rate, two rates, paired rates, ROC-AUC."""
    from mlnb.evaluation.delong import delong_interval
    from mlnb.evaluation.rate_differences import paired_rate_difference, rate_difference
    from mlnb.evaluation.rates import wilson

    found = []
    for (least, most), n in (((0.2, 0.4), 200), ((0.02, 0.06), 600), ((0.95, 0.99), 150)):  # at a single rate counts jump (Brown, Cai and DasGupta 2001)
        share = np.random.default_rng(0).uniform(least, most, 20 * sims)
        hits = np.random.default_rng(1).binomial(n, share)
        low, high = wilson(hits, np.full(len(hits), n))
        found.append((f"{least:.0%} to {most:.0%} of {n} rows", "rate, Wilson", float(((low <= share) & (share <= high)).mean())))
    rng = np.random.default_rng(1)
    held = [(lambda i: i.low <= 0.1 <= i.high)(rate_difference(rng.binomial(150, 0.3), 150, rng.binomial(200, 0.2), 200)) for _ in range(2 * sims)]
    found.append(("30 % of 150, 20 % of 200", "difference of rates", float(np.mean(held))))
    held = []
    for _ in range(sims):
        both, first, second, none = rng.multinomial(200, [0.6, 0.15, 0.08, 0.17])
        i = paired_rate_difference(both, first, second, none)
        held.append(i.low <= 0.07 <= i.high)
    found.append(("200 pairs", "paired difference", float(np.mean(held))))
    large = binary(np.random.default_rng(10**6), 2_000_000, 0.1)[0]
    area, held = delong_interval(large[0], large[2], positive=1).value, []
    for seed in range(sims):
        truth, _, score = binary(np.random.default_rng(seed), 400, 0.1)[0]
        i = delong_interval(truth, score, positive=1)
        held.append(i.low <= area <= i.high)
    found.append(("10 % positive, 400 rows", "ROC-AUC, DeLong", float(np.mean(held))))
    return [(scene, name, {"default": share}) for scene, name, share in found]


def main(sims: int, only: str, scenes: list[str], methods: tuple[str, ...]) -> None:
    rows = []
    print(f"coverage of 95 % intervals in {sims} simulations\n{'':26} {'metric':20} default percentile        BCa", flush=True)
    jobs = [lambda scene=scene: simulate(scene, sims, only=only, methods=methods) for scene in SCENES if not scenes or any(part in scene for part in scenes)]
    jobs += [lambda: formulas(sims)] if not only and (not scenes or "formulas" in scenes) else []
    for job in jobs:
        for place, name, found in job():
            mark = "" if 0.935 <= found["default"] <= 0.965 else "  <-"
            others = " ".join(f"{found[m]:10.3f}" if m in found else " " * 10 for m in ("percentile", "bca"))
            print(f"{place:26} {name:20} {found['default']:7.3f} {others}{mark}", flush=True)
            rows.append((place, name, found))
    low, high = (pick(found["default"] for _, _, found in rows) for pick in (min, max))
    peers.row("coverage of 95 % intervals, furthest from 95 %", 100 * max(0.95 - low, high - 0.95), unit="points", limit=1.5)
    print(json.dumps({"bench": "coverage", "sims": sims, "lowest": low, "highest": high,
                      "outside": [f"{name}, {place}" for place, name, f in rows if not 0.935 <= f["default"] <= 0.965]}))  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--sims", type=int, default=2000)
    parser.add_argument("--only", default="", help="one metric")
    parser.add_argument("--scene", action="append", default=[], help="data whose description holds this word; formulas for rates and DeLong's")
    parser.add_argument("--default", action="store_true", help="only the interval that each metric has by default")
    args = parser.parse_args()
    main(args.sims, args.only, args.scene, () if args.default else ("percentile", "bca"))
