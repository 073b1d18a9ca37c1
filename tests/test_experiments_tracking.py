"""Experiments on record: with real processes, a real tracking server that comes and goes, kills, and clocks that go backwards."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_core_forms import buttons, controls, texts
from test_experiments import ASKED, project, table
from typer.testing import CliRunner

from mlnb.cli import app
from mlnb.core.errors import InputError, MissingError, MlnbError
from mlnb.core.project import Project
from mlnb.core.project_config import save_config
from mlnb.experiments.files import amend_experiment, folder_of, read_experiment, read_experiments, run_lock
from mlnb.experiments.identity import next_id
from mlnb.experiments.lifecycle import begin
from mlnb.experiments.panel import ExperimentsPanel
from mlnb.experiments.parallel import parallel
from mlnb.experiments.reproduction import reproduce
from mlnb.experiments.runs import Runs, row_of, runs
from mlnb.experiments.runs_compare import compare_runs
from mlnb.experiments.server import fetch
from mlnb.experiments.store import Run, log_run, reachable
from mlnb.experiments.sync import pending, sync
from mlnb.experiments.tracking import Experiment, current_experiment
from mlnb.experiments.training import train
from mlnb.experiments.verdicts import overrule

DAY = 1772359203.0  # 2026-03-01
TRAP = "<img src=x onerror=alert(1)>"


def bare(folder: Path, **options: object) -> Project:
    """A project in which nothing has to be trained."""
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame({"tenure": [1, 2], "left": [0, 1]}).to_csv(folder / "t.csv", index=False)
    return Project.create(folder / "p", folder / "t.csv", target="left", **options)


def finished(made: Project, f1: float = 0.6, depth: int = 4, now: float = DAY) -> Experiment:
    """An experiment that went its whole way but trained nothing."""
    with begin(made, ASKED, seed=7, now=now) as run:
        e = run.record(metrics={"primary": {"f1": f1}, "secondary": {"roc_auc": 0.8}}, hyperparameters={"max_depth": depth}, dataset_version="2f0c" * 8,
                       verdict="promoted", computed_verdict="promoted", comparison={"folds": {"model": [0.5, None, 0.7]}})
        run.keep("oof.parquet", b"answers")
        return run.finish(dataclasses.replace(e, ended="2026-03-01T10:03:00+00:00"))


def there(made: Project) -> list[Any]:
    """The runs that MLflow has of a project; other tests have theirs on the same server."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=made.tracking_uri)
    return client.search_runs([e.experiment_id for e in client.search_experiments() if e.name == (made.config.name or made.path.name)])


def steps(made: Project, run: Any, name: str) -> list[tuple[int, float]]:
    from mlflow import MlflowClient

    return [(m.step, m.value) for m in MlflowClient(tracking_uri=made.tracking_uri).get_metric_history(run.info.run_id, name)]


# ---- ids ----


def test_processes_that_begin_at_once_get_numbers_and_counts_of_their_own(tmp_path: Path) -> None:
    code = "import sys; from mlnb.experiments.identity import next_id\nfor i in range(12): print(next_id(sys.argv[1], f'2026-03-0{1 + i % 2}'))"
    processes = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    found = [name for process in processes for name in process.communicate(timeout=120)[0].split()]
    assert len(found) == len(set(found)) == 48
    assert sorted(json.loads(path.read_text())["number"] for path in tmp_path.glob("EXP-*.json")) == list(range(1, 49))


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(["2026-03-01", "2026-03-02", "2025-12-31"]), st.booleans()), max_size=14))
def test_no_number_is_given_twice_whatever_the_clock_says_and_whatever_is_deleted(steps: list[tuple[str, bool]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        given: list[str] = []
        for day, delete in steps:
            given.append(next_id(folder, day))
            if delete:
                Path(folder, f"{given[-1]}.json").unlink()
        assert len(given) == len(set(given))


def test_a_torn_count_is_counted_again(tmp_path: Path) -> None:
    first = next_id(tmp_path, "2026-03-01")
    (tmp_path / ".given.json").write_text("{")
    assert next_id(tmp_path, "2026-03-01") != first
    assert next_id(tmp_path, "2026-03-01", taken=["EXP-2026-03-01-040", "nonsense"]) == "EXP-2026-03-01-041"


def test_where_the_clock_was_set_back_later_runs_stay_later_and_none_ends_before_it_began(tmp_path: Path) -> None:
    made = bare(tmp_path)
    ids = [finished(made, now=now).id for now in (DAY, DAY - 3 * 86400, DAY)]
    assert ids == ["EXP-2026-03-01-001", "EXP-2026-02-26-001", "EXP-2026-03-01-002"]
    assert [e.id for e in runs(made).items] == ids[::-1]
    with begin(made, ASKED, now=DAY) as run:  # the clock goes back in the middle of it
        e = run.finish(dataclasses.replace(read_experiment(made, run.id), ended="2026-02-20T00:00:00+00:00"))
    assert e.ended >= e.created and all(r.info.end_time >= r.info.start_time for r in there(made))


# ---- from begun to over ----


def test_a_run_is_in_mlflow_with_its_question_before_it_is_trained(tmp_path: Path) -> None:
    made = bare(tmp_path)
    with begin(made, ASKED, seed=3, now=DAY) as run:
        run.record(True, dataset_version="2f0c" * 8)
        now = there(made)[0]
        assert (now.info.status, now.data.tags["mlnb.hypothesis"], now.data.tags["mlnb.id"]) == ("RUNNING", ASKED, run.id)
        assert read_experiment(made, run.id).status == "running"
        run.finish(read_experiment(made, run.id))
    assert [r.info.status for r in there(made)] == ["FINISHED"]


def test_what_stops_a_run_is_kept_and_raised(tmp_path: Path) -> None:
    made = bare(tmp_path)
    with pytest.raises(ZeroDivisionError), begin(made, ASKED, now=DAY):
        1 / 0  # noqa: B018
    with pytest.raises(KeyboardInterrupt), begin(made, ASKED, now=DAY) as run:
        run.record(rows=5)
        raise KeyboardInterrupt
    with begin(made, ASKED, now=DAY):
        pass
    assert [(e.status, e.rows) for e in read_experiments(made)] == [("failed", 0), ("killed", 5), ("failed", 0)]
    assert "ZeroDivisionError" in read_experiments(made)[2].error
    with pytest.raises(InputError, match="hypothesis"), begin(made, "try", now=DAY):
        pass
    assert len(read_experiments(made)) == 3, "without a question there is no experiment"


def _killed(made: Project, body: str) -> str:
    """Begin an experiment in another process and kill it when it has said that it is ready."""
    code = f"import sys, time\nfrom mlnb.core.project import Project\nfrom mlnb.experiments.lifecycle import begin\nmade = Project(sys.argv[1])\n" \
           f"with begin(made, {ASKED!r}, now={DAY}) as run:\n    {body}\n    print(run.id, flush=True)\n    time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", code, str(made.path)], stdout=subprocess.PIPE, text=True)
    with process:
        key = process.stdout.readline().strip()
        assert read_experiment(made, key).status == "running", "as long as its process is there"
        process.kill()
    return key


def test_a_kill_in_the_middle_is_found_out_and_nothing_recorded_is_lost(tmp_path: Path) -> None:
    made = bare(tmp_path)
    key = _killed(made, "run.record(True, metrics={'primary': {'f1': .61}}, hyperparameters={'max_depth': 4}, rows=640); run.keep('oof.parquet', b'answers')")
    assert there(made)[0].info.status == "RUNNING"
    e = read_experiment(made, key)
    assert (e.status, e.rows, e.metrics["primary"]["f1"], e.hyperparameters) == ("killed", 640, 0.61, {"max_depth": 4}) and "process ended" in e.error
    assert (folder_of(made, key) / "oof.parquet").read_bytes() == b"answers"
    assert sync(made).sent == (key,)
    kept = there(made)
    assert [r.info.status for r in kept] == ["KILLED"] and kept[0].data.metrics["cv f1"] == 0.61 and kept[0].data.params["max_depth"] == "4"
    assert finished(made).id.endswith("002") and not pending(made)


def test_a_real_training_that_is_killed_keeps_what_it_knew(tmp_path: Path) -> None:
    made = project(tmp_path, table().drop(columns=["who", "day"]))
    code = f"import sys, time\nimport mlnb.experiments.training as t\nfrom mlnb.core.project import Project\n" \
           f"def stuck(*_): print('fitted', flush=True); time.sleep(600)\nt.save_model = stuck\nt.train(Project(sys.argv[1]), {ASKED!r}, n_resamples=50)"
    process = subprocess.Popen([sys.executable, "-c", code, str(made.path)], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout.readline().strip() == "fitted"
        process.send_signal(signal.SIGKILL)
    e = runs(made).items[0]
    assert e.status == "killed" and e.metrics["primary"] and e.dataset_version and e.features_used and e.hypothesis == ASKED and e.git_commit is not None
    with pytest.raises(MissingError, match="No model is trained"):
        current_experiment(made)
    with pytest.raises(MissingError, match="carries no model_file"):
        reproduce(e.id, made)
    with pytest.raises(InputError, match="no verdict to overrule"):
        overrule(made, e.id, "promoted", "Ada", "because it would have been")


def test_a_run_of_another_machine_is_unfinished_and_a_torn_file_is_unreadable(tmp_path: Path) -> None:
    made = bare(tmp_path)
    keys = [next_id(folder_of(made), "2026-03-01") for _ in range(3)]
    amend_experiment(made, keys[0], status="running", host="elsewhere", hypothesis=ASKED)
    (folder_of(made) / f"{keys[1]}.json").write_text('{"id": "EXP-2026')
    lock = run_lock(made, keys[2])
    with lock:
        assert {e.id: e.status for e in read_experiments(made)} == dict(zip(keys, ("unfinished", "unreadable", "started"), strict=True))
    assert "begun on elsewhere" in read_experiment(made, keys[0]).error and len(runs(made).frame()) == 3
    assert keys[1] not in sync(made).sent


# ---- the server ----


@dataclasses.dataclass
class Server:
    """`mlflow server` on loopback, over a folder that stays."""

    folder: Path
    port: int
    process: subprocess.Popen | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1",
                   "--backend-store-uri", f"sqlite:///{self.folder}/server.db", "--artifacts-destination", str(self.folder / "artifacts")]
        env = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self.process = subprocess.Popen(command, env=env, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        for _ in range(900):
            with contextlib.suppress(MissingError):
                reachable(self.uri, 1)
                return
            time.sleep(0.1)
        raise AssertionError("the server did not start")

    def stop(self) -> None:
        """End it and its workers: a group of their own that this test has started."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(10)
            self.process = None


def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    from mlnb.experiments.store import prepare_database

    made = Server(tmp_path_factory.mktemp("server"), port())
    prepare_database(f"sqlite:///{made.folder}/server.db")  # saves the server a minute of migrations
    made.start()
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "8")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")


def test_a_server_that_goes_and_comes_back_gets_everything_once(server: Server, tmp_path: Path) -> None:
    made = bare(tmp_path, tracking_uri=server.uri, name="comes and goes")
    first = finished(made, 0.6)
    assert first.run_id and not first.problem
    server.stop()
    second, third = finished(made, 0.61), finished(made, 0.62)
    assert not second.run_id and "does not answer" in second.problem and "mlnb experiments sync" in second.problem
    assert [e.id for e in pending(made)] == [second.id, third.id]
    down = sync(made)
    assert not down.sent and set(down.waiting) == {second.id, third.id} and "kept here only" in down.words
    overrule(made, first.id, "archived", "Ada", "said while nobody listened")
    server.start()
    done = sync(made)
    assert done.sent == (first.id, second.id, third.id) and not done.waiting
    kept = {run.info.run_name: run for run in there(made)}
    assert len(there(made)) == 3 and set(kept) == {first.id, second.id, third.id}
    assert kept[first.id].data.tags["mlnb.verdict"] == "archived" and kept[first.id].data.tags["mlnb.computed_verdict"] == "promoted"
    for run in kept.values():
        assert run.info.status == "FINISHED" and run.data.params["max_depth"] == "4" and steps(made, run, "model f1 by fold") == [(0, 0.5), (2, 0.7)]
        assert len(run.inputs.dataset_inputs) == 1
    assert sync(made).sent == () and len(there(made)) == 3 and not read_experiment(made, second.id).problem
    assert finished(made).number == 4


def test_a_run_that_breaks_off_halfway_is_completed_and_not_doubled(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    made = bare(tmp_path, tracking_uri=server.uri, name="breaks off")
    for place, name in enumerate(("create_run", "log_batch", "log_dict", "log_artifact", "set_terminated")):
        real = getattr(MlflowClient, name)

        def broken(*given: Any, real: Any = real, **named: Any) -> Any:
            real(*given, **named)  # the server has done it, and the answer is lost
            raise ConnectionError("the line broke")

        monkeypatch.setattr(MlflowClient, name, broken)
        e = finished(made, 0.5 + place / 100)
        assert "the line broke" in e.problem and pending(made)[-1].id == e.id, name
        monkeypatch.setattr(MlflowClient, name, real)
        assert sync(made).sent == (e.id,), name
    kept = there(made)
    assert sorted(run.info.run_name for run in kept) == sorted(e.id for e in read_experiments(made)) and len(kept) == 5
    assert all(run.info.status == "FINISHED" and steps(made, run, "cv f1")[0][0] == 0 and len(steps(made, run, "cv f1")) == 1 for run in kept)


def test_a_server_that_loses_its_memory_gets_the_runs_again_but_not_those_a_person_deleted(server: Server, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    made = bare(tmp_path, tracking_uri=server.uri, name="forgets")
    kept, gone = finished(made), finished(made)
    client = MlflowClient(tracking_uri=server.uri)
    client.delete_run(gone.run_id)
    assert sync(made).sent == () and len([r for r in there(made) if r.info.run_name in (kept.id, gone.id) and r.data.tags["mlnb.uid"] in (kept.uid, gone.uid)]) == 1
    save_config(made.path, made.config.model_copy(update={"name": "somewhere new"}))  # the same address, where nobody knows them
    assert not pending(made) and sync(Project(made.path)).sent == (kept.id, gone.id)


def test_another_copy_of_the_project_takes_no_number_that_is_used_on_the_server(server: Server, tmp_path: Path) -> None:
    one, two = (bare(tmp_path / name, tracking_uri=server.uri, name="two copies") for name in "ab")
    first, second = finished(one), finished(two)
    assert (first.id, second.id) == ("EXP-2026-03-01-001", "EXP-2026-03-01-002") and len(there(one)) >= 2
    brought = fetch(two, first.id)
    assert brought.metrics == first.metrics and brought.uid == first.uid and (folder_of(two, first.id) / "oof.parquet").read_bytes() == b"answers"
    assert sync(two).sent == () or len({r.info.run_id for r in there(two) if r.data.tags.get("mlnb.uid") == first.uid}) == 1


def _silent(answer: bytes = b"") -> tuple[socket.socket, str]:
    """A server that takes connections and says nothing, or one thing to everybody."""
    door = socket.socket()
    door.bind(("127.0.0.1", 0))
    door.listen(50)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = door.accept()
                if answer:
                    line.recv(65536)
                    line.sendall(answer)
                    line.close()

    threading.Thread(target=serve, daemon=True).start()
    return door, f"http://127.0.0.1:{door.getsockname()[1]}"


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", b"no HTTP at all\r\n\r\n"])
def test_a_server_that_hangs_or_talks_nonsense_costs_seconds_and_no_result(tmp_path: Path, answer: bytes) -> None:
    door, uri = _silent(answer)
    made = bare(tmp_path, tracking_uri=uri)
    e = finished(made)
    door.close()
    assert e.problem and not e.run_id and e.status == "finished" and current_experiment(made).id == e.id
    assert made.record("experiment").id == e.id


def test_passwords_in_an_address_are_not_shown(tmp_path: Path) -> None:
    made = bare(tmp_path, tracking_uri="http://ada:secret@127.0.0.1:9")
    e = finished(made)
    assert "secret" not in json.dumps(e.to_dict()) + e.problem
    save_config(made.path, made.config.model_copy(update={"tracking_uri": ""}))
    sync(Project(made.path))
    assert "secret" not in "".join(path.read_text() for path in folder_of(made).rglob("*.json"))


def test_copies_that_a_broken_connection_left_are_removed(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    run = Run("EXP-2026-03-01-001", "7c1e", {f"p{i}": i for i in range(250)}, {f"m{i}": [0.1, 0.2] for i in range(120)})
    key, _ = log_run(uri, "churn", run, tmp_path / "a")
    client = MlflowClient(tracking_uri=uri)
    place = client.get_run(key).info.experiment_id
    client.create_run(place, tags={"mlnb.uid": "7c1e"})
    again, _ = log_run(uri, "churn", run, tmp_path / "a")
    kept = client.search_runs([place])
    assert again == key and [r.info.run_id for r in kept] == [key] and len(kept[0].data.params) == 250 and len(kept[0].data.metrics) == 120
    client.delete_run(key)
    with pytest.raises(MissingError, match="stays deleted"):
        log_run(uri, "churn", run, tmp_path / "a")


# ---- verdicts, tables, comparisons, reruns ----


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Experiment, Experiment]:
    """Two trainings of one project that differ in depth and rate."""
    from sklearn.base import clone

    from mlnb.experiments.training import load_model

    made = project(tmp_path_factory.mktemp("trained"), table().drop(columns=["day"]), entity="who", protected=("gender",))
    first = train(made, ASKED, n_resamples=200, random_state=3).experiment
    shallow = clone(load_model(made))
    inner = getattr(shallow[-1], "estimator", shallow[-1])
    inner.set_params(max_depth=1, n_estimators=2)
    return made, first, train(made, f"Two stumps are enough {TRAP}", pipeline=shallow, n_resamples=200, random_state=3).experiment


@pytest.fixture
def copy(trained: tuple[Project, Experiment, Experiment], tmp_path: Path) -> Project:
    """A copy of it that may be changed."""
    folder = trained[0].path.parent
    shutil.copytree(folder, tmp_path / "x")
    return Project(tmp_path / "x" / "p")


def test_a_run_carries_every_field_of_the_template(trained: tuple[Project, Experiment, Experiment]) -> None:
    made, e, _ = trained
    run = next(r for r in there(made) if r.info.run_name == e.id)
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=made.tracking_uri)
    names = {f.path for f in client.list_artifacts(run.info.run_id)}
    assert {"experiment.json", "packages.json", "findings.json", "oof.parquet", "confusion_matrix.png", "confusion_matrix.json", "model"} <= names
    kept = json.loads(Path(client.download_artifacts(run.info.run_id, "experiment.json")).read_text())
    assert re.fullmatch(r"EXP-\d{4}-\d\d-\d\d-\d{3}", kept["id"])
    for name in ("hypothesis", "dataset_version", "features_used", "model_type", "hyperparameters", "training_time", "baseline_comparison", "verdict", "packages", "settings"):
        assert kept[name], name
    assert kept["metrics"]["primary"] and kept["metrics"]["secondary"] and kept["seed"] == 3 and kept["artifacts"]["model_path"] and kept["artifacts"]["confusion_matrix"]
    assert (made.path / e.artifacts["confusion_matrix"]).read_bytes()[:4] == b"\x89PNG" and (made.path / e.artifacts["model_path"]).is_file()


def test_a_person_overrules_with_a_reason_and_both_verdicts_are_visible(copy: Project) -> None:
    e = current_experiment(copy)
    for words in (("promoted", "", "why not"), ("promoted", "Ada", " "), ("promote", "Ada", "because")):
        with pytest.raises(InputError):
            overrule(copy, e.id, *words)
    made = overrule(copy, e.id, "promoted" if e.verdict != "promoted" else "archived", "Ada", f"the board wants it {TRAP}")
    for shown in (copy.record("experiment"), current_experiment(copy), read_experiment(copy, e.id)):
        assert (shown.verdict, shown.computed_verdict, shown.verdict_by) == (made.verdict, e.verdict, "Ada")
    said = copy.findings().get("EXP-RECORD")
    assert f"{made.verdict} (by Ada" in said.message and f"computed: {e.verdict}" in said.message
    html = runs(copy)._repr_html_()
    assert "✎" in html and TRAP not in html
    assert overrule(copy, e.id).verdict == e.verdict and not read_experiment(copy, e.id).verdict_by


def test_two_runs_are_told_apart_row_by_row(trained: tuple[Project, Experiment, Experiment]) -> None:
    from sklearn.metrics import roc_auc_score

    made, first, second = trained
    found = compare_runs(made, first.id, second.id, n_resamples=300)
    auc = next(m for m in found.metrics if m["metric"] == "roc_auc")
    assert found.paired and "drawn by entity" in found.words and auc["low"] <= auc["difference"] <= auc["high"]
    for side, e in (("a", first), ("b", second)):
        kept = pd.read_parquet(folder_of(made, e.id) / "oof.parquet")
        assert auc[side] == pytest.approx(roc_auc_score(kept["truth"] == e.positive, kept[f"p({e.positive})"]), abs=1e-9)
        assert auc[side] == pytest.approx(e.metrics["secondary"]["roc_auc"], abs=1e-4)
    assert auc["better"] == "a"
    changed = {f.name for f in found.differing}
    assert {"max_depth", "n_estimators", "hypothesis"} <= changed and not changed & {"seed", "dataset_version", "features", "python", "numpy"}
    assert compare_runs(made, first.id, first.id, n_resamples=50).metrics[0]["difference"] == 0
    assert TRAP not in found._repr_html_()


def test_runs_on_other_rows_get_wider_intervals_and_others_none(copy: Project) -> None:
    second, first = (e.id for e in read_experiments(copy))
    shutil.copy(folder_of(copy, first) / "oof.parquet", folder_of(copy, second) / "oof.parquet")  # the same answers, so pairing takes all chance away
    paired = compare_runs(copy, first, second, 200)
    amend_experiment(copy, second, dataset_version="another")
    loose = compare_runs(copy, first, second, 200)
    width = [next(m["high"] - m["low"] for m in found.metrics if m["metric"] == "roc_auc") for found in (paired, loose)]
    assert not loose.paired and width[0] == 0 and width[1] > 0.01 and "Not the same rows" in loose.words and "drawn by entity" in loose.words
    amend_experiment(copy, second, task="regression")
    assert "predict different things" in compare_runs(copy, first, second).words
    (folder_of(copy, second) / "oof.parquet").unlink()
    assert f"{second} kept no answers" in compare_runs(copy, first, second).words


def test_a_rerun_comes_to_the_same_though_the_project_says_something_else_by_now(copy: Project) -> None:
    e = read_experiments(copy)[1]
    changed = copy.config.model_copy(update={"exclude": ("income",), "entity": "", "positive": "no", "protected": ()})
    save_config(copy.path, changed)
    found = reproduce(e.id, copy.path)
    assert found.same and found.answers["largest"] == 0 and not found.other and not found.packages and set(found.metrics) >= {"f1", "roc_auc"}
    assert len(json.loads((folder_of(copy, e.id) / "reproductions.json").read_text())) == 1
    assert [x.id for x in read_experiments(copy)] == [x.id for x in read_experiments(Project(copy.path))] and current_experiment(copy).id != e.id


def test_a_rerun_says_what_differs(copy: Project) -> None:
    e = read_experiments(copy)[1]
    amend_experiment(copy, e.id, packages={**e.packages, "numpy": "1.0.0"}, seed=99)
    found = reproduce(e.id, copy)
    assert not found.same and found.packages == {"numpy": ("1.0.0", e.packages["numpy"])} and "numpy was 1.0.0" in found.words and "was not reproduced" in found.words
    frame = copy.train().frame()
    frame.loc[:40, "income"] = 0
    frame.to_parquet(copy.path / "other.parquet")
    with pytest.raises(InputError, match=r"was trained on data .* allow other data"):
        reproduce(e.id, copy, data=copy.path / "other.parquet")
    other = reproduce(e.id, copy, data=copy.path / "other.parquet", anyway=True)
    assert not other.same and "data" in other.other
    with pytest.raises(MlnbError, match="income"):
        reproduce(e.id, copy, data=frame.drop(columns="income"), anyway=True)
    model = copy.path / e.model_file
    model.write_bytes(model.read_bytes() + b"x")
    with pytest.raises(InputError, match="was changed after training"):
        reproduce(e.id, copy)


def test_a_run_is_rerun_from_what_the_server_has_alone(copy: Project) -> None:
    e = read_experiments(copy)[1]
    (folder_of(copy) / f"{e.id}.json").unlink()
    shutil.rmtree(folder_of(copy, e.id))
    found = reproduce(e.id, copy)
    assert found.same and found.answers["largest"] == 0 and read_experiment(copy, e.id).uid == e.uid


def test_a_project_that_was_moved_writes_nothing_to_its_old_place(copy: Project) -> None:
    from mlflow import MlflowClient

    e = read_experiments(copy)[1]
    moved = shutil.move(copy.path, copy.path.parent / "moved here")
    there_now = Project(moved)
    assert not pending(there_now) and finished(there_now).run_id and not copy.path.exists()
    overrule(there_now, e.id, "archived", "Ada", "after the move")
    assert not copy.path.exists() and there_now.path.joinpath(read_experiment(there_now, e.id).model_file).is_file()
    names = {f.path for f in MlflowClient(tracking_uri=there_now.tracking_uri).list_artifacts(e.run_id)}
    assert "model" in names and reproduce(e.id, there_now).same


def made_run(number: int, **settings: Any) -> Experiment:
    return Experiment(f"EXP-2026-03-01-{number:03d}", f"{ASKED} {TRAP}", "2f0c" * 8, ("tenure",), "XGBClassifier", settings,
                      metrics={"primary": {"f1": number / 1000}}, number=number, status="finished")


@pytest.mark.parametrize(("query", "found"), [
    ("", 9), ("f1>0.004", 5), ("f1 >= 0.004 and max_depth<2", 4), ("booster=DART", 3), ("booster!=dart", 6), ("booster~art", 3), ('hypothesis~"by f1"', 9),
    ("003", 1), ("max_depth=1.0", 3), ("model=xgbclassifier 9", 1), ("status=killed", 0), ("max_depth!=abc", 9), ("max_depth=abc", 0)])
def test_filters(query: str, found: int) -> None:
    some = Runs(tuple(made_run(i, max_depth=i % 3, booster="dart" if i > 6 else "gbtree") for i in range(1, 10)))
    assert len(some.where(query).items) == found


def test_filters_and_orders_that_make_no_sense_are_told() -> None:
    some = Runs((made_run(1, max_depth=3),))
    with pytest.raises(InputError, match="Did you mean 'max_depth'"):
        some.where("max_deth>3")
    with pytest.raises(InputError, match="holds numbers"):
        some.where("f1>high")
    with pytest.raises(InputError, match="to sort by"):
        some.sort("f2")
    assert Runs(()).where("f2>1").sort("f2").items == () and "none yet" in Runs(())._repr_html_()


@settings(max_examples=25)
@pytest.mark.filterwarnings("ignore:Glyph")
@given(st.lists(st.one_of(st.none(), st.booleans(), st.integers(-10**12, 10**12), st.floats(), st.text(max_size=5), st.lists(st.integers(), max_size=2)), max_size=12))
def test_any_setting_can_be_shown_sorted_and_drawn(values: list[Any]) -> None:
    some = Runs(tuple(made_run(i, odd=value) for i, value in enumerate(values)))
    if values and any(v is not None for v in values):
        assert len(some.sort("odd").items) == len(values) if "odd" in some.columns else True
    fig = parallel([made_run(0, odd="$a$ $"), *some.items])
    fig._repr_png_()
    assert len(fig.axes) == 1 and TRAP not in some._repr_html_()


def test_many_runs_are_drawn_from_counts() -> None:
    fig = parallel([made_run(i, max_depth=i % 7, booster="dart" if i % 2 else "gbtree") for i in range(3000)])
    assert len(fig.axes[0].lines) < 800 and "3,000 runs" in fig.axes[0].get_title(loc="left")
    assert row_of(made_run(1, seed=4, f1=2))["param.seed"] == 4 and row_of(made_run(1, seed=4, f1=2))["f1"] == 0.001


# ---- the panel ----


def until(true: Any) -> None:
    for _ in range(2400):
        if true():
            return
        time.sleep(0.025)
    raise AssertionError("it did not come")


def test_widgets_and_state_follow_each_other(copy: Project) -> None:
    second, first = (e.id for e in read_experiments(copy))
    panel = copy.panel("experiments")
    assert isinstance(panel, ExperimentsPanel)
    named, state = controls(panel.widget), panel.state
    named["Filter"].value = "max_depth>1"
    assert [e.id for e in state.shown.items] == [first]
    assert texts(panel.widget).count("Two stumps") < texts(copy.panel("experiments").widget).count("Two stumps")
    state.query = ""
    assert named["Filter"].value == "" and len(state.shown.items) == 2
    named["Filter"].value = "max_deth>1"
    assert "Did you mean &#x27;max_depth&#x27;?" in texts(panel.widget) and len(state.shown.items) == 2, "a filter that makes no sense changes nothing"
    named["Filter"].value = ""
    named["Sort by"].value = "f1"
    assert state.order == "f1" and state.shown.items[0].id == first
    state.order = "newest first"
    assert named["Sort by"].value == "newest first" and state.shown.items[0].id == second
    named["Experiment"].value = first
    assert state.first == first and TRAP not in texts(panel.widget)
    named["Compare with"].value = second
    until(lambda: state.comparison is not None and not state.running)
    assert "Row by row on the same" in texts(panel.widget) and "Row by row on the same" in panel._repr_html_()
    state.first = second
    assert named["Experiment"].value == second and state.comparison is None
    assert TRAP not in panel._repr_html_() + texts(panel.widget)


def test_the_panel_takes_over_what_happens_on_disk(copy: Project) -> None:
    panel = copy.panel("experiments")
    shown = panel.widget
    with begin(copy, ASKED, now=DAY) as run:
        panel.look()
        assert "1 running" in texts(shown) and run.id in controls(shown)["Experiment"].options
    panel.look()
    assert "1 failed" in texts(shown) and panel.state.first != run.id, "what a person looks at stays"
    amend_experiment(copy, panel.state.first, hypothesis="put better by somebody else")
    panel.look()
    assert "put better by somebody else" in texts(shown)


def test_a_verdict_in_the_panel_needs_a_name_and_a_reason(copy: Project) -> None:
    panel = copy.panel("experiments")
    named, act = controls(panel.widget), buttons(panel.widget)
    act["Keep verdict"].click()
    assert "Choose a verdict." in texts(panel.widget)
    named["Verdict"].value = "promoted"
    act["Keep verdict"].click()
    assert "Who decides?" in texts(panel.widget) and not read_experiment(copy, panel.state.first).verdict_by
    named["Who decides"].value, named["Reason for the verdict"].value = "Ada", f"so it was decided {TRAP}"
    act["Keep verdict"].click()
    kept = read_experiment(copy, panel.state.first)
    assert (kept.verdict, kept.verdict_by) == ("promoted", "Ada") and "overruled by Ada" in texts(panel.widget) and TRAP not in texts(panel.widget)


def test_a_rerun_in_the_panel_can_be_stopped(copy: Project) -> None:
    state = copy.panel("experiments").state
    threading.Thread(target=state.reproduce, daemon=True).start()
    until(lambda: state._process is not None)
    state.cancel()
    until(lambda: not state.running)
    assert state.doing == "The rerun was stopped; nothing of it is kept." and state.again is None
    state.reproduce()
    assert state.again.same and "was reproduced" in state.doing
    state.send()
    assert "experiments are in MLflow" in state.doing


def test_nothing_to_browse_is_no_error(tmp_path: Path) -> None:
    panel = bare(tmp_path).panel("experiments")
    assert "0 of 0 experiments" in texts(panel.widget) and "No experiment is chosen" in panel._repr_html_()
    panel.state.compare()
    panel.state.reproduce()
    assert panel.state.decide("promoted", "Ada", "because")[""].startswith("There is no experiment")


# ---- commands ----


def invoke(*words: str) -> tuple[int, Any]:
    found = CliRunner().invoke(app, ["experiments", *words, "--json"])
    return found.exit_code, json.loads(found.stdout)


def test_commands(copy: Project) -> None:
    where = ("--project", str(copy.path))
    second, first = (e.id for e in read_experiments(copy))
    code, found = invoke("list", "--where", "max_depth>1", *where)
    assert code == 0 and [e["id"] for e in found["experiments"]] == [first] and found["total"] == 1
    assert invoke("list", "--where", "nothing>1", *where)[0] == 2
    assert invoke("show", first, *where)[1]["experiment"]["id"] == first and invoke("show", "EXP-1", *where)[0] == 2
    code, found = invoke("compare", first, second, "--resamples", "100", *where)
    assert code == 0 and found["paired"] and any(f["field"] == "max_depth" and not f["same"] for f in found["fields"])
    code, found = invoke("reproduce", first, *where)
    assert (code, found["same"]) == (0, True)
    amend_experiment(copy, first, seed=98)
    assert invoke("reproduce", first, *where)[0] == 1
    code, found = invoke("verdict", first, "archived", "--by", "Ada", "--why", "a column goes away", *where)
    assert (code, found["verdict"], found["by"]) == (0, "archived", "Ada") and invoke("verdict", first, "archived", *where)[0] == 2
    assert invoke("sync", *where)[0] == 0
    save_config(copy.path, copy.config.model_copy(update={"tracking_uri": "http://127.0.0.1:9"}))
    code, found = invoke("sync", *where)
    assert code == 1 and set(found["waiting"]) == {first, second}


def test_the_finding_says_where_a_run_is_kept_and_passes_once_it_is_sent(tmp_path: Path) -> None:
    made = project(tmp_path, table().drop(columns=["who", "day"]), tracking_uri="http://127.0.0.1:9")
    done = train(made, ASKED, n_resamples=50)
    assert done.findings.get("EXP-RECORD").status == "warn" and "kept in the project only" in done.findings.get("EXP-RECORD").message
    assert "not in MLflow" in done._repr_html_()
    save_config(made.path, made.config.model_copy(update={"tracking_uri": ""}))
    back = Project(made.path)
    assert sync(back).sent == (done.experiment.id,)
    assert back.findings().get("EXP-RECORD").status == "pass" and current_experiment(back).run_id
    from mlnb.experiments.training import load_model

    assert len(load_model(back).predict(back.train().frame().head(3))) == 3 and "mlartifacts" in current_experiment(back).model_file


