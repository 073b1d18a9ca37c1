"""A stream whose concept changes (river's Agrawal generator): retraining runs by itself, and the metric afterwards is better than without it."""

from __future__ import annotations

import datetime
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlnb.core.project import Project
from mlnb.data.holdout import seal
from mlnb.deployment.rollout import FILE, read_rollout
from mlnb.evaluation.evaluate import as_predictions
from mlnb.evaluation.measures import get_metric
from mlnb.experiments.crossval import answers
from mlnb.experiments.files import read_experiment
from mlnb.experiments.tracking import current_experiment
from mlnb.experiments.training import load_model, train
from mlnb.monitoring.batch import project_drift
from mlnb.monitoring.duel import face_off
from mlnb.monitoring.retraining import retrain
from mlnb.monitoring.windows import Window, save_window

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
BEFORE, AFTER = 1500, 3000  # rows; the concept changes in between


def stream() -> pd.DataFrame:
    """An application for a loan every hour: approved by age at first, by age and education after the change."""
    synth = pytest.importorskip("river.datasets.synth")
    parts = [synth.Agrawal(classification_function=f, seed=s, perturbation=0.05).take(n) for f, s, n in ((0, 1, BEFORE), (2, 2, AFTER))]
    rows = [{**{k: float(v) for k, v in x.items()}, "approved": "yes" if y else "no"} for x, y in itertools.chain(*parts)]
    frame = pd.DataFrame(rows)[["salary", "age", "elevel", "hvalue", "loan", "approved"]]
    frame.insert(0, "at", [START.replace(tzinfo=None) + datetime.timedelta(hours=i) for i in range(len(frame))])
    frame.insert(0, "application", [f"A{i:05d}" for i in range(len(frame))])
    return frame


def answered(project: Project, frame: pd.DataFrame, name: str = "") -> Any:
    e = read_experiment(project, name) if name else current_experiment(project)
    return e, answers(load_model(project, e), frame, tuple(e.classes))


def watched(project: Project, frame: pd.DataFrame) -> None:
    """A window a day with the metric, as labels come in."""
    for _, day in frame.groupby(frame["at"].dt.date):
        e, given = answered(project, day)
        value = float(get_metric(e.comparison["primary"]).of(as_predictions(day["approved"].to_numpy(), given, e)))
        start = datetime.datetime.combine(day["at"].iloc[0].date(), datetime.time(), datetime.UTC)
        save_window(project.path, Window(start.isoformat(), (start + datetime.timedelta(days=1)).isoformat(), len(day), model=e.id,
                                         metrics={e.comparison["primary"]: {"value": value, "kind": "measured"}}))


def served(project: Project, frame: pd.DataFrame, start: datetime.datetime, hours: float, rng: np.random.Generator) -> None:
    """The router: each request to the arm that the rollout gives it, answered by that arm's model, logged."""
    rollout = read_rollout(project.path / FILE)
    assert rollout is not None and rollout.challenger is not None
    arms = {"champion": rollout.champion.name, "challenger": rollout.challenger.name}
    given = {arm: answered(project, frame, name) for arm, name in arms.items()}
    with open(project.path / "requests.jsonl", "a") as log:
        for i, key in enumerate(frame["application"]):
            arm = "challenger" if rng.random() * 100 < rollout.share else "champion"
            e, p = given[arm]
            said = dict(zip(map(str, e.classes), p[i].tolist(), strict=True))
            when = start + datetime.timedelta(hours=hours * i / len(frame))
            log.write(json.dumps({"request_id": f"{start.isoformat()}-{i}", "time": when.isoformat(), "arm": arm, "model": e.id,
                                  "status": 200, "latency_ms": float(rng.gamma(9, 1)), "rows": [{"application": key}], "error": "",
                                  "predictions": [{"prediction": str(e.classes[int(p[i].argmax())]), "probabilities": said}]}) + "\n")


def test_retraining_improves_the_metric_on_a_stream_with_drift(tmp_path: Path) -> None:
    rows = stream()
    first, second, rest = rows.iloc[:BEFORE], rows.iloc[BEFORE:BEFORE + 1300], rows.iloc[BEFORE + 1300:]
    first.to_csv(tmp_path / "data.csv", index=False)
    project = Project.create(tmp_path / "p", tmp_path / "data.csv", target="approved", time="at", positive="yes", exclude=("application",))
    seal(project)
    old = train(project, "Age tells whose loan is approved, by F1 0.8", n_resamples=20, folds=3, now=(START + datetime.timedelta(hours=BEFORE)).timestamp()).experiment
    primary = old.comparison["primary"]

    golden = second.sample(200, random_state=0)
    golden.to_csv(project.path / "golden.csv", index=False)
    second.to_csv(project.path / "later.csv", index=False)  # its golden rows are left out of what is learned from
    record: Any = project.record("retraining")
    filled = record.model_dump(by_alias=True) | {"data": "later.csv", "golden_set": "golden.csv", "months": 3, "triggers": [
        {"type": "scheduled", "frequency": "yearly"}, {"type": "performance", "condition": "primary_metric < threshold for 48h"}]}
    project.save_record("retraining", type(record)(**filled))
    watch: Any = project.record("monitoring")
    watch.model_performance.metrics[0].threshold = 0.85 * float(old.metrics["primary"][primary])
    watch.sources.requests, watch.sources.labels, watch.sources.key = "requests.jsonl", "labels.csv", "application"
    project.save_record("monitoring", watch)

    watched(project, first.tail(240))
    calm = (START + datetime.timedelta(hours=BEFORE)).replace(hour=0)
    assert retrain(project, calm).run is None  # the world is as it was
    watched(project, second)
    now = START + datetime.timedelta(hours=BEFORE + 1300 + 24)
    came = retrain(project, now)
    assert came.run is not None and came.begun and came.run.why[0]["type"] == "performance" and came.run.state == "canary", came.words
    rows[["application", "approved"]].to_csv(project.path / "labels.csv", index=False)

    rng, run = np.random.default_rng(0), came.run
    for share, part in zip((5, 25, 50, 100), np.array_split(np.arange(len(rest) - 500), 4), strict=True):
        there = read_rollout(project.path / FILE)
        assert there is not None and there.share == share
        traffic = pd.concat([rest.iloc[part]] * {5: 12, 25: 3}.get(share, 2))
        served(project, traffic, now, 5, rng)
        now += datetime.timedelta(hours=5)
        run = retrain(project, now).run or run
    assert run.state == "deployed" and not run.next and current_experiment(project).id == run.challenger

    following = rest.tail(500)  # nobody has seen these
    new = current_experiment(project)
    v = face_off((load_model(project, new), new), (load_model(project, old), old), following)
    gain = v.metrics[0]
    print(f"\n{primary} on the following {len(following)} rows: {gain['a']:.3f} with retraining, {gain['b']:.3f} without, difference {gain['difference']:+.3f} "
          f"({gain['low']:+.3f} to {gain['high']:+.3f})")
    assert v.better == new.id and gain["low"] > 0.05
    assert [s["figures"].get("metric", {}).get("metric") for s in run.steps][-1] == primary  # labels were there, and were looked at

    calm_again = project_drift(project, following.drop(columns="approved"), multivariate=False)  # of the rule that the new model knows
    judged = pd.read_parquet(project.path / "retraining" / run.id / "evaluation.parquet")
    assert calm_again.findings.get("DRIFT-PREDICTION").status.value == "pass"
    assert calm_again.reference.columns["prediction"].rows == len(judged)
