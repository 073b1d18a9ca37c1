"""What the end of a retraining run still owes is made up for by the next call: a registry that was away, a message nobody took, a taking back that was cut off."""

from __future__ import annotations

import datetime
import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
from retraining_world import LATER, make_project, write_records
from watched import Hook

import mlnb.monitoring.retrain_end as retrain_end
from mlnb.core.errors import ConfigError, MlnbError
from mlnb.core.project import Project
from mlnb.core.project_config import load_config, save_config
from mlnb.deployment.rollout import FILE, read_rollout
from mlnb.experiments.tracking import current_experiment
from mlnb.monitoring.model_registry import read_aliases
from mlnb.monitoring.retrain_end import read_events, restore
from mlnb.monitoring.retrain_runs import keep_stage, read_runs
from mlnb.monitoring.retraining import retrain

HOUR = datetime.timedelta(hours=1)


@pytest.fixture(scope="module")
def won(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new model was trained, and has won."""
    project = make_project(tmp_path_factory.mktemp("late"), 500)
    pipeline = project.record("retraining").model_dump(by_alias=True)["pipeline"]
    write_records(project, pipeline=pipeline | {"5_notification": ["log_retraining_event", "notify_team", "update_model_registry"]})
    run = retrain(project, LATER, until="evaluation").run
    assert run is not None and run.next == "deployment" and run.stages["evaluation"]["end"] == "passed"
    return project.path.parent


@pytest.fixture
def project(won: Path, tmp_path: Path) -> Project:
    shutil.copytree(won, tmp_path / "w")
    return Project(tmp_path / "w" / "p")


def answered_by(project: Project, address: str) -> Project:
    """The project with another tracking address."""
    save_config(project.path, load_config(project.path).model_copy(update={"tracking_uri": address}))
    return Project(project.path)


def deployed(project: Project) -> Any:
    """The last step of the canary is over; what the run does then."""
    run = retrain(project, LATER, until="deployment").run
    assert run is not None and run.steps
    for number, share in enumerate((5, 25, 50, 100), 1):
        there = json.loads((project.path / FILE).read_text())
        there |= {"share": share, "revision": number + 1}
        (project.path / FILE).write_text(json.dumps(there))
        step = {"number": number, "share": share, "since": LATER.isoformat(), "revision": number + 1, "state": "passed", "why": "well"}
        run = keep_stage(run, f"canary_{number}", step, LATER)
    return retrain(project, LATER + 20 * HOUR).run


@pytest.fixture
def closed() -> str:
    """An address at which nobody answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_a_registry_that_was_away_knows_after_the_next_call(project: Project, closed: str) -> None:
    old, own = current_experiment(project).id, project.config.tracking_uri
    run = deployed(answered_by(project, closed))
    assert run.state == "deployed" and "problem" in run.stages["notification"]["registry"] and "tried again" in run.reasons[1]
    written = (run.path / "5_notification.json").read_bytes()
    away = answered_by(project, closed)
    still = retrain(away, LATER + 21 * HOUR)
    assert still.run is None and "still does not know" in still.words and (run.path / "5_notification.json").read_bytes() == written  # nothing new, nothing written
    back = answered_by(project, own)
    assert read_aliases(back) == {}
    came = retrain(back, LATER + 22 * HOUR)
    assert came.run is None and came.late == (f"{run.id}: the registry knows now.",)
    assert read_aliases(back) == {"champion": run.challenger, "previous": old, "production": run.challenger}
    kept = read_runs(back.path)[-1]
    assert "problem" not in kept.stages["notification"]["registry"] and kept.reasons == run.reasons[:1]
    assert back.findings().get("RETRAIN").status.value == "pass"  # type: ignore[union-attr]
    assert [e["event"] for e in read_events(back.path)] == ["deployed"] and retrain(back, LATER + 23 * HOUR).late == ()


def test_a_model_that_was_trained_while_the_registry_was_away_is_sent_before_it_is_registered(project: Project, closed: str) -> None:
    from mlnb.experiments.files import amend_experiment

    own = project.config.tracking_uri
    run = deployed(answered_by(project, closed))
    back = answered_by(project, own)
    amend_experiment(back, run.challenger, run_id="", problem="nobody answered")
    assert retrain(back, LATER + 22 * HOUR).late == (f"{run.id}: the registry knows now.",)
    assert read_aliases(back)["champion"] == run.challenger


def test_a_message_that_nobody_took_is_sent_by_the_next_call_and_once(project: Project, closed: str) -> None:
    record: Any = project.record("monitoring")
    record.alerts.file, record.alerts.webhook.url = "told.jsonl", closed + "/hook"
    project.save_record("monitoring", record)
    run = deployed(project)
    assert run.state == "deployed" and run.stages["notification"]["told"]["waiting"] == {"webhook": 1}
    still = retrain(project, LATER + 21 * HOUR)
    assert "its message still waits" in still.words and read_runs(project.path)[-1].stages["notification"]["told"]["sent"] == {"file": 1}
    with Hook() as hook:
        record.alerts.webhook.url = hook.url
        project.save_record("monitoring", record)
        assert retrain(project, LATER + 22 * HOUR).late == (f"{run.id}: its message was taken now.",)
        assert retrain(project, LATER + 23 * HOUR).late == ()
    assert hook.keys == [f"{run.started}/RETRAIN/{run.id}/deployed"] and len((project.path / "told.jsonl").read_text().splitlines()) == 1
    assert read_runs(project.path)[-1].stages["notification"]["told"]["sent"] == {"file": 1, "webhook": 1}


def test_a_taking_back_that_was_cut_off_is_ended_by_the_next_call(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    old = current_experiment(project).id
    run = deployed(project)
    for step in ("save_rollout", "use_experiment", "_registered", "log_event", "_told", ""):
        place = project.path.parent.parent / (step or "whole")
        shutil.copytree(project.path.parent, place)
        p = Project(place / "p")
        if step:
            with monkeypatch.context() as patched:
                patched.setattr(retrain_end, step, lambda *_: 1 / 0)
                with pytest.raises(ZeroDivisionError):
                    restore(p, "Ana", "complaints", LATER + 30 * HOUR)
            assert retrain(p, LATER + 31 * HOUR).late == (f"{run.id}: what was left of taking {run.challenger} back is done.",)
        else:
            restore(p, "Ana", "complaints", LATER + 30 * HOUR)
        there = read_rollout(p.path / FILE)
        assert there is not None and there.champion.name == old == current_experiment(p).id and read_runs(p.path)[-1].state == "taken back"
        assert read_aliases(p) == {"champion": old, "previous": run.challenger, "production": old}
        assert [e["event"] for e in read_events(p.path)] == ["deployed", "taken back"]
        told = [json.loads(line)["key"].rpartition("/")[2] for line in (p.path / "monitoring" / "alerts.jsonl").read_text().splitlines()]
        assert told == ["deployed", "taken back"] and retrain(p, LATER + 32 * HOUR).late == ()


def test_a_registry_that_was_away_when_the_canary_began_knows_who_is_tried_after_the_next_look(project: Project, closed: str) -> None:
    old, own = current_experiment(project).id, project.config.tracking_uri
    run = retrain(answered_by(project, closed), LATER, until="deployment").run
    assert run is not None and "problem" in run.steps[-1]["registry"]
    back = answered_by(project, own)
    assert read_aliases(back) == {}
    again = retrain(back, LATER + HOUR).run
    assert again is not None and again.steps[-1]["state"] == "running" and "problem" not in again.steps[-1]["registry"]
    assert read_aliases(back) == {"challenger": run.challenger, "champion": old, "production": old}


def test_no_fault_ends_the_watch_over_a_canary(project: Project) -> None:
    run = retrain(project, LATER, until="deployment").run
    path = project.path / FILE
    whole = path.read_text()
    path.write_text("{")
    with pytest.raises(MlnbError):
        retrain(project, LATER + HOUR)
    assert read_runs(project.path)[-1].next == "deployment"
    path.write_text(whole)
    again = retrain(project, LATER + HOUR).run
    assert run is not None and again is not None and again.next == "deployment" and again.steps[-1]["state"] == "running"


def test_a_challenger_that_an_ended_run_left_is_taken_back_before_the_next_begins(project: Project) -> None:
    run = retrain(project, LATER, until="deployment").run
    assert run is not None
    keep_stage(run, "deployment", {"end": "failed", "reasons": ["it broke"]}, LATER)
    retrain(project, LATER + HOUR)
    with pytest.raises(ConfigError, match="mlnb retrain --rollback"):
        retrain(project, LATER + 2 * HOUR, anyway="try again")
    restore(project, "Ana", "left there", LATER + 3 * HOUR)
    there = read_rollout(project.path / FILE)
    assert there is not None and there.challenger is None and there.champion.name == run.champion["name"]
    again = retrain(project, LATER + 4 * HOUR, anyway="try again", until="data_validation").run
    assert again is not None and again.id != run.id


@pytest.mark.parametrize(("labels", "act", "by"), [
    (["yes", "no"], "back", ""), (["yes", "no", "maybe"], "back", ""), (["Y", "N"], "back", ""), (["good", "bad"], "wait", ""), (None, "wait", ""),
    (["yes", "no"], "on", "EXP-of-another")])
def test_labels_of_a_canary(project: Project, labels: list[str] | None, act: str, by: str) -> None:
    """The champion is always right and the challenger always wrong; what is written of it differs, and who answered for the challenger."""
    run = retrain(project, LATER, until="deployment").run
    assert run is not None
    with (project.path / "requests.jsonl").open("w") as lines:
        for i in range(2000):
            new, truth = i % 2 == 1, i // 2 % 2
            said = float(truth != new)
            lines.write(json.dumps({"request_id": f"r{i}", "time": (LATER + datetime.timedelta(seconds=9 * i)).isoformat(), "arm": "challenger" if new else "champion",
                                    "status": 200, "latency_ms": 5.0, "rows": [{}], "predictions": [said],
                                    "answered_by": by if new else ""}) + "\n")
    target = current_experiment(project).target
    if labels:
        text = [labels[1 - i // 2 % 2] for i in range(2000)]
        text[:40] = [labels[2]] * 40 if len(labels) > 2 else text[:40]
        (project.path / "canary.csv").write_text(f"request_id,{target}\n" + "".join(f"r{i},{word}\n" for i, word in enumerate(text)))
    else:
        (project.path / "canary.csv").write_text(f"ident,{target}\n1,yes\n")
    (project.path / "records" / "monitoring.yaml").write_text("monitoring:\n  sources: {requests: requests.jsonl, labels: canary.csv, key: request_id}\n")
    found = retrain(Project(project.path), LATER + 5 * HOUR).run
    assert found is not None
    step = found.steps[0]
    assert step["state"] == {"back": "rolled back", "wait": "running", "on": "passed"}[act], step["why"]
    assert act == "back" or ("labels are not there yet" if by else "labels cannot be used") in step["why"]


def test_taking_back_right_after_a_kill_at_promotion(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rollout says that the new model answers everything, and the run does not know yet."""
    from typer.testing import CliRunner

    import mlnb.monitoring.canary_steps as steps
    from mlnb.cli import app

    old = current_experiment(project).id

    def cut_off(*_: object, **__: object) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr(steps, "_over", cut_off)
        with pytest.raises(KeyboardInterrupt):
            deployed(project)
    there = read_rollout(project.path / FILE)
    assert there is not None and there.champion.name != old and read_runs(project.path)[-1].next == "deployment"
    said = CliRunner().invoke(app, ["retrain", "--rollback", "--by", "Ana", "--why", "complaints", "--project", str(project.path), "--json"])
    assert said.exit_code == 0 and json.loads(said.stdout)["run"]["state"] == "taken back", said.stdout
    back = read_rollout(project.path / FILE)
    assert back is not None and back.champion.name == old and back.challenger is None and current_experiment(project).id == old


@pytest.mark.parametrize(("answer", "act"), [("float", "rolled back"), ("word", "running")])
def test_answers_of_a_canary_over_whole_numbers(tmp_path: Path, answer: str, act: str) -> None:
    """The challenger is always wrong; a log may write its label as 1.0, or as nothing that it can answer."""
    p = make_project(tmp_path, 500, whole=True)
    run = retrain(p, LATER, until="deployment").run
    assert run is not None and run.steps, run.reasons
    with (p.path / "requests.jsonl").open("w") as lines:
        for i in range(2000):
            new, truth = i % 2 == 1, i // 2 % 2
            said: Any = float(truth != new) if answer == "float" or not new else "gone"
            lines.write(json.dumps({"request_id": f"r{i}", "time": (LATER + datetime.timedelta(seconds=9 * i)).isoformat(), "arm": "challenger" if new else "champion",
                                    "status": 200, "latency_ms": 5.0, "rows": [{}], "predictions": [{"prediction": said}]}) + "\n")
    (p.path / "canary.csv").write_text("request_id,repaid\n" + "".join(f"r{i},{i // 2 % 2}\n" for i in range(2000)))
    (p.path / "records" / "monitoring.yaml").write_text("monitoring:\n  sources: {requests: requests.jsonl, labels: canary.csv, key: request_id}\n")
    found = retrain(Project(p.path), LATER + 5 * HOUR).run
    assert found is not None and found.steps[0]["state"] == act, found.steps[0]["why"]
    assert act == "rolled back" or "'gone'" in found.steps[0]["why"]
