"""Windows are looked at with the model that answered them, also when another one has taken over."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier
from watched import batch, copied, loans, trained

from mlnb.core.project import Project
from mlnb.experiments.crossval import answers
from mlnb.experiments.files import folder_of, read_experiment
from mlnb.experiments.lifecycle import use_experiment
from mlnb.experiments.tracking import current_experiment
from mlnb.experiments.training import load_model, train
from mlnb.monitoring.watch import watch
from mlnb.monitoring.windows import Window, read_windows

DAYS = ("2026-03-01", "2026-03-02", "2026-03-03")
LATE: dict[str, Any] = {"sources": {"key": "id", "labels": "labels.csv"}, "concept_drift": {"ground_truth_delay": "10d"}}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Project:
    "A project with two models; the first is in use."
    project = trained(tmp_path_factory.mktemp("own"))
    first = current_experiment(project).id
    stump = make_pipeline(make_column_transformer(("passthrough", ["income"])), DecisionTreeClassifier(max_depth=1, random_state=0))
    train(project, "A stump does, by F1 0.6", stump, n_resamples=100)
    use_experiment(project, first)
    return project


@pytest.fixture
def make(base: Project, tmp_path: Path) -> Callable[..., Project]:
    return lambda **record: copied(base, tmp_path, **record)


def ids(project: Project) -> tuple[str, str]:
    "The model in use first, and the other."
    first = current_experiment(project).id
    return first, next(path.stem for path in folder_of(project).glob("EXP-*.json") if path.stem != first)


def right(project: Project, key: str, rows: pd.DataFrame) -> float:
    "F1 of a model on rows, by scikit-learn."
    e = read_experiment(project, key)
    chance = answers(load_model(project, e), rows, e.classes)[:, list(e.classes).index(e.positive)]
    return float(f1_score(rows["y"] == e.positive, chance >= e.threshold))


def label(project: Project, *frames: pd.DataFrame) -> None:
    pd.concat(frames)[["id", "y"]].to_csv(project.path / "labels.csv", index=False)


def found(project: Project) -> dict[str, Window]:
    return {w.start[:10]: w for w in read_windows(project.path)}


def test_labels_that_come_after_another_model_took_over_measure_the_one_that_answered(make: Callable[..., Project]) -> None:
    project = make(**LATE)
    first, second = ids(project)
    rows = [loans(200, day) for day in (1, 2)]
    batch(project, f"{DAYS[0]}.csv", rows[0].drop(columns="y"))
    watch(project, "2026-03-02T01:00")
    before = found(project)[DAYS[0]]
    use_experiment(project, second)
    batch(project, f"{DAYS[1]}.csv", rows[1].drop(columns="y"))
    label(project, *rows)
    turn = watch(project, "2026-03-12T13:00")
    made = {w.start[:10]: w for w in turn.windows if w.rows}
    assert {day: w.model for day, w in made.items()} == {DAYS[0]: first, DAYS[1]: second}
    for day, key, frame in zip(DAYS, (first, second), rows, strict=False):
        assert made[day].metrics["f1"]["value"] == pytest.approx(right(project, key, frame)), day
    assert abs(right(project, first, rows[0]) - right(project, second, rows[0])) > 0.005  # else nothing was tested
    assert {name: c["psi"] for name, c in made[DAYS[0]].columns.items() if name != "y"} == {name: c["psi"] for name, c in before.columns.items()}
    assert made[DAYS[0]].drift["watched"] == before.drift["watched"] and made[DAYS[0]].metrics["f1"]["expected"]["value"] == before.metrics["f1"]["value"]
    assert any("which answered then" in note for note in made[DAYS[0]].notes) and not any("answered then" in note for note in made[DAYS[1]].notes)


def test_what_late_rows_change_stays_with_the_model_of_the_window(make: Callable[..., Project]) -> None:
    project = make()
    first, second = ids(project)
    batch(project, f"{DAYS[0]}.csv", loans(200, 1))
    watch(project, "2026-03-02T01:00")
    use_experiment(project, second)
    batch(project, f"{DAYS[0]}-more.csv", loans(50, 5))
    watch(project, "2026-03-02T02:00")
    assert (found(project)[DAYS[0]].rows, found(project)[DAYS[0]].model) == (250, first)


@pytest.mark.parametrize("damage", ["model", "profile"])
def test_a_model_that_is_gone_is_said_and_the_one_in_use_asked(make: Callable[..., Project], damage: str) -> None:
    project = make(**LATE)
    first, second = ids(project)
    rows = loans(200, 1)
    batch(project, f"{DAYS[0]}.csv", rows.drop(columns="y"))
    watch(project, "2026-03-02T01:00")
    use_experiment(project, second)
    lost = project.path / read_experiment(project, first).model_file if damage == "model" else folder_of(project, first) / "reference_profile.json"
    if damage == "model":
        lost.unlink()
    else:
        lost.write_text("{")
    label(project, rows)
    window = watch(project, "2026-03-12T01:00").windows[0]
    assert window.model == second and window.metrics["f1"]["value"] == pytest.approx(right(project, second, rows))
    assert any(f"{first} answered then and cannot be asked any more" in note for note in window.notes)


def test_a_profile_that_was_not_kept_is_made_again_only_from_the_same_rows(make: Callable[..., Project]) -> None:
    project = make(**LATE)
    first, second = ids(project)
    batch(project, f"{DAYS[0]}.csv", loans(200, 1).drop(columns="y"))
    before = watch(project, "2026-03-02T01:00").windows[0]
    use_experiment(project, second)
    (folder_of(project, first) / "reference_profile.json").unlink()
    (folder_of(project, first) / "estimator.json").unlink()
    label(project, loans(200, 1))
    window = watch(project, "2026-03-12T01:00").windows[0]
    assert window.model == first and window.columns["income"]["psi"] == before.columns["income"]["psi"]
    assert window.metrics["f1"]["expected"]["value"] == before.metrics["f1"]["value"]


def test_a_metric_over_several_windows_is_of_one_model(make: Callable[..., Project]) -> None:
    project = make(model_performance={"metrics": [{"name": "f1", "window": "3d"}]})
    second = ids(project)[1]
    rows = [loans(100, day) for day in (1, 2, 3)]
    for day, frame in zip(DAYS, rows, strict=True):
        batch(project, f"{day}.csv", frame)
    watch(project, "2026-03-03T01:00")
    assert found(project)[DAYS[1]].metrics["f1"]["rows"] == 200
    use_experiment(project, second)
    watch(project, "2026-03-04T01:00")
    metric = found(project)[DAYS[2]].metrics["f1"]
    assert metric["rows"] == 100 and metric["value"] == pytest.approx(right(project, second, rows[2]))


def write_log(project: Project, rows: pd.DataFrame, day: str, models: list[str], chance: float | None) -> None:
    "Requests of one day, answered by these models in turn."
    with (project.path / "log.jsonl").open("a") as file:
        for i, row in enumerate(rows.to_dict("records")):
            said = {"prediction": "good", **({} if chance is None else {"probabilities": {"good": chance + i / 1000, "bad": 1 - chance - i / 1000}})}
            line = {"request_id": str(row.pop("id")), "time": f"{day}T{i % 24:02}:00:00+00:00", "model": models[i % len(models)], "status": 200, "latency_ms": 2.0,
                    "rows": [row], "predictions": [said]}
            file.write(json.dumps(line) + "\n")


@pytest.fixture
def logs(base: Project, tmp_path: Path) -> Project:
    project = copied(base, tmp_path, sources={"batches": "", "requests": "log.jsonl"})
    return project


def test_a_log_says_whose_window_it_is_when_the_monitor_was_down(logs: Project) -> None:
    first, second = ids(logs)
    use_experiment(logs, second)
    write_log(logs, loans(100, 1).drop(columns="y"), DAYS[0], [first], 0.05)
    write_log(logs, loans(100, 2).drop(columns="y"), DAYS[1], [first, first, second], 0.05)
    write_log(logs, loans(100, 3).drop(columns="y"), DAYS[2], ["v9"], 0.05)
    watch(logs, "2026-03-04T01:00")
    windows = found(logs)
    assert [windows[day].model for day in DAYS] == [first, first, second]
    notes = [" ".join(windows[day].notes) for day in DAYS]
    assert "answers are those that were logged" in notes[0] and windows[DAYS[0]].prediction["mean"] == pytest.approx(0.95 - 0.0495)
    assert f"{second} answered too; {first} was asked again" in notes[1] and windows[DAYS[1]].prediction["mean"] < 0.7
    assert "v9 answered then and cannot be asked any more" in notes[2] and windows[DAYS[2]].prediction["mean"] < 0.7


def test_a_challenger_with_a_small_share_leaves_the_window_to_the_model_in_use(logs: Project) -> None:
    first, second = ids(logs)
    write_log(logs, loans(100, 1).drop(columns="y"), DAYS[0], [first] * 9 + [second], 0.3)
    watch(logs, "2026-03-02T01:00")
    window = found(logs)[DAYS[0]]
    assert window.model == first and any(f"{second} answered too" in note for note in window.notes)
    assert not any("answered then" in note for note in window.notes)


def test_windows_that_were_missed_belong_to_the_model_of_their_time(make: Callable[..., Project]) -> None:
    project = make()
    first, second = ids(project)
    (folder_of(project) / "in_use.jsonl").unlink()
    for key, hour in ((first, 3), (second, 30), (first, 61)):  # 03:00, 06:00 of the second day, 13:00 of the third
        use_experiment(project, key, datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC) + datetime.timedelta(hours=hour))
    rows = [loans(200, day) for day in (0, 1, 2, 3)]
    for day, frame in zip(("2026-02-28", *DAYS), rows, strict=True):
        batch(project, f"{day}.csv", frame)
    watch(project, "2026-03-04T01:00")
    windows = found(project)
    assert [windows[day].model for day in ("2026-02-28", *DAYS)] == [first, first, second, second]
    assert windows[DAYS[2]].metrics["f1"]["value"] == pytest.approx(right(project, second, rows[3]))


def test_a_kill_before_the_change_of_model_is_written_down_leaves_new_windows_with_the_one_in_use(make: Callable[..., Project]) -> None:
    project = make()
    first, second = ids(project)
    book = folder_of(project) / "in_use.jsonl"
    book.unlink()
    for key, day in ((first, 1), (second, 2)):
        written = book.read_text() if book.is_file() else ""
        use_experiment(project, key, datetime.datetime(2026, 3, day, tzinfo=datetime.UTC))
    book.write_text(written)  # as if it had ended between the model and the book
    batch(project, f"{DAYS[2]}.csv", loans(200, 3))
    watch(project, "2026-03-04T01:00")
    assert found(project)[DAYS[2]].model == second
