"""A project with small models, as training leaves them, for tests of what serves them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlnb.core.fingerprint import file_fingerprint
from mlnb.core.project import Project
from mlnb.deployment.rollout import FILE, Arm, Rollout, read_rollout, save_rollout
from mlnb.experiments.files import amend_experiment

NOW = "2026-11-27T02:00:00+00:00"
OLD, NEW, BAD = "EXP-2026-02-01-001", "EXP-2026-03-01-001", "EXP-2026-03-02-001"


def table(n: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"customer": range(n), "tenure": rng.integers(0, 72, n), "bill": rng.normal(60, 20, n).round(2)})
    return frame.assign(stays=np.where(frame["tenure"] / 72 + rng.normal(0, 0.3, n) > 0.5, "yes", "no"))


def keep_model(project: Project, name: str, model: Any, **more: Any) -> None:
    """Put a fitted model where training puts it, with what its experiment says."""
    place = project.path / "results" / "models" / name
    place.mkdir(parents=True, exist_ok=True)
    skops.io.dump(model, place / "model.skops")
    rule = {
        "name": "one rule on tenure",
        "task": "binary",
        "values": [[0.8, 0.2], [0.2, 0.8], [0.5, 0.5]],
        "cells": ["low", "high", "missing"],
        "classes": ["no", "yes"],
        "column": "tenure",
        "edges": [36.0],
        "levels": [],
        "season": None,
    }
    known = {
        "hypothesis": "they stay",
        "status": "finished",
        "task": "binary",
        "classes": ("no", "yes"),
        "positive": "yes",
        "kinds": {"tenure": "numeric", "bill": "numeric"},
        "heuristic": rule,
        "model_file": f"results/models/{name}/model.skops",
        "model_hash": file_fingerprint(place / "model.skops"),
    }
    amend_experiment(project, name, **known | more)


def serving_project(folder: Path) -> Project:
    """OLD and NEW answer, and NEW says yes less often; BAD asks for a column that no request has, and raises."""
    frame = table()
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_csv(folder / "customers.csv", index=False)
    project = Project.create(folder / "p", folder / "customers.csv", target="stays", entity="customer")
    x, y = frame[["tenure", "bill"]], frame["stays"]
    keep_model(project, OLD, LogisticRegression().fit(x, y))
    keep_model(project, NEW, LogisticRegression(C=0.01).fit(x, y))
    strange = make_pipeline(ColumnTransformer([("n", StandardScaler(), ["tenure", "absent"])]), LogisticRegression())
    keep_model(project, BAD, strange.fit(x.assign(absent=1.0), y))
    roll(project, None, 0)
    return project


def roll(project: Project, challenger: str | None, share: float, champion: str = OLD) -> Rollout:
    """Write the next rollout."""
    before = read_rollout(project.path / FILE)
    arm = Arm.of(challenger) if challenger else None
    made = Rollout(Arm.of(champion), NOW, arm, share, before.revision + 1 if before else 1)
    save_rollout(project.path / FILE, made)
    return made


def call(app: Any, *requests: Any) -> list[Any]:
    """Answers of an application to requests one after the other: a path, or what /predict gets."""
    import httpx

    async def run() -> list[Any]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://service") as client:
            found = []
            for each in requests:
                if isinstance(each, str):
                    found.append(await client.get(each))
                else:
                    found.append(await client.post("/predict", **{"json" if isinstance(each, dict) else "content": each}))
            return found

    return asyncio.run(run())
