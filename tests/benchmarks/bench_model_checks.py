"""How often MODEL01 to MODEL21 warn of honest models, and what they, skore and deepchecks say of planted faults.

`bench_model_checks.py` examines honest models of small projects drawn from a known law, two classes, three classes and a quantity: a line where the law
is a line, boosted trees and a forest where it is not (42 projects and 63 models; `--seeds N` for another number of seeds). A warning is looked at
again: the model is fitted to new training rows of the same law and examined with 5,000 new test rows. When it is warned of again, the warning told
something true (an untuned booster may have rounds too many); when not, it was a false alarm. MODEL07 names features of the law, all of which matter, and is true by that.
At most 5 % of the models may have one, and 1 % a false failure.

`--tables [NAME …]` examines linear and boosted models of bundled tables instead. There are no new rows there: features said to be useless are left out, the
model is fitted to all training rows again, and it is a false alarm when the test rows lose more than was said; correlated features (MODEL08) and a linear
model that boosted trees beat (MODEL02, 09 and 18, 19) are facts of the table and are listed, not judged.

`--faults` plants one fault a check and prints what each tool says of it and of its honest twin; skore and deepchecks run in environments of their own.
`--large` times MODEL03 on 1,000,000 training rows.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

SEEDS, TABLES, WARNED, FAILED = 14, ("breast_cancer", "wine", "diabetes", "churn"), 5.0, 1.0
FACTS = {"linear": {"MODEL02", "MODEL08", "MODEL09", "MODEL18", "MODEL19"}, "xgboost": {"MODEL08"}}


def drawn(task: str, bent: bool, n: int, seed: int):  # type: ignore[no-untyped-def]
    """Rows of a law in which every feature matters."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng([seed, len(task), bent])  # tasks do not share their noise
    f = pd.DataFrame({**{name: rng.normal(size=n) for name in "abc"}, "group": np.array(["x", "y", "z"], dtype=object)[rng.integers(0, 3, n)]})
    one = 1.2 * f.a - f.b + 0.8 * f.c + 1.2 * (f.group == "x")
    other = f.b + f.c - 0.9 * f.a + 1.2 * (f.group == "y")
    if bent:
        one, other = one + 1.5 * np.sin(2 * f.a) + f.b * f.c, other - f.a * f.b + 1.5 * np.cos(2 * f.c)
    if task == "regression":
        return f.assign(y=10 + 2 * one + rng.normal(size=n))
    if task == "binary":
        return f.assign(y=np.where(rng.random(n) < 1 / (1 + np.exp(-one - 0.3)), "yes", "no"))
    odds = np.exp(np.column_stack([one, other, np.zeros(n)]))
    return f.assign(y=np.array(["one", "two", "three"], dtype=object)[((odds / odds.sum(1, keepdims=True)).cumsum(1) < rng.random((n, 1))).sum(1).clip(0, 2)])


def fresh(kind: str, task: str, seed: int):  # type: ignore[no-untyped-def]
    """A model that nobody can blame, not fitted."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    from mlnb.core.tables import open_table
    from mlnb.experiments.pipelines import starting_pipeline

    if kind == "forest":
        forest = (RandomForestRegressor if task == "regression" else RandomForestClassifier)(80, min_samples_leaf=3, random_state=seed)
        return make_pipeline(make_column_transformer((OneHotEncoder(sparse_output=False), ["group"]), remainder="passthrough"), forest)
    return starting_pipeline(open_table(drawn(task, False, 800, seed).drop(columns="y")).kinds, task, 800, "", seed, kind)


def honest(seeds: int, skip: int = 0) -> None:
    """Share of honest models that each check warned of or failed, and of those how many were told something true."""
    import peers
    from sklearn.base import clone

    from mlnb.evaluation.model_checks import inspect_model

    made, raw, false, failed = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for seed in range(skip, skip + seeds):
        for task in ("binary", "multiclass", "regression"):
            for kind, bent in (("linear", False), ("xgboost", True), ("forest", True))[: 2 if seed % 2 else 3]:
                train, test = drawn(task, bent, 800, 10 * seed), drawn(task, bent, 500, 10 * seed + 1)
                model = fresh(kind, task, seed).fit(train.drop(columns="y"), train.y.to_numpy())
                for f in inspect_model(model, train, test, "y", task=task, random_state=seed).findings:
                    if f.status.value in ("pass", "warn", "fail"):
                        made[f.code] += 1
                    if f.status.value not in ("warn", "fail"):
                        continue
                    more, judges = drawn(task, bent, 800, 10 * seed + 2), drawn(task, bent, 5_000, 10 * seed + 3)
                    again = clone(model).fit(more.drop(columns="y"), more.y.to_numpy())
                    told = inspect_model(again, more, judges, "y", task=task, random_state=seed, only=(f.code,)).findings[0]
                    true = f.code == "MODEL07" or told.status.value in ("warn", "fail") and (not f.columns or bool(set(f.columns) & set(told.columns)))
                    raw[f.code] += 1
                    false[f.code] += not true
                    failed[f.code] += f.status.value == "fail" and not true
                    print(f"{task} {kind} {seed} {f.code} {f.status.value}, {'true' if true else 'FALSE'}: {f.message[:230]}", flush=True)
    print(f"{'':8} models warned  true  false   share of false alarms")
    for code in sorted(made):
        print(f"{code} {made[code]:6} {raw[code]:6} {raw[code] - false[code]:5} {false[code]:6} {false[code] / made[code]:12.1%}")
        peers.row(f"{code}: false alarms on {made[code]} honest models", 100 * false[code] / made[code], unit="%", limit=WARNED)
    peers.row("false failures on honest models, all checks", 100 * sum(failed.values()) / max(sum(made.values()), 1), unit="%", limit=FAILED)
    print(json.dumps({"bench": "model_checks", "models": made["MODEL01"], "warned": dict(raw), "false": dict(false), "false failures": dict(failed)}))


def rows_of(name: str, seed: int):  # type: ignore[no-untyped-def]
    """Training rows, test rows, target, time and task of an example, without what nobody may use."""
    import pandas as pd
    from sklearn.model_selection import train_test_split

    from mlnb.datasets import load_example

    e = load_example(name, seed=seed, n=3_000)
    f = (e.data if name == "churn" else pd.concat([e.data, e.current])).drop(columns=[c for c in (*e.exclude, e.entity, "final_invoice_days") if c in e.data])
    if e.time:
        f = f.sort_values(e.time)
        sides = f.iloc[: int(len(f) * 0.7)], f.iloc[int(len(f) * 0.7):]
    else:
        sides = train_test_split(f, test_size=0.3, random_state=seed, stratify=None if e.task == "regression" else f[e.target])
    return *(side.reset_index(drop=True) for side in sides), e.target, e.time, e.task


def worse_without(model: object, names: tuple[str, ...], train, test, target: str, time: str, task: str) -> bool:  # type: ignore[no-untyped-def]
    """Whether the test rows lose more than a fiftieth of the gain, beyond luck, when the features are left out."""
    import numpy as np

    from mlnb.evaluation.model_subject import mean_of, subject

    s = subject(model, train, test, target, time, task=task)
    blank = [side.assign(**{n: s.train[n].take(np.zeros(len(side), int)).array for n in names}) for side in (s.train, s.test)]
    without = s.again(np.arange(len(s.y)), frame=blank[0])
    return mean_of(s.loss(s.ask(without, blank[1]), s.z) - s.losses["model"][1] - 0.02 * s.gain).low > 0


def bundled(seeds: int, tables: tuple[str, ...]) -> None:
    """The same for bundled tables."""
    import peers

    from mlnb.core.tables import open_table
    from mlnb.evaluation.model_checks import inspect_model
    from mlnb.evaluation.rates import rate_interval
    from mlnb.experiments.pipelines import starting_pipeline

    warned, made = Counter[str](), Counter[str]()
    for name in tables:
        for seed in range(seeds):
            train, test, target, time, task = rows_of(name, seed)
            X = train.drop(columns=target)
            for kind, facts in FACTS.items():
                model = starting_pipeline(open_table(X).kinds, task, len(train), time, seed, kind).fit(X, train[target].to_numpy())
                for f in inspect_model(model, train, test, target, time=time, task=task, random_state=seed).findings:
                    if f.status.value not in ("pass", "warn", "fail") or f.code in facts:
                        continue
                    alarm = f.status.value != "pass"
                    if alarm:
                        print(f"{name} {kind} {seed} {f.code}: {f.message[:200]}", flush=True)
                    if alarm and f.code == "MODEL12":
                        alarm = worse_without(model, f.columns, train, test, target, time, task)
                    made[f.code] += 1
                    warned[f.code] += alarm
    for code in sorted(made):
        share = rate_interval(warned[code], made[code])
        peers.row(f"{code}: {warned[code]} of {made[code]} honest models warned of ({share.low:.0%} to {share.high:.0%})", 100 * share.low, unit="% at least", limit=WARNED)


def large(rows: int) -> None:
    """MODEL03 for a million training rows: seconds and memory."""
    import peers

    measured = peers.measured([sys.executable, __file__, "--side", str(rows)])
    found = json.loads(measured.stdout.strip().splitlines()[-1])
    print(f"MODEL03 of {rows:,} training rows: {found['seconds']:.1f} s by the clock, {found['cpu']:.1f} s of the processor, {measured.peak_mb:.0f} MB; {found['message']}")
    peers.row(f"MODEL03, {rows:,} training rows", found["cpu"], unit="s of the processor", limit=60)
    peers.row(f"MODEL03, {rows:,} training rows, peak memory", measured.peak_mb, unit="MB", limit=2_000)


def one_large(rows: int) -> dict[str, object]:
    """The check itself, in a process of its own; the model is fitted before."""
    from mlnb.evaluation.model_checks import inspect_model

    train, test = drawn("binary", True, rows, 1), drawn("binary", True, rows // 4, 2)
    model = fresh("xgboost", "binary", 0).fit(train.iloc[:50_000].drop(columns="y"), train.y[:50_000].to_numpy())
    wall, cpu = time.perf_counter(), time.process_time()
    f = inspect_model(model, train, test, "y", task="binary", only=("MODEL03",)).findings[0]
    return {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "message": f"{f.status.value}: {f.message}"}


SAME = {  # what deepchecks calls it
    "MODEL01": ("Train Test Performance",), "MODEL02": ("Simple Model Comparison",), "MODEL09": ("Simple Model Comparison",), "MODEL10": ("Model Inference Time",),
    "MODEL12": ("Unused Features",), "MODEL17": ("Boosting Overfit",), "MODEL18": ("Weak Segments Performance",),
    "MODEL19": ("Regression Error Distribution", "Prediction Drift"),
    "MODEL20": ("Prediction Drift", "Calibration Metric"),
}
DEEPCHECKS = ["deepchecks==0.19.1", "numpy<2", "pandas<2.2", "scikit-learn<1.4", "setuptools<70", "pyarrow<16"]


def faults() -> None:
    """What each tool says of each planted fault, and of the same without it."""
    import model_plants
    import peers

    from mlnb.evaluation.model_checks import inspect_model

    said: dict[str, dict[str, list[str]]] = {"mlnb": {}}
    for tool, needs in (("skore", ["skore==0.28.*", "scikit-learn", "xgboost"]), ("deepchecks", DEEPCHECKS)):
        done = peers.measured([peers.python(tool, needs), str(Path(__file__).with_name("model_plants.py")), tool])
        said[tool] = json.loads(done.stdout.strip().splitlines()[-1])
    for code in model_plants.CODES:
        for faulty in (True, False):
            c = model_plants.case(code, faulty)
            model = c.model.fit(c.train.drop(columns=["y", *([c.time] if c.time else [])]), c.train.y)
            found = inspect_model(model, c.train, c.test, "y", task=c.task, time=c.time, folds=c.folds, random_state=0).findings
            said["mlnb"][f"{code} {faulty}"] = [f.code for f in found if f.status.value in ("warn", "fail")]

    def words(tool: str, code: str, faulty: bool) -> str:
        same = {"mlnb": (code,), "skore": (f"SKD0{code[-2:]}",) if code <= "MODEL16" else (), "deepchecks": SAME.get(code, ())}[tool]
        given = said[tool][f"{code} {faulty}"]
        if not same:
            return "no such check"
        return "failed" if given and given[0].startswith("error") else "named" if any(g.startswith(same) for g in given) else "silent"

    print(f"{'fault':10} {'mlnb':28} {'skore':28} {'deepchecks'}")
    right = Counter[str]()
    for code in model_plants.CODES:
        cells = {tool: [words(tool, code, faulty) for faulty in (True, False)] for tool in ("mlnb", "skore", "deepchecks")}
        for tool, (fault, twin) in cells.items():
            right[tool] += fault == "named" and twin == "silent"
        shown = [c[0] if c[0] == "no such check" else f"{c[0]}, twin {c[1]}" for c in cells.values()]
        print(f"{code:10} {shown[0]:28} {shown[1]:28} {shown[2]}")
    for tool in ("mlnb", "skore", "deepchecks"):
        own = {key: (f"SKD0{key[5:7]}", key[:7], *SAME.get(key[:7], ())) for key in said[tool]}
        others = sum(not g.startswith(own[key]) for key, given in said[tool].items() if key.endswith("False") for g in given)
        print(f"{tool}: {right[tool]} of {len(model_plants.CODES)} faults named with a silent twin; {others} other warnings on the {len(model_plants.CODES)} twins")
    other = max(right["skore"], right["deepchecks"])
    peers.row("planted faults of models named, twin silent", right["mlnb"], other, unit="of 21", peer="the better of skore and deepchecks", more=True)
    print(json.dumps({"bench": "model faults", "right": dict(right), "said": said}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=0)
    parser.add_argument("--skip", type=int, default=0, help="the first seed")
    parser.add_argument("--tables", nargs="*", default=None)
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--side", type=int, default=0)
    args = parser.parse_args()
    if args.side:
        print(json.dumps(one_large(args.side)))
    elif args.large:
        large(1_000_000)
    elif args.faults:
        faults()
    elif args.tables is not None:
        bundled(args.seeds or 5, tuple(args.tables) or TABLES)
    else:
        honest(args.seeds or SEEDS, args.skip)
