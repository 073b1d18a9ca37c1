"""How often MODEL01 to MODEL21 warn of honest models: bundled tables, linear and boosted, split anew with each seed.

`bench_model_checks.py [SEEDS [TABLE …]]`. A row is the lower end of Wilson's interval of the share of models that a check warned of: more than
five percent would mean that false alarms are certain. Two warnings can be true of an honest model and are judged by a second look: features said
to be useless are left out, the model is fitted to all training rows again, and it is a false alarm when the test rows lose more than was said;
correlated features (MODEL08) and a linear model that boosted trees beat (MODEL02, 09 and 18, 19) are facts of the table and are listed, not judged.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

SEEDS, TABLES, ALLOWED = 5, ("breast_cancer", "wine", "diabetes", "churn"), 5.0
FACTS = {"linear": {"MODEL02", "MODEL08", "MODEL09", "MODEL18", "MODEL19"}, "xgboost": {"MODEL08"}}


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


def main(seeds: int, tables: tuple[str, ...]) -> None:
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
        peers.row(f"{code}: {warned[code]} of {made[code]} honest models warned of ({share.low:.0%} to {share.high:.0%})", 100 * share.low, unit="% at least", limit=ALLOWED)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS, tuple(sys.argv[2:]) or TABLES)
