"""One fault a check of models, and its honest twin: unfitted models with rows, made with numpy, pandas and scikit-learn alone, so that other tools can be given the same.

`model_plants.py skore` and `model_plants.py deepchecks`, run by the Python of the tool's environment, print what it says of each as JSON.
"""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

FEATURES = list("abcde")


@dataclass
class Case:
    """What is examined."""

    model: Any  # not fitted
    train: pd.DataFrame
    test: pd.DataFrame
    task: str = "regression"
    time: str = ""
    folds: list[tuple[np.ndarray, np.ndarray]] | None = None
    words: list[str] = field(default_factory=list)  # columns of words


def numbers(n: int, seed: int, noise: float = 1.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    f = pd.DataFrame(rng.normal(size=(n, 5)), columns=FEATURES)
    return f.assign(y=f.sum(axis=1) + noise * rng.normal(size=n))


def classes(n: int, seed: int, level: float = 0.0) -> pd.DataFrame:
    f = numbers(n, seed)
    chance = 1 / (1 + np.exp(-(1.5 * f.a - 1.5 * f.b + level)))
    return f.assign(y=(np.random.default_rng(seed + 99).random(n) < chance).astype(int))


def both(make: Any, **given: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    return make(800, 0, **given), make(500, 1, **given)


def blocks(n: int) -> list[tuple[np.ndarray, np.ndarray]]:
    rows = np.arange(n)
    return [(rows[rows % 5 != k], rows[rows % 5 == k]) for k in range(5)]


def case(code: str, faulty: bool) -> Case:
    """The fault that a check is for, or the same without it."""
    from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor, RandomForestRegressor
    from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
    from sklearn.model_selection import GridSearchCV
    from sklearn.tree import DecisionTreeRegressor

    line, rng = LinearRegression(), np.random.default_rng(7)
    train, test = both(numbers)
    if code == "MODEL01":
        return Case(DecisionTreeRegressor(random_state=0) if faulty else line, *both(numbers, noise=2.0))
    if code == "MODEL02":
        return Case(Ridge(alpha=5_000) if faulty else Ridge(), train, test)
    if code == "MODEL03":
        if faulty:
            train.loc[np.arange(800) % 5 == 2, "y"] += 2.5 * rng.normal(size=160)
        return Case(line, train, test, folds=blocks(800))
    if code == "MODEL04":
        return Case(LogisticRegression(**({"C": 0.001} if faulty else {"class_weight": "balanced"})), *(classes(1_500, s, -4.5) for s in (0, 1)), "binary")
    if code == "MODEL05":
        sides = [f.assign(y=np.where(np.random.default_rng(i).random(len(f)) < 0.05, 2, f.y)) for i, f in enumerate((classes(1_500, 2), classes(1_500, 3)))]
        if not faulty:
            sides = [f.assign(a=f.a + 6 * (f.y == 2), b=f.b + 6 * (f.y == 2)) for f in sides]
        return Case(LogisticRegression(max_iter=1_000), *sides, "multiclass")
    if code == "MODEL06":
        sides = [f.assign(y=f.a + 2 * f.b + 3 * f.c + 4 * f.d + 5 * f.e + f.y / 10) for f in (train, test)]
        return Case(line, *([f.assign(a=f.a / 30, e=f.e * 30) for f in sides] if faulty else sides))
    if code == "MODEL07":
        sides = [pd.DataFrame({"flag": (f.a > 0).astype(int), "half": (f.b > 0).astype(int), **({"noise": f.c, "more": f.d} if faulty else {}),
                               "y": 1.0 * (f.a > 0) + 0.6 * (f.b > 0) + 1.5 * f.e}) for f in (train, test)]
        return Case(RandomForestRegressor(60, random_state=0), *sides)
    if code == "MODEL08":
        return Case(line, *(f.assign(a2=f.a * 1_000 + np.random.default_rng(i).normal(size=len(f)) * (1 if faulty else 2_000)) for i, f in enumerate((train, test))))
    if code in ("MODEL09", "MODEL18"):
        words = np.array(["u", "v", "w"], dtype=object)
        sides = [f.assign(group=words[np.random.default_rng(i).integers(0, 3, len(f))]) for i, f in enumerate(both(numbers, noise=0.5))]
        if faulty and code == "MODEL09":
            sides = [f.assign(y=f.a + 3 * f.b * np.sign(f.c) + f.y / 5) for f in sides]
        if faulty and code == "MODEL18":
            sides = [f.assign(y=np.where(f.group == "w", f.y - 4 * f.a, f.y)) for f in sides]
        sides = [f.assign(**{f"group {w}": (f.group == w).astype(int) for w in words}).drop(columns="group") for f in sides]
        return Case(line, *sides)
    if code == "MODEL10":
        return Case(RandomForestRegressor(400, random_state=0) if faulty else line, train, test)
    if code == "MODEL11":
        return Case(line, *((f.assign(refund=2 * f.y + 0.3 * np.random.default_rng(i).normal(size=len(f))) if faulty else f) for i, f in enumerate((train, test))))
    if code == "MODEL12":
        return Case(line, *((f.assign(idle=np.random.default_rng(i).normal(size=len(f))) if faulty else f) for i, f in enumerate((train, test))))
    if code == "MODEL13":
        when = pd.Series(pd.date_range("2026-01-01", periods=1_300, freq="h"))
        if faulty:
            when = when.sample(frac=1, random_state=0).reset_index(drop=True)
        return Case(line, train.assign(when=when[:800].to_numpy()), test.assign(when=when[800:].to_numpy()), time="when")
    if code == "MODEL14":
        alphas = [1e5, 1e6, 1e7] if faulty else [1e-4, 0.001, 0.01, 0.1, 1.0, 10.0, 1e3, 1e5, 1e6]
        return Case(GridSearchCV(Ridge(), {"alpha": alphas}), *(both(numbers, noise=3.0)))
    if code == "MODEL15":
        return Case(RandomForestRegressor(40, min_samples_leaf=120, random_state=0) if faulty else Ridge(alpha=0.5), train, test)
    if code == "MODEL16":
        return Case(DecisionTreeRegressor(random_state=0) if faulty else Ridge(), *both(numbers, noise=2.0))
    if code == "MODEL17":
        return Case(GradientBoostingRegressor(n_estimators=400 if faulty else 60, learning_rate=0.3 if faulty else 0.1, random_state=0), *both(numbers, noise=3.0))
    if code == "MODEL19":
        return Case(line, *((f.assign(y=f.a + np.exp(f.b if faulty else 0.5) * np.random.default_rng(i).normal(size=len(f)) + 2 * f.b) for i, f in enumerate((train, test)))))
    if code == "MODEL20":
        return Case(LogisticRegression(), classes(800, 0), classes(500, 1, 1.5 if faulty else 0.0), "binary")
    if code == "MODEL21":
        train, test = (f.assign(y=f.y + 2 * f.a) for f in (train, test))
        if faulty:  # a sensor that was not there for a fifth of the rows
            train.loc[np.arange(800) % 5 == 4, "a"] = 0.0
        return Case(HistGradientBoostingRegressor(max_iter=60, random_state=0), train, test, folds=blocks(800))
    raise KeyError(code)


CODES = [f"MODEL{i:02d}" for i in range(1, 22)]


def skore_says(c: Case) -> list[str]:
    """Codes of issues and tips of skore's reports."""
    import skore

    sides = {"X_train": c.train.drop(columns="y"), "y_train": c.train.y, "X_test": c.test.drop(columns="y"), "y_test": c.test.y}
    if c.time:
        for side in ("X_train", "X_test"):
            sides[side] = sides[side].assign(when=sides[side]["when"])
        from sklearn.compose import make_column_transformer
        from sklearn.pipeline import make_pipeline

        c.model = make_pipeline(make_column_transformer(("passthrough", FEATURES)), c.model)
    frames = [skore.EstimatorReport(c.model, **sides).checks.summarize().frame()]
    if c.folds:
        frames.append(skore.CrossValidationReport(c.model, c.train.drop(columns="y"), c.train.y, splitter=c.folds).checks.summarize().frame())
    rows = [row for f in frames for row in zip(f["code"], f["section"], f["explanation"])]  # noqa: B905
    return sorted({code for code, section, text in rows if section in ("issue", "tip") and "on par with or better" not in str(text)})  # which is praise


def deepchecks_says(c: Case) -> list[str]:
    """Names of checks of deepchecks' suite of models whose condition is not fulfilled."""
    from deepchecks.tabular import Dataset
    from deepchecks.tabular.suites import model_evaluation

    drop = ["y", *([c.time] if c.time else [])]
    model = c.model.fit(c.train.drop(columns=drop), c.train.y)
    sides = [Dataset(f, label="y", cat_features=[], datetime_name=c.time or None) for f in (c.train, c.test)]
    with np.errstate(all="ignore"):
        found = model_evaluation().run(*sides, model, with_display=False)
    return sorted({r.get_header() for r in found.get_not_passed_checks(fail_if_warning=True)})


def main(tool: str) -> None:
    warnings.simplefilter("ignore")
    says, found = {"skore": skore_says, "deepchecks": deepchecks_says}[tool], {}
    for code in CODES:
        for faulty in (True, False):
            try:
                found[f"{code} {faulty}"] = says(case(code, faulty))
            except Exception as error:  # what the tool cannot do with a case is a result
                found[f"{code} {faulty}"] = [f"error: {type(error).__name__}: {str(error)[:150]}"]
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
