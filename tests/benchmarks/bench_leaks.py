"""The leak audit against planted leaks of every family, and against clean tables: recall and false alarms.

`bench_leaks.py [--per N] [--only WORDS] [--codes LEAK04,LEAK07] [--case NAME] [--seed S] [-v]` takes N tables for each family and
strength (all when 0).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import zlib
from collections import Counter, defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from leak_plants import PLANTS, ROW_PLANTS, Sides, cases, planted, planted_rows, split


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a share."""
    if not n:
        return 0.0, 1.0
    p, centre = hits / n, hits / n + z * z / (2 * n)
    half = z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    return (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)


def run(sides: Sides) -> list:
    """The findings of an audit."""
    from mlnb.data.leakage import audit

    return list(audit(sides.train, sides.test, target=sides.case.target, **sides.named).findings)


def found(sides: Sides, findings: list) -> bool:
    """Whether the plant is named by a failing finding, or its code fails."""
    if sides.columns:
        named = {column for f in findings if f.status.value == "fail" for column in f.columns}
        return set(sides.columns) <= named
    allowed = ("fail",) if sides.at_least == "fail" else ("fail", "warn")
    return any(f.code in sides.codes and f.status.value in allowed for f in findings)


def said(findings: list) -> str:
    """What was found, in short."""
    return " | ".join(f"{f.code} {f.status.value} {list(f.columns)[:4]} {f.message[:160]}" for f in findings if f.status.value in ("fail", "warn"))


def clean(args: argparse.Namespace) -> dict[str, float]:
    """False alarms over all tables and their honest splits."""
    flagged, columns, failing, splits = Counter(), 0, 0, 0
    for case in cases():
        if args.case and case.name not in args.case.split(","):
            continue
        for kind in case.kinds:
            start = time.perf_counter()
            sides = split(case, kind, args.seed)
            findings = run(sides)
            bad = [f for f in findings if f.status.value == "fail"]
            named = {c for f in findings if f.status.value in ("fail", "warn") for c in f.columns}
            columns += len(case.frame.columns) - 1
            flagged[f"{case.name}/{kind}"] += len(named)
            failing += bool(bad)
            splits += 1
            if bad or named or args.v:
                print(f"  clean {case.name}/{kind} {time.perf_counter() - start:.1f} s: {said(findings)}", flush=True)
    total = sum(flagged.values())
    print(f"clean: {failing} of {splits} splits fail; {total} of {columns} columns flagged ({total / max(columns, 1):.2%})")
    return {"clean_splits": splits, "clean_failing": failing, "clean_columns": columns, "clean_flagged": total}


def recall(args: argparse.Namespace) -> dict[str, object]:
    """Share of the plants that is found, per family and per code."""
    seen: dict[str, list[bool]] = defaultdict(list)
    by_code: dict[str, list[bool]] = defaultdict(list)
    for plant in (*PLANTS, *ROW_PLANTS):
        if (args.only and args.only not in plant.family) or (args.codes and plant.code not in args.codes.split(",")):
            continue
        fitting = [c for c in cases() if plant.fits(c)]
        missed = []
        for strength in plant.strengths:
            rng = np.random.default_rng([zlib.crc32(plant.family.encode()), int(strength * 1000), args.seed])
            make, done = planted if plant in PLANTS else planted_rows, 0
            for case in (fitting[i] for i in rng.permutation(len(fitting))):
                if args.per and done >= args.per:
                    break
                sides = make(plant, case, strength, case.kinds[0], args.seed)
                if sides is None:  # train alone gives the very same column: there is no leak to find
                    continue
                done += 1
                if args.case and case.name not in args.case.split(","):
                    continue
                findings = run(sides)
                hit = found(sides, findings)
                seen[plant.family].append(hit)
                by_code[plant.code].append(hit)
                if not hit:
                    missed.append(f"{case.name}@{strength:g}")
                    if args.v:
                        print(f"  missed {plant.family} {strength:g} {case.name} {sides.columns}: {said(findings)}", flush=True)
        hits, n = sum(seen[plant.family]), len(seen[plant.family])
        if n:
            print(f"{plant.code} {plant.family:42} {hits:3} of {n:3} {hits / n:6.1%}  missed {', '.join(missed[:6])}", flush=True)
    for code, hits in sorted(by_code.items()):
        low, high = wilson(sum(hits), len(hits))
        print(f"{code}: {sum(hits)} of {len(hits)} = {np.mean(hits):.1%} ({low:.1%} to {high:.1%})")
    every = [hit for hits in by_code.values() for hit in hits]
    low, high = wilson(sum(every), len(every))
    print(f"all: {sum(every)} of {len(every)} = {np.mean(every) if every else 0:.1%} ({low:.1%} to {high:.1%})")
    return {"recall": float(np.mean(every)) if every else None, "plants": len(every), "low": low,
            "families": {name: float(np.mean(hits)) for name, hits in seen.items() if hits}}  # fmt: skip


def main() -> None:
    """Measure and print."""
    import peers

    parser = argparse.ArgumentParser()
    parser.add_argument("--per", type=int, default=4)
    parser.add_argument("--only", default="")
    parser.add_argument("--codes", default="")
    parser.add_argument("--case", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", choices=["both", "clean", "recall"], default="both")
    parser.add_argument("-v", action="store_true")
    args = parser.parse_args()
    result: dict[str, object] = {"bench": "leaks"}
    if args.part != "recall":
        result |= clean(args)
    if args.part != "clean":
        result |= recall(args)
    if not (args.only or args.codes or args.case) and args.part == "both":
        peers.row("leak bench, share of plants missed", 1 - result["recall"], unit="", limit=0.05)
        peers.row("leak bench, clean splits that fail", result["clean_failing"], unit="", limit=0)
        peers.row("leak bench, share of clean columns flagged", result["clean_flagged"] / result["clean_columns"], unit="", limit=0.003)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
