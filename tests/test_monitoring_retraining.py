"""Retraining as a whole: five stages, a canary, kills at every step, and bad input."""

from __future__ import annotations

import dataclasses
import datetime
import html
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from retraining_world import LATER, loans, make_project, traffic, write_records

from mlnb.core.errors import ConfigError, InputError, MlnbError
from mlnb.core.files import write_atomic
from mlnb.core.findings import plain
from mlnb.core.project import Project
from mlnb.deployment.request_stats import RequestStats
from mlnb.deployment.rollout import FILE, read_rollout
from mlnb.experiments.files import read_experiments
from mlnb.experiments.runs_compare import answers_of
from mlnb.experiments.tracking import current_experiment
from mlnb.monitoring.canary import CanaryPlan, judge, read_plan
from mlnb.monitoring.canary_steps import take_back
from mlnb.monitoring.drift import compare
from mlnb.monitoring.golden import golden_looks, golden_rows
from mlnb.monitoring.model_registry import read_aliases
from mlnb.monitoring.playbook import find_method
from mlnb.monitoring.profile import profile
from mlnb.monitoring.retrain_dag import airflow_dag
from mlnb.monitoring.retrain_end import read_events, restore
from mlnb.monitoring.retrain_plan import retrain_plan
from mlnb.monitoring.retrain_report import run_part
from mlnb.monitoring.retrain_runs import STAGES, alone, read_runs
from mlnb.monitoring.retraining import retrain
from mlnb.monitoring.triggers import _drift, _performance, due
from mlnb.monitoring.windows import Window, save_window

HOUR = datetime.timedelta(hours=1)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that nothing was retrained in so far."""
    return make_project(tmp_path_factory.mktemp("world"), 700).path.parent


@pytest.fixture(scope="session")
def tried(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a new model that has won and gets its first requests."""
    folder = tmp_path_factory.mktemp("tried") / "w"
    shutil.copytree(made, folder)
    came = retrain(Project(folder / "p"), LATER)
    assert came.run is not None and came.run.state == "canary", came.words
    return folder


@pytest.fixture
def fresh(made: Path, tmp_path: Path) -> Project:
    shutil.copytree(made, tmp_path / "w")
    return Project(tmp_path / "w" / "p")


@pytest.fixture
def canary(tried: Path, tmp_path: Path) -> Project:
    shutil.copytree(tried, tmp_path / "w")
    return Project(tmp_path / "w" / "p")


def through(project: Project, calls: int = 4) -> Any:
    """Traffic for five hours and a look, so many times."""
    for i in range(calls):
        start = LATER + 5 * i * HOUR
        traffic(project, start, 5, 100 + i)
        came = retrain(project, start + 5 * HOUR)
    return came.run


# ---------------------------------------------------------------- the whole way


def test_a_new_model_goes_the_whole_way_and_can_be_taken_back(canary: Project) -> None:
    old = current_experiment(canary).id
    first = read_runs(canary.path)[-1]
    assert [first.stages[name]["end"] for name in STAGES[:3]] == ["passed"] * 3 and first.why[0]["type"] == "scheduled"
    duel = first.stages["evaluation"]["duel"]
    assert duel["latest"]["metrics"][0]["low"] > 0 and duel["golden"]["n"] == 250
    run = through(canary)
    assert [(s["share"], s["state"]) for s in run.steps] == [(5, "passed"), (25, "passed"), (50, "passed"), (100, "passed")]
    assert run.state == "deployed" and not run.next
    rollout = read_rollout(canary.path / FILE)
    assert rollout is not None and rollout.champion.name == run.challenger and rollout.challenger is None and (canary.path / rollout.champion.model).is_dir()
    assert current_experiment(canary).id == run.challenger != old
    assert read_aliases(canary) == {"champion": run.challenger, "previous": old, "production": run.challenger}
    assert [e["event"] for e in read_events(canary.path)] == ["deployed"] and canary.findings().get("RETRAIN").status.value == "pass"
    assert len(golden_looks(canary.path)) == 2
    from mlnb.monitoring.batch import project_drift

    reference = project_drift(canary, str(canary.path / "later.csv")).reference  # of the rows that the new model learned from, as far as a fold answered them
    kept = answers_of(canary, current_experiment(canary))
    assert kept is not None and reference.rows == len(kept) and reference.columns["debt"].missing == 0
    back = restore(canary, "Ana", "complaints from the north", LATER + 30 * HOUR)
    there = read_rollout(canary.path / FILE)
    assert back.state == "taken back" and current_experiment(canary).id == old and there is not None and there.champion.name == old
    assert read_aliases(canary)["champion"] == old and [e["event"] for e in read_events(canary.path)] == ["deployed", "taken back"]


def test_the_same_rows_give_the_same_model(fresh: Project, tried: Path) -> None:
    one, other = (read_runs(p)[-1].stages for p in (Path(retrain(fresh, LATER).run.path).parents[1], tried / "p"))  # type: ignore[union-attr]
    assert one["training"]["fingerprint"] == other["training"]["fingerprint"]
    assert one["evaluation"]["duel"]["latest"]["metrics"] == other["evaluation"]["duel"]["latest"]["metrics"]


def test_the_current_experiment_changes_only_at_the_end(canary: Project) -> None:
    old = current_experiment(canary).id
    run = through(canary, 3)
    assert run.steps[-1]["share"] == 100 and current_experiment(canary).id == old and read_aliases(canary)["challenger"] == run.challenger
    assert retrain(canary, LATER + 18 * HOUR).run.state == "canary"  # type: ignore[union-attr]


def test_errors_roll_back_before_the_hours_are_over(canary: Project) -> None:
    old = current_experiment(canary).id
    traffic(canary, LATER, 10, 7, faults=0.2)  # the log knows the future; only what is past counts
    assert retrain(canary, LATER + 0.2 * HOUR).run.state == "canary"  # type: ignore[union-attr]
    run = retrain(canary, LATER + 9 * HOUR).run
    assert run is not None and run.state == "rolled back" and "failed" in run.reasons[0] and not run.next
    rollout = read_rollout(canary.path / FILE)
    assert rollout is not None and rollout.challenger is None and rollout.share == 0 and rollout.champion.name == old == current_experiment(canary).id
    assert read_aliases(canary) == {"champion": old, "production": old}
    told = [json.loads(line) for line in (canary.path / "monitoring" / "alerts.jsonl").read_text().splitlines()]
    assert [t["code"] for t in told] == ["RETRAIN"] and told[0]["severity"] == "critical"
    assert canary.findings().get("RETRAIN").status.value == "pass"  # it went through all five stages, and back


def test_latency_rolls_back_and_no_traffic_waits(canary: Project) -> None:
    assert "no traffic" in retrain(canary, LATER + 40 * HOUR).words
    traffic(canary, LATER + 40 * HOUR, 6, 8, slow=2.5)
    run = retrain(canary, LATER + 46 * HOUR).run
    assert run is not None and run.state == "rolled back" and "ms" in run.reasons[0]


def test_a_clock_that_went_back_waits(canary: Project) -> None:
    traffic(canary, LATER, 6, 9)
    came = retrain(canary, LATER - 3 * HOUR)
    assert came.run is not None and came.run.state == "canary" and "clock" in came.words.lower() or "no traffic" in came.words


def test_a_person_takes_the_canary_back(canary: Project) -> None:
    run = read_runs(canary.path)[-1]
    with pytest.raises(InputError, match="--by"):
        take_back(run, "", "", LATER)
    take_back(run, "Ana", "wrong prices", LATER + HOUR)
    ended = retrain(canary, LATER + 2 * HOUR).run
    assert ended is not None and ended.state == "rolled back" and "Ana" in ended.reasons[0]


def test_a_rollout_changed_by_hand_ends_the_run(canary: Project) -> None:
    path = canary.path / FILE
    data = json.loads(path.read_text())
    path.write_text(json.dumps(data | {"challenger": None, "share": 0, "revision": data["revision"] + 1}))
    run = retrain(canary, LATER + 2 * HOUR).run
    assert run is not None and run.state == "rolled back" and "by hand" in run.reasons[0]


# ---------------------------------------------------------------- kills

KILLER = textwrap.dedent("""
    import os, signal, sys
    from mlnb.core import files
    from mlnb.core.project import Project
    count, real = int(sys.argv[3]), os.replace
    def replace(source, target, *more):
        global count
        count -= 1
        if count == 0 and sys.argv[4] == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        real(source, target, *more)
        if count == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    import mlnb.monitoring.retraining as r
    os.replace = replace
    came = r.retrain(Project(sys.argv[1]), sys.argv[2])
    print(came.words)
""")


def killed(project: Project, now: datetime.datetime, nth: int, when: str) -> bool:
    """Retrain in a process that is killed at its nth whole write; False when it came to its end."""
    done = subprocess.run([sys.executable, "-c", KILLER, str(project.path), now.isoformat(), str(nth), when], capture_output=True, text=True,
                          env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=300)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def consistent(project: Project) -> None:
    """The rollout never says more than the run has decided."""
    rollout, runs = read_rollout(project.path / FILE), read_runs(project.path)
    steps = runs[-1].steps if runs else ()
    if rollout is not None and rollout.challenger is not None:
        assert steps and rollout.challenger.name == runs[-1].challenger
        assert rollout.revision <= steps[-1]["revision"] and (rollout.revision < steps[-1]["revision"] or rollout.share == steps[-1]["share"])
    for path in project.path.rglob("*.json"):
        if "mlartifacts" not in path.parts and not path.name.startswith("."):
            json.loads(path.read_text())


def test_killed_anywhere_in_the_canary_it_goes_on_where_it_stopped(canary: Project, tmp_path: Path) -> None:
    """In this process, at every whole write of two looks (a step passed and the next begun; rolled back, told, over)."""
    import mlnb.core.files as files

    class Killed(BaseException):
        pass

    real, seen = os.replace, 0
    for kind, faults, end in (("on", 0.0, "canary"), ("back", 0.3, "rolled back")):
        nth = 0
        while True:
            nth += 1
            place = tmp_path / f"{kind}{nth}"
            shutil.copytree(canary.path.parent, place)
            p, left = Project(place / "p"), nth
            traffic(p, LATER, 5, 11, faults=faults)

            def replace(source: Any, target: Any, p: Project = p) -> None:
                nonlocal left
                left -= 1
                if left == 0:
                    raise Killed
                real(source, target)

            os.replace = replace  # type: ignore[assignment]
            try:
                retrain(p, LATER + 5 * HOUR)
                done = True
            except Killed:
                done = False
            finally:
                os.replace = real
            consistent(p)
            run = retrain(p, LATER + 5 * HOUR + datetime.timedelta(minutes=1)).run if not done else read_runs(p.path)[-1]
            rollout = read_rollout(p.path / FILE)
            assert (run or read_runs(p.path)[-1]).state == end and rollout is not None and rollout.share == (25 if kind == "on" else 0)
            assert [e["event"] for e in read_events(p.path)] == ([] if kind == "on" else ["rolled back"])
            consistent(p)
            seen += 1
            shutil.rmtree(place)
            if done:
                break
    assert seen >= 8 and files.os.replace is real


def test_a_process_killed_by_the_system_leaves_a_run_that_goes_on(fresh: Project) -> None:
    assert killed(fresh, LATER, 4, "before")
    consistent(fresh)
    came = retrain(fresh, LATER + HOUR)
    assert came.run is not None and came.run.state == "canary" and len(read_runs(fresh.path)) == 1
    assert sum(e.status == "finished" for e in read_experiments(fresh)) == 2  # trained once


# ---------------------------------------------------------------- what stops a run


def stopped(project: Project, anyway: str = "", **changes: Any) -> Any:
    write_records(project, **changes)
    return retrain(project, LATER, anyway).run


def test_a_worse_model_is_not_tried(fresh: Project) -> None:
    loans(700, 1, "2026-03-10").to_csv(fresh.path / "later.csv", index=False)  # the world is as it was: nothing to win
    old = current_experiment(fresh).id
    run = stopped(fresh)
    assert run.state == "kept" and run.stages["deployment"]["end"] == "skipped" and not run.next and ("not better" in run.reasons[0] or "worse" in run.reasons[0])
    assert read_rollout(fresh.path / FILE) is None and current_experiment(fresh).id == old and [e["event"] for e in read_events(fresh.path)] == ["kept"]
    assert fresh.findings().get("RETRAIN").status.value == "warn"


def test_broken_new_data_stop_before_training(fresh: Project) -> None:
    rows = loans(700, 1, "2026-03-10", turned=True)
    rows.loc[200:, "income"] = float("nan")
    rows.to_csv(fresh.path / "later.csv", index=False)
    run = stopped(fresh)
    assert run.state == "stopped" and "income" in run.reasons[0] and len(read_experiments(fresh)) == 1
    assert run.stages["training"]["end"] == "skipped" and not run.next


@pytest.mark.parametrize(("rows", "golden", "words"), [
    (loans(120, 1, "2026-03-10", turned=True), None, "200 are needed"),
    (loans(700, 1, "2026-03-10", turned=True).drop(columns="repaid"), None, "repaid"),
    (loans(700, 1, "2026-03-10", turned=True).assign(repaid=None), None, "0 labelled"),
    (loans(700, 1, "2026-03-10", turned=True).assign(repaid="perhaps"), None, "does not know"),
    (None, "train", "proves nothing"),
    (None, "renamed", "proves nothing"),
])
def test_new_rows_that_will_not_do(fresh: Project, rows: pd.DataFrame | None, golden: str | None, words: str) -> None:
    if rows is not None:
        rows.to_csv(fresh.path / "later.csv", index=False)
    if golden:
        known = fresh.train().frame().head(60)
        known.assign(loan=[f"G{i}" for i in range(60)] if golden == "renamed" else known.loan).to_csv(fresh.path / "golden.csv", index=False)
    run = stopped(fresh, "asked for")
    assert run.state == "stopped" and words in " ".join(run.reasons)


@pytest.mark.parametrize(("written", "words"), [
    ({"repaid": lambda rows: rows.repaid.map({"yes": "maybe", "no": "no"})}, "does not know: maybe"),
    ({"income": lambda rows: rows.income.astype(str) + " EUR"}, "250 of 250 values of income in the golden set golden.csv cannot be read as they were in training, such as '"),
])
def test_a_golden_set_that_proves_nothing_ends_a_run_before_training(fresh: Project, written: dict[str, Any], words: str) -> None:
    loans(250, 2, "2026-03-20", turned=True).assign(**written).to_csv(fresh.path / "golden.csv", index=False)
    assert any(words in problem for problem in retrain_plan(fresh, LATER).problems)
    run = stopped(fresh)
    assert run.state == "stopped" and words in run.reasons[0] and len(read_experiments(fresh)) == 1


@pytest.mark.parametrize("labels", [{"yes": "YES", "no": "No "}, {"yes": 1, "no": 0}])
def test_labels_of_a_golden_set_may_be_spelt_in_another_way(fresh: Project, labels: dict[str, Any]) -> None:
    golden = loans(250, 2, "2026-03-20", turned=True)
    e = current_experiment(fresh)
    golden.to_csv(fresh.path / "same.csv", index=False)
    golden.assign(repaid=golden.repaid.map(labels)).to_csv(fresh.path / "golden.csv", index=False)
    assert golden_rows(fresh, "golden.csv", e).equals(golden_rows(fresh, "same.csv", e))


def test_a_golden_set_that_was_used_before_is_not_changed_on_the_way(fresh: Project) -> None:
    e = current_experiment(fresh)
    loans(100, 3, "2026-03-20").to_csv(fresh.path / "other.csv", index=False)
    for i, file in enumerate(("golden.csv", "other.csv", "./golden.csv")):
        golden_rows(fresh, file, e, f"look {i}")
    loans(90, 4, "2026-03-20").to_csv(fresh.path / "other.csv", index=False)
    with pytest.raises(InputError, match="was changed since it was first used"):
        golden_rows(fresh, "other.csv", e)
    (fresh.path / "retraining" / "golden.json").write_text("{")
    with pytest.raises(InputError, match=r"golden\.json cannot be read"):
        golden_rows(fresh, "golden.csv", e)


@pytest.mark.parametrize(("column", "written"), [("day", "%d/%m at %H:%M"), ("income", "")])
def test_values_that_cannot_be_read_are_no_missing_ones(fresh: Project, column: str, written: str) -> None:
    rows = loans(700, 1, "2026-03-10", turned=True)
    rows[column] = rows.day.dt.strftime(written) if written else "about " + rows.income.astype(str)
    rows.to_csv(fresh.path / "later.csv", index=False)
    said = " ".join(stopped(fresh, "asked for").reasons)
    assert f"cannot be read as they were in training, such as {rows[column].min()!r}" in said and "Wait for more labels" not in said


def test_a_schedule_waits_for_rows_and_is_not_used_up(fresh: Project) -> None:
    loans(120, 1, "2026-03-10", turned=True).to_csv(fresh.path / "later.csv", index=False)
    came = retrain(fresh, LATER)
    assert came.run is None and "waits for rows" in came.words and "200 are needed" in came.words and not read_runs(fresh.path)
    loans(700, 1, "2026-03-10", turned=True).to_csv(fresh.path / "later.csv", index=False)
    run = retrain(fresh, LATER + HOUR, until="data_validation").run
    assert run is not None and [each["type"] for each in run.why] == ["scheduled"]


def test_a_row_from_the_far_future_is_said_and_takes_no_rows_away(fresh: Project) -> None:
    rows = loans(700, 1, "2026-03-10", turned=True)
    rows.loc[350, "day"] = pd.Timestamp("2099-01-01")
    rows.to_csv(fresh.path / "later.csv", index=False)
    assert any("2099-01-01" in problem for problem in retrain_plan(fresh, LATER).problems)
    run = retrain(fresh, LATER, until="data_validation").run
    assert run is not None and run.stages["data_validation"]["end"] == "passed"
    told = run.stages["data_validation"]["rows"]
    assert told["from the future"] == 1 and told["train"] > 800 and "2099-01-01" in " ".join(told["notes"])


def test_a_time_as_feature_hides_no_contradictions(fresh: Project) -> None:
    from mlnb.monitoring.new_data import validate
    from mlnb.monitoring.new_rows import NewRows

    e = current_experiment(fresh)
    rows = loans(400, 1, "2026-03-10")
    twice = pd.concat([rows, rows.assign(day=rows.day + pd.Timedelta(days=1), repaid=rows.repaid.map({"yes": "no", "no": "yes"}))], ignore_index=True)
    found = validate(NewRows(loans(400, 2, "2026-01-01"), twice, twice, twice), e, ["check_label_quality"])
    assert "day" in e.features_used and not found[0].ok and "contradict" in found[0].why


def test_an_open_run_goes_on_although_another_is_asked_for(canary: Project) -> None:
    came = retrain(canary, LATER + HOUR, anyway="again")
    assert not came.begun and "no other begins" in came.words and len(read_runs(canary.path)) == 1


def test_a_dry_run_without_a_record_says_so(fresh: Project) -> None:
    (fresh.path / "records" / "retraining.yaml").unlink()
    assert any("no records/retraining.yaml" in problem and "golden_set" in problem for problem in retrain_plan(Project(fresh.path), LATER).problems)


def test_a_champion_whose_model_is_gone_fails_and_tells(fresh: Project) -> None:
    (fresh.path / current_experiment(fresh).model_file).unlink()
    run = stopped(fresh)
    assert run.state == "failed" and "not there any more" in run.reasons[0] and fresh.findings().get("RETRAIN").status.value == "fail"
    assert (fresh.path / "monitoring" / "alerts.jsonl").read_text().count("RETRAIN-0001") >= 1
    assert retrain(fresh, LATER + HOUR).run is None  # it does not try again at every call


def test_a_guardrail_keeps_the_old_model(fresh: Project) -> None:
    loans(250, 2, "2026-03-20").to_csv(fresh.path / "golden.csv", index=False)  # what was always needed: the old rule
    run = stopped(fresh)
    assert run.state == "kept" and "golden set" in run.reasons[0]


@pytest.mark.parametrize("changes", [
    {"triggers": [{"type": "performance", "condition": "when it gets bad"}]}, {"triggers": [{"type": "scheduled", "frequency": "sometimes"}]}, {"golden_set": ""},
    {"triggers": [{"type": "performance", "condition": "roc_auk < 0.8"}]}, {"triggers": [{"type": "performance", "condition": "rmse > 3"}]},
    {"triggers": [{"type": "performance", "condition": "roc_auc > 0.8"}]}, {"triggers": [{"type": "performance", "condition": "roc_auc < 0.8 for 24h or drift"}]},
    {"triggers": [{"type": "scheduled", "frequency": "-1d"}]}, {"triggers": [{"type": "drift", "condition": "PSI > 0.2 on any top-0 feature"}]},
    {"guardrails": [{"metric": "recal"}]}, {"guardrails": [{"metric": "rmse"}]},
])
def test_a_record_that_cannot_be_followed(fresh: Project, changes: dict[str, Any]) -> None:
    write_records(fresh, **changes)
    with pytest.raises(ConfigError, match=r"retraining\.yaml"):
        retrain(fresh, LATER, anyway="asked for")
    assert retrain_plan(fresh, LATER).problems and not read_runs(fresh.path)


def test_two_at_once(fresh: Project) -> None:
    with alone(fresh.path), pytest.raises(InputError, match="Another retraining"):
        retrain(fresh, LATER)


def test_a_damaged_stage_is_named(canary: Project) -> None:
    write_atomic(read_runs(canary.path)[-1].path / "2_training.json", '{"stage"')
    with pytest.raises(InputError, match=r"2_training\.json"):
        retrain(canary, LATER + HOUR)


# ---------------------------------------------------------------- triggers


def window(day: int, value: float, psi: float = 0.01) -> Window:
    start = datetime.datetime(2026, 2, day, tzinfo=datetime.UTC)
    columns = {"income": {"psi": psi, "severity": "critical" if psi > 0.25 else "none", "p_adjusted": 1e-9 if psi > 0.25 else 0.5}}
    return Window(start.isoformat(), (start + 24 * HOUR).isoformat(), 500, columns=columns, metrics={name: {"value": value} for name in ("f1", "pr_auc", "roc_auc")})


def test_triggers_fire_with_their_evidence(fresh: Project) -> None:
    early = datetime.datetime(2026, 2, 20, tzinfo=datetime.UTC)
    assert not due(fresh, early).fired
    for day, value, psi in ((10, 0.9, 0.01), (11, 0.6, 0.01), (12, 0.6, 0.3)):
        save_window(fresh.path, window(day, value, psi))
    found = {item.type: item for item in due(fresh, early).items}
    assert found["performance"].fired and found["performance"].evidence["hours"] == 48 and not found["scheduled"].fired
    assert found["drift"].fired and found["drift"].evidence["hits"][0]["column"] == "income"
    assert not {i.type: i for i in due(fresh, datetime.datetime(2026, 2, 12, tzinfo=datetime.UTC)).items}["drift"].fired  # the window was not over then
    assert {i.type: i for i in due(fresh, LATER).items}["scheduled"].fired


@pytest.mark.parametrize(("method", "words"), [("PSI", "PSI > 0.2 on any top-10 feature"), ("KS-test", "KS > 0.2 on any column"), ("JS-divergence", "JS > 0.2 on any column")])
def test_small_windows_do_not_start_a_retraining_by_chance(method: str, words: str) -> None:
    rng, names = np.random.default_rng(3), [f"x{i}" for i in range(10)]
    reference = profile(pd.DataFrame(rng.normal(size=(5000, 10)), columns=names))

    def seen(day: int, shift: float = 0.0, rows: int = 25) -> Window:
        frame = pd.DataFrame(rng.normal(size=(rows, 10)), columns=names).assign(x3=lambda d: d["x3"] + shift)
        start = datetime.datetime(2026, 2, day, tzinfo=datetime.UTC)
        return Window(start.isoformat(), (start + 24 * HOUR).isoformat(), rows, columns=plain(compare(reference, frame, method=method).columns))

    calm = [seen(day) for day in range(1, 26)]
    fired = [_drift(words, [w], names, names).fired for w in calm]
    above = sum(any(c[find_method(method).key] > 0.2 for c in w.columns.values()) for w in calm)
    assert above >= 20 and sum(fired) <= 2  # it was every second window
    assert not _drift(words, calm[2:], names, names).fired  # nor all of them together
    assert "chance" in _drift(words, calm[1:2], names, names).why
    assert not _drift(words, [seen(1, 2.0, rows=12)], names, names).fired  # too few rows to say anything
    for windows in ([seen(1, 1.5)], [*calm[:10], *(seen(day, 1.5) for day in (11, 12, 13))], [seen(1, 0.7, rows=500)]):
        planted = _drift(words, windows, names, names)
        assert planted.fired and {hit["column"] for hit in planted.evidence["hits"]} == {"x3"}, planted.why


def test_a_number_below_the_limits_of_the_verdict_counts_too() -> None:
    column = {"psi": 0.06, "severity": "none", "p_adjusted": 1e-6}
    assert _drift("PSI > 0.05 on x", [Window("2026-02-01T00:00:00+00:00", "2026-02-02T00:00:00+00:00", 5000, columns={"x": column})], ["x"], []).fired


def test_the_monitors_record_says_when_to_retrain_too(fresh: Project) -> None:
    write_records(fresh, triggers=[{"type": "scheduled", "frequency": "monthly"}])
    record: Any = fresh.record("monitoring")
    early = datetime.datetime(2026, 2, 20, tzinfo=datetime.UTC)
    save_window(fresh.path, window(12, 0.6, 0.3))
    for words, kind, fires in (("PSI > 0.2 on income", "drift", True), ("PSI > 0.5 on income", "drift", False), ("primary_metric < threshold", "performance", True),
                               ("1d", "scheduled", True), ("monthly", None, False)):
        record.concept_drift.retraining_trigger = words
        fresh.save_record("monitoring", record)
        more = due(fresh, early).items[1:]
        assert [(item.type, item.fired) for item in more] == ([(kind, fires)] if kind else []), words
    for words in ("when it gets bad", "PSI > 0.2 on nothing"):
        record.concept_drift.retraining_trigger = words
        fresh.save_record("monitoring", record)
        with pytest.raises(ConfigError, match=r"concept_drift\.retraining_trigger"):
            due(fresh, early)
        assert any("concept_drift.retraining_trigger" in problem for problem in retrain_plan(fresh, early).problems)


def test_what_started_a_run_does_not_start_the_next(canary: Project) -> None:
    save_window(canary.path, window(12, 0.5, 0.4))
    assert not [i for i in due(canary, LATER + HOUR).items if i.fired]


# ---------------------------------------------------------------- judging a step


def arm(n: int, errors: int, p95: float = 20.0) -> RequestStats:
    return RequestStats(n, errors, error_rate=errors / n if n else None, p50_ms=p95 / 2, p95_ms=p95)


@pytest.mark.parametrize(("new", "old", "hours", "act"), [
    (arm(500, 10), arm(9500, 95), 5, "wait"),  # 2 % against 1 %, p = 0.04: too often by chance to go back, and too seldom to go on
    (arm(100, 4), arm(1000, 10), 5, "wait"),
    (arm(500, 7), arm(9500, 95), 5, "on"),  # 1.4 %
    (arm(90, 90), arm(2000, 0), 1, "back"),  # too few requests, and clear all the same
    (arm(2000, 60), arm(9500, 95), 1, "back"),  # 3 %
    (arm(2000, 36), arm(9500, 95), 5, "on"),  # 1.8 %, beyond chance, but not twice
    (arm(99, 4), arm(9500, 95), 5, "wait"),  # too few to judge
    (arm(500, 0), arm(99, 0), 5, "wait"),
    (arm(500, 0), arm(9500, 0), 4, "on"),
    (arm(500, 0), arm(9500, 0), 3.99, "wait"),
    (arm(500, 9), arm(9500, 0), 5, "back"),  # the champion never fails
    (arm(500, 0, 41), arm(9500, 0, 20), 5, "back"),
    (arm(500, 0, 39), arm(9500, 0, 20), 5, "on"),
    (arm(500, 0, 0.9), arm(9500, 0, 0.3), 5, "on"),  # half a millisecond troubles nobody
])
def test_a_step_goes_on_back_or_waits(new: RequestStats, old: RequestStats, hours: float, act: str) -> None:
    assert judge(new, old, hours, CanaryPlan()).act == act


def test_a_challenger_that_is_never_asked_is_said() -> None:
    waits = judge(arm(0, 0), arm(2000, 4), 5, CanaryPlan(), share=5)
    assert waits.act == "wait" and "none of 2,000" in waits.why and "/ready" in waits.why
    assert "/ready" not in judge(arm(0, 0), arm(150, 0), 5, CanaryPlan(), share=5).why  # 8 would be its share: none is no wonder


def test_requests_without_a_latency_are_judged_by_the_rest() -> None:
    def silent(n: int, errors: int) -> RequestStats:
        return RequestStats(n, errors, error_rate=errors / n)

    on, back = judge(silent(500, 0), silent(9500, 0), 5, CanaryPlan()), judge(silent(500, 60), silent(9500, 95), 5, CanaryPlan())
    assert on.act == "on" and "latency is not in the log" in on.why and back.act == "back"


def test_a_model_that_is_no_worse_is_rarely_taken_back() -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    acts = [judge(arm(400, int(rng.binomial(400, 0.01))), arm(7600, int(rng.binomial(7600, 0.01))), 5, CanaryPlan()).act for _ in range(1500)]
    assert acts.count("back") <= 0.01 * len(acts)
    worse = [judge(arm(2000, int(rng.binomial(2000, 0.04))), arm(7600, int(rng.binomial(7600, 0.01))), 5, CanaryPlan()).act for _ in range(300)]
    assert worse.count("back") >= 0.97 * len(worse)


def test_the_metric_counts_when_labels_are_there() -> None:
    bad, unsure = ({"metric": "roc_auc", "challenger": 0.7, "champion": 0.8, "drop": 0.125, "low": low} for low in (0.04, -0.01))
    assert judge(arm(500, 0), arm(9500, 0), 1, CanaryPlan(), bad).act == "back" and judge(arm(500, 0), arm(9500, 0), 5, CanaryPlan(), unsure).act == "on"


@pytest.mark.parametrize(("part", "word", "says"), [("2_training", "log_all_metrics", "log_all_metrics"), ("3_evaluation", "compare_vs_production_model", "compare_vs"),
                                                    ("2_training", "same_hyperparameters_as_production", "tuning_trials")])
def test_what_every_run_does_cannot_be_left_out(fresh: Project, part: str, word: str, says: str) -> None:
    pipeline = fresh.record("retraining").model_dump(by_alias=True)["pipeline"]
    write_records(fresh, pipeline={**pipeline, part: [other for other in pipeline[part] if other != word]})
    assert any(says in problem and part in problem for problem in retrain_plan(fresh, LATER).problems)
    with pytest.raises(ConfigError, match=word):
        retrain(fresh, LATER)
    assert not read_runs(fresh.path)


def test_training_words_have_an_effect(fresh: Project) -> None:
    record: Any = fresh.record("retraining")
    pipeline, limits = record.model_dump(by_alias=True)["pipeline"], record.limits.model_dump()
    write_records(fresh, months=1)
    latest = retrain_plan(fresh, LATER)
    write_records(fresh, months=1, pipeline={**pipeline, "2_training": ["log_all_metrics"]}, limits={**limits, "tuning_trials": 3})
    whole = retrain_plan(fresh, LATER)
    assert not [problem for problem in whole.problems if "2_training" in problem]
    assert whole.facts["rows"]["train"] > latest.facts["rows"]["train"] and "all months" in whole.stages["training"] and "latest 1 months" in latest.stages["training"]
    assert "search of 3 trials" in whole.stages["training"] and "search" not in latest.stages["training"]
    run = retrain(fresh, LATER, anyway="settings are to be found anew", until="training").run
    assert run is not None and run.stages["training"]["rows"] == whole.facts["rows"]["train"] and run.stages["training"]["search"]


def test_the_plan_is_that_of_the_methodology(fresh: Project) -> None:
    from mlnb.monitoring.retrain_plan import retrain_settings

    plan = read_plan(retrain_settings(fresh))
    assert (plan.shares, plan.hours, plan.errors, plan.latency, plan.metric) == ((5, 25, 50, 100), 4, 2, 2, 0.05)


# ---------------------------------------------------------------- Airflow and the command


def test_the_dag_has_five_tasks_in_order(fresh: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run against a stand-in for Airflow's decorators, which notes names and order."""
    import types

    order: list[str] = []

    class Node:
        def __init__(self, name: str) -> None:
            self.name = name

        def __rshift__(self, other: Node) -> Node:
            order.extend([self.name] if not order else [])
            order.append(other.name)
            return other

    def named(task_id: str, **options: Any) -> Any:
        return lambda function: lambda: Node(task_id)

    task: Any = named
    task.sensor = named
    modules = {"airflow": types.ModuleType("airflow"), "airflow.decorators": types.ModuleType("d"), "airflow.exceptions": types.ModuleType("e")}
    modules["airflow.decorators"].task, modules["airflow.decorators"].dag = task, lambda **options: lambda function: function  # type: ignore[attr-defined]
    modules["airflow.exceptions"].AirflowFailException = modules["airflow.exceptions"].AirflowSkipException = RuntimeError  # type: ignore[attr-defined]
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    code = airflow_dag(fresh)
    exec(compile(code, "dag.py", "exec"), {})
    assert order == list(STAGES)


def test_stages_can_be_done_one_call_at_a_time(fresh: Project) -> None:
    for i, stage in enumerate(STAGES[:3], 1):
        run = retrain(fresh, LATER, until=stage).run
        assert run is not None and len(run.stages) == i and not run.steps
    with pytest.raises(ConfigError, match="Did you mean"):
        retrain(fresh, LATER, until="trainin")


def test_the_command(canary: Project, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from mlnb.cli import app

    def said(*options: str) -> Any:
        return CliRunner().invoke(app, ["retrain", *options, "--project", str(canary.path)])

    found = json.loads(said("--status", "--json").stdout)
    assert found["runs"][0]["state"] == "canary" and found["registry"]["challenger"] and found["findings"][0]["code"] == "RETRAIN"
    assert "canary" in said("--status").stdout and said("--status", "--dry-run").exit_code == 2
    assert said("--airflow", str(tmp_path / "dag.py")).exit_code == 0 and compile((tmp_path / "dag.py").read_text(), "dag.py", "exec")
    assert said("--rollback").exit_code == 2
    back = said("--rollback", "--by", "Ana", "--why", "wrong prices", "--json")
    assert back.exit_code == 0 and json.loads(back.stdout)["run"]["state"] == "rolled back"
    plan = json.loads(said("--dry-run", "--json").stdout)
    assert list(plan["stages"]) == list(STAGES) and said("--rollback", "--by", "Ana", "--why", "again").exit_code == 2


def test_the_command_makes_the_record_once_and_refuses_options_that_do_nothing(fresh: Project) -> None:
    from typer.testing import CliRunner

    from mlnb.cli import app

    def said(command: str, *options: str) -> Any:
        return CliRunner().invoke(app, [command, *options, "--project", str(fresh.path)])

    for command, name in (("retrain", "retraining"), ("monitor", "monitoring")):
        path = fresh.path / "records" / f"{name}.yaml"
        path.unlink()
        assert said(command, "--template").exit_code == 0 and "# " in path.read_text() and fresh.record(name) == type(fresh.record(name))()
        path.write_text(path.read_text().replace("months: 12", "months: 6"))
        before = path.read_bytes()
        again = said(command, "--template")
        assert again.exit_code == 2 and "is there already" in again.output and path.read_bytes() == before
    for options in (["--why", "new prices"], ["--now-anyway", "--by", "Ana"], ["--schedule", "@daily"], ["--status", "--until", "training"]):
        wrong = said("retrain", *options)
        assert wrong.exit_code == 2 and "eave" in wrong.output and not read_runs(fresh.path), options


def test_a_plan_names_what_keeps_a_run_from_beginning(canary: Project) -> None:
    assert not any("no run watches" in problem for problem in retrain_plan(canary, LATER + HOUR).problems)  # this run does
    for folder in (canary.path / "retraining").glob("RETRAIN-*"):
        shutil.rmtree(folder)
    problems = retrain_plan(canary, LATER + HOUR).problems
    with pytest.raises(ConfigError, match="no run watches it") as error:
        retrain(canary, LATER + HOUR, anyway="again")
    assert str(error.value) in problems
    (canary.path / FILE).write_text('{"champion": 3}')
    assert any("rollout.json" in problem for problem in retrain_plan(canary, LATER + HOUR).problems)


def test_a_run_that_says_nothing_is_said_by_name(fresh: Project) -> None:
    path = fresh.path / "retraining" / "RETRAIN-0001" / "run.json"
    write_atomic(path, "{}")
    with pytest.raises(InputError, match=r"RETRAIN-0001/run\.json says nothing of started, champion"):
        retrain(fresh, LATER)


def test_a_registry_that_is_away_is_said_while_the_canary_goes_on(canary: Project) -> None:
    from mlnb.cli_retrain import _run_lines

    run = read_runs(canary.path)[-1]
    assert not any("registry" in line for line in _run_lines(run)) and "registry" not in run_part(run, "canary").html
    step = {**run.steps[-1], "registry": {"problem": "nobody answers"}}
    run = dataclasses.replace(run, steps=(step,))
    assert "nobody answers" in " ".join(_run_lines(run)) and "nobody answers" in run_part(run, "canary").html


@pytest.mark.parametrize(("labels", "state", "words"), [
    (None, "25 %", ""), (b"loan,repaid\n", "25 %", ""), (b"", "25 %", ""),
    (b"\x00\x01\x02" * 99, "5 %", "labels cannot be used"), (b"loan,repaid\n\xff\xfe,yes\n", "5 %", "labels cannot be used"),
])
def test_labels_that_cannot_be_read_are_not_those_still_to_come(canary: Project, labels: bytes | None, state: str, words: str) -> None:
    traffic(canary, LATER, 5, 1)
    if labels is not None:
        (canary.path / "labels.csv").write_bytes(labels)
    said = retrain(canary, LATER + 5 * HOUR).words
    assert f"gets {state}" in said and words in said, said


def test_labels_in_a_folder_count_like_those_in_a_file_and_a_damaged_one_stops_the_canary(canary: Project) -> None:
    from mlnb.experiments.files import read_experiment
    from mlnb.monitoring.arms import arm_metric

    run, rng, lines = read_runs(canary.path)[-1], np.random.default_rng(0), []
    models = {"challenger": read_experiment(canary, run.challenger), "champion": read_experiment(canary, str(run.champion["name"]))}
    for i in range(400):
        arm, chance = ("challenger", "champion")[i % 2], float(rng.random())
        lines.append({"request_id": f"r{i}", "time": (LATER + datetime.timedelta(minutes=i / 2)).isoformat(), "arm": arm, "model": models[arm].id, "status": 200,
                      "latency_ms": 3.0, "rows": [{"loan": f"L{i}"}], "predictions": [{"probabilities": {"yes": chance, "no": 1 - chance}}]})
    (canary.path / "requests.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    labels = pd.DataFrame({"loan": [f"L{i}" for i in range(400)], "repaid": rng.choice(["yes", "no"], 400)})
    asked = (canary, models, str(canary.path / "requests.jsonl"), LATER.isoformat(), (LATER + 5 * HOUR).isoformat())
    labels.to_csv(canary.path / "labels.csv", index=False)
    by_file = arm_metric(*asked)
    assert by_file["rows"] == {"challenger": 200, "champion": 200}
    record: Any = canary.record("monitoring")
    record.sources.labels = "known"
    canary.save_record("monitoring", record)
    assert arm_metric(*asked) == {}  # labels are still to come
    (canary.path / "known").mkdir()
    labels.iloc[::2].to_csv(canary.path / "known" / "a.csv", index=False)
    labels.iloc[1::2].to_json(canary.path / "known" / "b.jsonl", orient="records", lines=True)
    assert arm_metric(*asked) == by_file
    (canary.path / "known" / "c.csv").write_bytes(b"loan,repaid\n\xff\xfe,yes\n")
    with pytest.raises(InputError, match=r"c\.csv"):
        arm_metric(*asked)


def test_a_log_that_cannot_be_read_is_not_called_no_traffic_alone(canary: Project) -> None:
    (canary.path / "requests.jsonl").write_text("[1, 2]\nnull\n" * 50)
    assert "The log: " in retrain(canary, LATER + 5 * HOUR).words


def test_a_step_that_says_nothing_is_said_by_name(canary: Project) -> None:
    write_atomic(read_runs(canary.path)[-1].path / "4_canary_1.json", "{}")
    with pytest.raises(InputError, match=r"RETRAIN-0001/4_canary_1\.json says nothing of number, share, since, state"):
        retrain(canary, LATER + HOUR)


def test_a_full_disk_is_called_one_and_the_next_call_goes_on(fresh: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlnb.monitoring import retraining as module

    def full(*_: Any) -> Any:
        raise RuntimeError("this model cannot be serialized")

    retrain(fresh, LATER, until="data_validation")
    with monkeypatch.context() as patched:
        patched.setitem(module._DOES, "training", full)  # type: ignore[arg-type]
        with pytest.raises(RuntimeError):
            retrain(fresh, LATER, until="training")
        patched.setattr(module.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 8_000))  # type: ignore[attr-defined]
        with pytest.raises(InputError, match=r"is full .* training could not be finished"):
            retrain(fresh, LATER, until="training")
    assert retrain(fresh, LATER, until="training").run.stages["training"]["end"] == "passed"  # type: ignore[union-attr]


def test_a_plan_names_every_limit_of_the_canary(fresh: Project) -> None:
    def said() -> str:
        return retrain_plan(fresh, LATER).stages["deployment"]

    assert "errors reach 2× or latency 2×" in said() and "f1 is down by more than 5%" in said()
    rollout = fresh.record("retraining").model_dump(by_alias=True)["pipeline"]  # type: ignore[attr-defined]
    rollout["4_deployment"][2] = {"auto_rollback_if": "latency > 3x baseline or primary_metric drop > 2%"}
    write_records(fresh, pipeline=rollout)
    assert "errors reach 2× or latency 3×" in said() and "down by more than 2%" in said()


def test_the_report_says_what_a_run_was_begun_for_and_that_its_canary_goes_on(canary: Project) -> None:
    run = read_runs(canary.path)[-1]
    shown = run_part(run, "stages").html
    assert str(run.why[0]["why"]) in html.unescape(shown) and "5 % of the requests" in shown and shown.count("to come") == 1
    data = run_part(run, "data").html
    assert "kept apart for the comparison" in data and f"{run.stages['data_validation']['rows']['evaluation']:,}" in data


def test_evidence_goes_stale_with_the_files_of_the_run(canary: Project) -> None:
    through(canary)
    assert canary.findings().get("RETRAIN").status.value == "pass"
    path = read_runs(canary.path)[-1].path / "3_evaluation.json"
    write_atomic(path, path.read_text().replace('"passed"', '"passed" '))
    assert canary.findings().get("RETRAIN").status.value == "stale"


def test_nothing_but_mlnb_errors(fresh: Project) -> None:
    (fresh.path / "records" / "retraining.yaml").unlink()
    with pytest.raises(MlnbError, match="dry-run"):
        retrain(fresh, LATER, anyway="asked for")


def test_measured_windows_decide_and_estimates_only_where_there_are_none() -> None:
    bad = [replace(window(day, 0.4), metrics={"f1": {"value": 0.4, "kind": "measured"}}) for day in range(1, 5)]
    guessed = [replace(window(day, 0.9), metrics={"f1": {"value": 0.9, "kind": "estimated"}}) for day in range(5, 8)]
    seen = _performance("f1 < 0.8 for 48h", [*bad, *guessed], "f1", None)
    assert seen.fired and "measured" in seen.why
    calm = _performance("f1 < 0.8 for 48h", guessed, "f1", None)
    assert not calm.fired and "(estimated)" in calm.why
    low = [replace(w, metrics={"f1": {"value": 0.4, "kind": "estimated"}}) for w in guessed]
    assert _performance("f1 < 0.8 for 48h", low, "f1", None).fired


def test_a_threshold_is_passed_on_the_bad_side() -> None:
    """The condition of the template says below; an error is bad above."""
    words, mae = "primary_metric < threshold for 24h", {"kind": "measured"}
    good, bad = ([replace(window(day, value), metrics={"mae": {"value": value, **mae}}) for day in range(1, 4)] for value in (2.6, 25.0))
    assert not _performance(words, good, "mae", 5.0).fired and _performance(words, bad, "mae", 5.0).fired
    with pytest.raises(ConfigError, match="mae > 5"):
        _performance("mae < 5 for 24h", good, "mae", None)


def test_labels_that_became_floats_are_the_same_labels(tmp_path: Path) -> None:
    """One label that is missing makes a column of whole numbers one of floats."""
    from mlnb.monitoring.new_rows import gather
    from mlnb.monitoring.retrain_plan import retrain_settings

    project = make_project(tmp_path, 600, whole=True)
    later = pd.read_csv(project.path / "later.csv").astype({"repaid": float})
    later.loc[3, "repaid"] = None
    later.to_csv(project.path / "later.csv", index=False)
    e = current_experiment(project)
    assert set(gather(project, e, retrain_settings(project)).new["repaid"]) == set(e.classes) == {0, 1}
    run = retrain(project, LATER, until="evaluation").run
    assert run is not None and run.stages["data_validation"]["end"] == "passed", run.reasons


def test_a_record_without_a_field_is_said(fresh: Project) -> None:
    (fresh.path / "records" / "monitoring.yaml").write_text("{}\n")
    with pytest.raises(MlnbError, match="`monitoring:`"):
        fresh.record("monitoring")
