"""Retraining, killed by SIGKILL at its whole writes and appended lines, and going on: the same in the end as without a kill, and everybody is told once."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from killed import said_by
from retraining_world import LATER, make_project, write_records

from mlnb.core.project import Project
from mlnb.deployment.rollout import FILE, read_rollout
from mlnb.experiments.files import read_experiments
from mlnb.experiments.tracking import current_experiment
from mlnb.monitoring.golden import golden_looks
from mlnb.monitoring.model_registry import read_aliases
from mlnb.monitoring.retrain_end import read_events
from mlnb.monitoring.retrain_runs import STAGES, read_runs
from mlnb.monitoring.retraining import retrain

CHILD = """
import contextlib, datetime, importlib, json, pathlib, shutil, sys
import mlflow, mlflow.tracking, mlflow.store.tracking.sqlalchemy_store, matplotlib.pyplot, pandas, pyarrow.parquet, scipy.stats, skops.io, sklearn.pipeline, xgboost
import ibis, ibis.backends.duckdb  # once, so that a fork costs little
import killed
from mlnb.core.project import Project
from mlnb.monitoring.retraining import retrain

template, later = pathlib.Path(sys.argv[1]), datetime.datetime.fromisoformat(sys.argv[2])


def ended(folder, hours, until, at):
    "How a process ends that retrains and is killed at a step; 0: it is not."
    def work():
        retrain(Project(folder / "p"), later + datetime.timedelta(hours=hours), until=until)
        if not at:
            (template.parent / "imported.json").write_text(json.dumps([*sys.modules]))
    return killed.ended(killed.forked(work, at))


for turn, (hours, until) in enumerate(json.loads(sys.argv[3])):
    whole = template.parent / f"{turn}-whole"
    shutil.copytree(template, whole)
    ended(whole, hours, until, 0)
    for name in json.loads((template.parent / "imported.json").read_text()):
        if name.partition(".")[0] in ("mlnb", "mlflow", "sqlalchemy", "alembic", "sklearn", "scipy", "pandas", "pyarrow", "matplotlib", "skops", "xgboost", "filelock"):
            with contextlib.suppress(Exception):
                importlib.import_module(name)  # not again in every fork
    at, code = 0, -9
    while code:
        at += 1
        folder = template.parent / f"{turn}-{at}"
        shutil.copytree(template, folder)
        code = ended(folder, hours, until, at)
        if code:
            ended(folder, hours, until, 0)
        print(json.dumps([turn, str(folder / "p"), code]), flush=True)
    template = whole
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with new rows of a changed world, and the log that a service will have written by then."""
    folder = tmp_path_factory.mktemp("killed")
    (folder / "template").mkdir()
    project = make_project(folder / "template", 500)
    pipeline: Any = project.record("retraining").model_dump(by_alias=True)["pipeline"]
    pipeline["4_deployment"] = [{"canary_deployment": "50%"}, {"monitor_for": "4h"}, {"auto_rollback_if": "error_rate > 2x baseline"}, {"gradual_rollout": "50% → 100%"}]
    pipeline["5_notification"] = ["log_retraining_event", "notify_team", "update_model_registry"]
    write_records(project, pipeline=pipeline)
    return folder


def log(project: Path, faults: bool) -> None:
    """Requests of the ten hours that come, half of them answered by each arm; with faults all the challenger's fail."""
    import datetime

    with (project / "requests.jsonl").open("w") as lines:
        for i in range(1000):
            new = i % 2 == 1
            broken = faults and new
            lines.write(json.dumps({"request_id": f"r{i}", "time": (LATER + datetime.timedelta(minutes=0.6 * i)).isoformat(), "arm": "challenger" if new else "champion",
                                    "model": "", "status": 500 if broken else 200, "latency_ms": 5.0, "rows": [{"loan": f"L{i}"}], "predictions": [None],
                                    "error": "broken" if broken else ""}) + "\n")


def state(folder: Path) -> dict[str, Any]:
    """All that a person or a service reads, without durations, and with the new model under one name whatever number it got."""
    project, runs = Project(folder), read_runs(folder)
    rollout, lines = read_rollout(folder / FILE), (folder / "monitoring" / "alerts.jsonl")
    told = Counter(json.loads(line)["key"] for line in (lines.read_text().splitlines() if lines.exists() else []) if line.endswith("}"))
    finished = [e for e in read_experiments(project) if e.status == "finished"]
    found = project.findings().get("RETRAIN")
    entry = [e.body for e in project.ledger.entries() if getattr(e.body, "code", "") == "RETRAIN"]
    whole: dict[str, Any] = {
        "runs": [run.to_dict() for run in runs], "rollout": rollout.to_dict() if rollout else None, "told": told, "events": read_events(folder), "looks": golden_looks(folder),
        "registry": read_aliases(project) if runs[-1].steps else {}, "current": current_experiment(project).id,
        "experiments": [(e.id, e.model_fingerprint, e.rows) for e in finished],
        "served": sorted(path.name for path in (folder / "deployment" / "models").glob("[!.]*")), "finding": (found.status.value, found.message) if found else None,
        "entries": len(entry), "records": {path.name: path.read_text() for path in sorted((folder / "records").glob("*.yaml"))},
        "result": project.result("experiment", fresh=True)}
    for run in whole["runs"]:
        run["stages"].get("notification", {}).get("told", {}).pop("sent", None)  # what this call sent: nothing, when the one before was killed after it
    text = json.dumps(whole, default=str)
    new = runs[-1].challenger
    text = text.replace(new, "NEW") if new else text
    text = re.sub(r'"(seconds|duration_s|mlflow|run_id|model_uri|uid)": ("[^"]*"|[\d.]+)', r'"\1": 0', text)
    return dict(json.loads(text))


def all_kills(template: Path, turns: list[tuple[float, str]]) -> list[tuple[int, Path, int]]:
    lines = said_by(CHILD, str(template), LATER.isoformat(), json.dumps(turns), env={"OMP_NUM_THREADS": "1"})
    return [(turn, Path(path), code) for turn, path, code in map(json.loads, lines)]


def same_as_without(world: Path, runs: list[tuple[int, Path, int]]) -> None:
    whole = {turn: state(world / f"{turn}-whole" / "p") for turn in {turn for turn, _, _ in runs}}
    for turn, path, code in runs:
        found, wanted = state(path), whole[turn]
        different = {name: (found[name], wanted[name]) for name in wanted if found[name] != wanted[name]}
        assert not different, (path.parent.name, code, different)
        assert set(found["told"].values()) <= {1}
        assert not [p for p in Project(path).ledger.problems() if "torn" not in p]
        for file in path.rglob("*.json"):
            if not file.name.startswith("."):
                json.loads(file.read_text())


def test_killed_at_every_step_retraining_ends_as_without(world: Path) -> None:
    log(world / "template" / "p", faults=False)
    turns = [*((0.0, stage) for stage in STAGES[:4]), (5.0, ""), (10.0, "")]
    runs = all_kills(world / "template", turns)
    kills = Counter(turn for turn, _, code in runs if code)
    print("kills in each turn:", dict(kills))
    assert all(kills[turn] for turn in range(len(turns))) and sum(kills.values()) >= 35 and sum(not code for _, _, code in runs) == len(turns)
    same_as_without(world, runs)
    end = state(world / f"{len(turns) - 1}-whole" / "p")
    assert end["runs"][0]["state"] == "deployed" and end["current"] == "NEW" == end["rollout"]["champion"]["name"] == end["registry"]["champion"]
    assert len(end["told"]) == 1 and [e["event"] for e in end["events"]] == ["deployed"] and end["finding"][0] == "pass" and len(end["looks"]) == 2


def test_killed_at_every_step_of_going_back(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "template", tmp_path / "template")
    retrain(Project(tmp_path / "template" / "p"), LATER, until=STAGES[3])  # the first share has just begun
    log(tmp_path / "template" / "p", faults=True)
    runs = all_kills(tmp_path / "template", [(5.0, "")])
    assert sum(code != 0 for _, _, code in runs) >= 8
    same_as_without(tmp_path, runs)
    end = state(tmp_path / "0-whole" / "p")
    assert end["runs"][0]["state"] == "rolled back" and end["rollout"]["challenger"] is None and "challenger" not in end["registry"] and len(end["told"]) == 1
