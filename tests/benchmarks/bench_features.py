"""The suggested features against one-hot columns and the same gradient boosting, on real data: score in five folds and the difference.

`bench_features.py [all]`: 3,000 rows of each table, or whole tables (10,000 rows at most); reads MLNB_TEST_DATA.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

DATA = Path(os.environ.get("MLNB_TEST_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
TABLES: dict[str, dict[str, Any]] = {  # file, target, how to read it, time, columns that give the target away
    "telco": {"file": "telco_churn/Telco-Customer-Churn.csv", "target": "Churn"},
    "bank": {"file": "bank_marketing/bank-additional.csv", "target": "y", "sep": ";", "exclude": ["duration"]},
    "bike": {"file": "bike_sharing/hour.csv.gz", "target": "cnt", "time": "dteday", "exclude": ["casual", "registered"]},
    "german": {"file": "german_credit/german_data_credit.csv", "target": "class-label"},
}


def one_hot(frame: Any, model: Any) -> Any:
    """What one does without thinking: numbers as they are, everything else one-hot."""
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    numbers = make_column_selector(dtype_include="number")(frame)
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return make_pipeline(make_column_transformer(("passthrough", numbers), (encoder, [c for c in frame if c not in numbers])), model)


def compare(file: str, target: str, rows: int, sep: str = ",", time: str = "", exclude: tuple[str, ...] = ()) -> tuple[str, Any, Any]:
    """Name of the score, scores of the suggested pipeline, and of one-hot columns, by fold."""
    import pandas as pd
    from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
    from xgboost import XGBClassifier, XGBRegressor

    from mlnb.data.features import suggest_features

    frame = pd.read_csv(DATA / file, sep=sep)
    frame = frame.sample(min(len(frame), rows), random_state=0, ignore_index=True).drop(columns=list(exclude))
    report = suggest_features(frame, target, time=time)
    number = report.task == "regression"
    X, y = frame.drop(columns=target), frame[target]
    y = y if number else (y == sorted(y.unique())[-1]).astype(int)
    model = (XGBRegressor if number else XGBClassifier)(n_estimators=100, max_depth=4, learning_rate=0.1, n_jobs=1)
    folds, scoring = (KFold(5, shuffle=True, random_state=0), "r2") if number else (StratifiedKFold(5, shuffle=True, random_state=0), "roc_auc")
    plain = X[[c for c in X if report.measures[c].kind != "id"]]
    ours = cross_val_score(report.pipeline(model), X, y, cv=folds, scoring=scoring, error_score="raise")
    return scoring, ours, cross_val_score(one_hot(plain, model), plain, y, cv=folds, scoring=scoring, error_score="raise")


def main(everything: bool) -> None:
    import peers

    print(f"{'table':8} {'score':8} {'suggested':>10} {'one-hot':>9} {'difference':>11} {'± 2 se':>8}")
    for name, options in TABLES.items():
        scoring, ours, theirs = compare(rows=10_000 if everything else 3_000, **options)
        gap = ours - theirs
        error = 2 * gap.std(ddof=1) / len(gap) ** 0.5
        print(f"{name:8} {scoring:8} {ours.mean():10.4f} {theirs.mean():9.4f} {gap.mean():+11.4f} {error:8.4f}", flush=True)
        peers.row(f"suggested features, {name}: 1 - {scoring}", 1 - ours.mean(), 1 - theirs.mean(), unit="", peer="one-hot")


if __name__ == "__main__":
    main("all" in sys.argv[1:])
