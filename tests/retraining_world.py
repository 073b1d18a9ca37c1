"""A small world for tests of retraining: loans whose rule changes, a project trained before that, and a service that follows the rollout."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlnb.core.project import Project
from mlnb.data.holdout import seal
from mlnb.deployment.rollout import FILE, read_rollout
from mlnb.experiments.training import train

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
LATER = datetime.datetime(2026, 4, 1, 6, tzinfo=datetime.UTC)


def loans(n: int, seed: int, start: str, turned: bool = False) -> pd.DataFrame:
    """Loans that are repaid by income; in the changed world by debt."""
    rng = np.random.default_rng(seed)
    income, debt = rng.normal(3000, 600, n).round(2), rng.normal(1000, 300, n).round(2)
    odds = (income - 2900) / 200 if not turned else (1000 - debt) / 100
    return pd.DataFrame({"loan": [f"L{seed}-{i}" for i in range(n)], "day": pd.date_range(start, periods=n, freq="30min"), "income": income, "debt": debt,
                         "region": rng.choice(list("abcd"), n), "repaid": np.where(rng.random(n) < 1 / (1 + np.exp(-odds)), "yes", "no")})


def make_project(folder: Path, n: int = 900, whole: bool = False) -> Project:
    """Trained on the old world, with both records filled in and new rows of the changed world; labels are words, or whole numbers."""
    def written(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(repaid=(frame["repaid"] == "yes").astype(int)) if whole else frame

    written(loans(n, 0, "2026-01-01")).to_csv(folder / "loans.csv", index=False)
    project = Project.create(folder / "p", folder / "loans.csv", target="repaid", time="day", entity="loan", positive="1" if whole else "yes")
    seal(project)
    train(project, "Income tells who repays a loan, by ROC-AUC 0.8", n_resamples=20, folds=3, now=START.timestamp() + 30 * 86400)
    written(loans(700, 1, "2026-03-10", turned=True)).to_csv(project.path / "later.csv", index=False)
    written(loans(250, 2, "2026-03-20", turned=True)).to_csv(project.path / "golden.csv", index=False)
    write_records(project)
    return project


def write_records(project: Project, **changes: Any) -> None:
    """`retraining.yaml` and `monitoring.yaml`, filled in."""
    record: Any = project.record("retraining")
    filled = record.model_dump(by_alias=True) | {
        "triggers": [{"type": "scheduled", "frequency": "monthly"}, {"type": "performance", "condition": "primary_metric < threshold for 24h"},
                     {"type": "drift", "condition": "PSI > 0.2 on any top-10 feature"}],
        "data": "later.csv", "golden_set": "golden.csv", "months": 6} | changes
    project.save_record("retraining", type(record)(**filled))
    watch: Any = project.record("monitoring")
    watch.sources.requests, watch.sources.labels, watch.sources.key = "requests.jsonl", "labels.csv", "loan"
    watch.model_performance.metrics[0].threshold = 0.75
    project.save_record("monitoring", watch)


def traffic(project: Project, start: datetime.datetime, hours: float, seed: int, per_hour: int = 800, faults: float = 0.0, slow: float = 1.0) -> None:
    """What the service would log: each request goes to the arm that the rollout says; the challenger may fail or be slow."""
    rollout = read_rollout(project.path / FILE)
    assert rollout is not None
    rng = np.random.default_rng(seed)
    with open(project.path / "requests.jsonl", "a") as log:
        for i in range(int(hours * per_hour)):
            new = rollout.challenger is not None and rng.random() * 100 < rollout.share
            failed = rng.random() < (faults if new else 0.005)
            log.write(json.dumps({"request_id": f"r{seed}-{i}", "time": (start + datetime.timedelta(hours=i / per_hour)).isoformat(),
                                  "arm": "challenger" if new else "champion",
                                  "model": (rollout.challenger if new else rollout.champion).name, "status": 500 if failed else 200,
                                  "latency_ms": float(rng.gamma(9, 1)) * (slow if new else 1.0), "rows": [{"loan": f"L{seed}-{i}"}],
                                  "predictions": [None],
                                  "error": "broken" if failed else ""}) + "\n")
