"""A service with a canary: its split, its reloads, and the days when something breaks, floods or is killed."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import BAD, NEW, OLD, call, keep_model, roll, serving_project, table

from mlnb.core.errors import MlnbError
from mlnb.core.project import Project
from mlnb.deployment.answering import Settings
from mlnb.deployment.request_stats import arm_stats, request_stats
from mlnb.deployment.rollout import FILE, read_rollout
from mlnb.deployment.router import arm_of
from mlnb.deployment.service import LOG, create_app
from mlnb.evaluation.request_log import read_requests

ROWS = table(120)[["customer", "tenure", "bill"]].to_dict(orient="records")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return serving_project(tmp_path_factory.mktemp("base")).path


@pytest.fixture
def project(base: Path, tmp_path: Path) -> Project:
    shutil.copytree(base, tmp_path / "p")
    return Project(tmp_path / "p")


def logged(project: Project) -> list[dict]:
    return [json.loads(line) for line in (project.path / LOG).read_text().splitlines()]


def test_a_canary_is_split_by_customer_and_what_is_told_logged_and_counted_agrees(project: Project) -> None:
    rollout = roll(project, NEW, 25)
    app = create_app(project)
    answers = call(app, *({"rows": [row], "request_id": f"r-{i}"} for i, row in enumerate(ROWS)))
    assert all(each.status_code == 200 for each in answers)
    expected = [arm_of(rollout, str(row["customer"])) for row in ROWS]
    assert [each.json()["arm"] for each in answers] == expected
    assert [each.json()["model"] for each in answers] == [NEW if arm == "challenger" else OLD for arm in expected]
    lines = logged(project)
    assert [(line["request_id"], line["arm"], line["rows"], line["predictions"]) for line in lines] == [
        (f"r-{i}", arm, [row], each.json()["predictions"]) for i, (arm, row, each) in enumerate(zip(expected, ROWS, answers, strict=True))
    ]
    stats = arm_stats(project.path / LOG)
    assert {arm: stats[arm].requests for arm in ("champion", "challenger")} == Counter(expected) and stats[""].errors == 0
    assert len(read_requests(project.path / LOG)) == len(ROWS)
    shown = call(app, "/metrics")[0].text
    assert f'mlnb_requests_total{{arm="challenger",status="200"}} {expected.count("challenger")}.0' in shown
    assert f'mlnb_model_info{{arm="challenger",model="{NEW}"}} 1.0' in shown and "mlnb_rollout_share_percent 25.0" in shown


def test_the_answer_is_that_of_the_model(project: Project) -> None:
    from mlnb.deployment.served import load_served

    app = create_app(project)
    rows = table()[["tenure", "bill"]].head(50)
    (answer,) = call(app, {"rows": rows.to_dict(orient="records")})
    model = load_served(project, read_rollout(project.path / FILE).champion).model
    shares = model.predict_proba(rows)
    assert [each["probabilities"]["yes"] for each in answer.json()["predictions"]] == pytest.approx(shares[:, 1].tolist())
    assert [each["prediction"] for each in answer.json()["predictions"]] == model.predict(rows).tolist()


def test_without_a_rollout_the_current_experiment_is_served_and_a_new_one_is_followed(project: Project) -> None:
    from mlnb.experiments.files import read_experiment

    (project.path / FILE).unlink()
    with pytest.raises(MlnbError, match="mlnb run training"):
        create_app(project)
    project.save_result("experiment", read_experiment(project, OLD).to_dict())
    app = create_app(project)
    assert call(app, "/ready")[0].json() == {"ready": True, "champion": OLD, "challenger": None, "share": 0, "revision": 0, "problems": []}
    project.save_result("experiment", read_experiment(project, NEW).to_dict())
    app.state.desk.look()
    assert call(app, "/ready")[0].json()["champion"] == NEW


def test_a_model_that_mlflow_took_over_is_found_where_its_experiment_says(project: Project) -> None:
    (project.path / "mlartifacts").mkdir(exist_ok=True)
    (project.path / "results/models" / OLD).rename(project.path / "mlartifacts/model")
    from mlnb.experiments.files import amend_experiment

    amend_experiment(project, OLD, model_file="mlartifacts/model/model.skops")
    assert call(create_app(project), {"rows": [ROWS[0]]})[0].status_code == 200


def test_a_challenger_that_raises_costs_no_answer_and_is_not_asked_for_long(project: Project) -> None:
    roll(project, BAD, 100)
    app = create_app(project, settings=Settings(failures=3))
    answers = call(app, *({"rows": [row]} for row in ROWS[:10]), "/ready", "/metrics")
    assert all(each.status_code == 200 and each.json()["arm"] == "champion" and each.json()["model"] == OLD for each in answers[:10])
    stats = request_stats(project.path / LOG, arm="challenger")
    assert (stats.requests, stats.errors, dict(stats.models)) == (10, 10, {BAD: 10})
    lines = logged(project)
    assert "ValueError" in lines[0]["error"] and "not asked" in lines[9]["error"] and lines[0]["answered_by"] == OLD
    ready, metrics = answers[10].json(), answers[11].text
    assert ready["ready"] and "challenger is not asked" in ready["problems"][0]
    assert 'mlnb_request_errors_total{arm="challenger"} 10.0' in metrics and 'mlnb_circuit_open{arm="challenger"} 1.0' in metrics


def test_a_challenger_that_cannot_be_loaded_leaves_the_champion_and_is_tried_again(project: Project) -> None:
    file = project.path / "results/models" / NEW / "model.skops"
    good = file.read_bytes()
    file.write_bytes(good[:100])
    roll(project, NEW, 100)
    app = create_app(project)
    answer, ready = call(app, {"rows": [ROWS[0]]}, "/ready")
    assert answer.json()["arm"] == "champion" and ready.status_code == 200
    assert ready.json()["challenger"] is None and "cannot be loaded" in ready.json()["problems"][0] and ready.json()["share"] == 0
    assert logged(project)[0]["arm"] == "champion" and not logged(project)[0]["error"]
    file.write_bytes(good)
    app.state.desk.watch.again = 0
    app.state.desk.look()
    answer, ready = call(app, {"rows": [ROWS[0]]}, "/ready")
    assert answer.json()["arm"] == "challenger" and ready.json()["problems"] == []


def test_a_challenger_made_of_unknown_types_or_outside_the_project_does_not_get_in(project: Project, tmp_path: Path) -> None:
    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    keep_model(project, NEW, FunctionTransformer(os.getpid))
    roll(project, NEW, 50)
    assert "not let in" in call(create_app(project), "/ready")[0].json()["problems"][0]
    (tmp_path / "outside").mkdir()
    skops.io.dump(FunctionTransformer(), tmp_path / "outside/model.skops")
    shutil.rmtree(project.path / "results/models" / NEW)
    (project.path / "results/models" / NEW).symlink_to(tmp_path / "outside")
    assert "outside the project" in call(create_app(project), "/ready")[0].json()["problems"][0]


@pytest.mark.parametrize("content", ["", "{", '{"revision": 2}', json.dumps({"champion": {"name": "EXP-9", "model": "x"}, "since": "2026-11-27T02:00:00+00:00"})])
def test_a_rollout_that_cannot_be_followed_changes_nothing(project: Project, content: str) -> None:
    roll(project, NEW, 100)
    app = create_app(project)
    (project.path / FILE).write_text(content)
    app.state.desk.look()
    answer, ready = call(app, {"rows": [ROWS[0]]}, "/ready")
    assert answer.json()["model"] == NEW and ready.json()["ready"] and "not followed" in ready.json()["problems"][0]
    (project.path / FILE).unlink()
    roll(project, None, 0, champion=NEW)
    app.state.desk.look()
    assert call(app, "/ready")[0].json() | {"revision": 0} == {"ready": True, "champion": NEW, "challenger": None, "share": 0, "revision": 0, "problems": []}


class Slow:
    """A model that takes its time, or raises."""

    def __init__(self, model: Any, seconds: float = 0.0, error: Exception | None = None) -> None:
        self.model, self.seconds, self.error, self.gate = model, seconds, error, threading.Event()

    def predict_proba(self, frame: Any) -> Any:
        self.gate.wait(self.seconds)
        if self.error:
            raise self.error
        return self.model.predict_proba(frame)


def slowed(app: Any, arm: str, **how: Any) -> Slow:
    served = getattr(app.state.desk.watch.serving, arm)
    object.__setattr__(served, "model", Slow(served.model, **how))
    return served.model


def test_a_challenger_that_hangs_is_helped_out_within_the_time_of_the_request(project: Project) -> None:
    roll(project, NEW, 100)
    app = create_app(project, settings=Settings(timeout=0.4, failures=2))
    slow = slowed(app, "challenger", seconds=30)
    answers = call(app, *({"rows": [row]} for row in ROWS[:4]))
    slow.gate.set()
    assert all(each.status_code == 200 and each.json()["arm"] == "champion" for each in answers)
    errors = [line["error"] for line in logged(project)]
    assert "no answer within 0.2 s" in errors[0] and "not asked" in errors[3]


def test_a_champion_that_fails_is_stood_in_for_by_its_rule_and_without_one_the_client_comes_again(project: Project) -> None:
    app = create_app(project, settings=Settings(failures=2))
    slowed(app, "champion", error=RuntimeError("a secret of /the/inside"))
    rows = [{"tenure": 10, "bill": 1}, {"tenure": 60, "bill": 1}]
    first, *_, ready = call(app, {"rows": rows}, {"rows": rows}, {"rows": rows}, "/ready")
    assert first.status_code == 200 and first.json()["arm"] == first.json()["model"] == "rule"
    assert [each["prediction"] for each in first.json()["predictions"]] == ["no", "yes"]
    assert ready.status_code == 200 and request_stats(project.path / LOG).errors == 3
    object.__setattr__(app.state.desk.watch.serving.champion, "rule", None)
    answer, ready = call(app, {"rows": rows}, "/ready")
    assert answer.status_code == 503 and "secret" not in answer.text and int(answer.headers["retry-after"]) >= 1
    assert ready.status_code == 503 and not ready.json()["ready"]
    assert logged(project)[-1]["status"] == 503 and logged(project)[-1]["predictions"] is None


def test_a_champion_that_hangs_is_given_up_with_504_and_the_queue_behind_it_is_short(project: Project) -> None:
    app = create_app(project, settings=Settings(timeout=0.3, threads=1, waiting=2, failures=100))
    object.__setattr__(app.state.desk.watch.serving.champion, "rule", None)
    slow = slowed(app, "champion", seconds=30)

    async def flood() -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            found = await asyncio.gather(*(client.post("/predict", json={"rows": [row]}) for row in ROWS[:12]))
            return [each.status_code for each in found]

    codes = Counter(asyncio.run(flood()))
    slow.gate.set()
    assert set(codes) == {503, 504} and codes[504] <= 3 and codes[503] >= 9


def test_a_flood_is_refused_and_told_when_to_come_again(project: Project) -> None:
    app = create_app(project, settings=Settings(rate=5, burst=10))
    answers = call(app, *({"rows": [row]} for row in ROWS[:40]))
    codes = Counter(each.status_code for each in answers)
    assert codes[200] >= 10 and codes[429] >= 10 and set(codes) == {200, 429}
    refused = next(each for each in answers if each.status_code == 429)
    assert int(refused.headers["retry-after"]) >= 1 and "a second" in refused.json()["detail"]
    assert request_stats(project.path / LOG).requests == codes[200]
    assert f'mlnb_requests_total{{arm="none",status="429"}} {codes[429]}.0' in call(app, "/metrics")[0].text


def test_what_is_too_large_is_refused_before_it_is_read(project: Project) -> None:
    app = create_app(project, settings=Settings(most_bytes=10_000, most_rows=5))
    sent = []

    async def endless() -> Any:
        for _ in range(1000):
            sent.append(1)
            yield b" " * 1000

    declared, streamed, many = call(app, b"x" * 20_000, endless(), {"rows": ROWS[:6]})
    assert [each.status_code for each in (declared, streamed, many)] == [413] * 3 and "in parts" in declared.json()["detail"]
    assert not (project.path / LOG).read_text()


@pytest.mark.parametrize(
    "body, status, words",
    [
        (b"no json", 400, "no JSON"),
        ({"row": []}, 422, "list of rows"),
        ({"rows": [{"tenure": 1}]}, 422, "lacks bill"),
        ({"rows": [{"tenure": "long", "bill": 1}]}, 422, "no number"),
        ({"rows": [{"tenure": [1], "bill": 1}]}, 422, "a list"),
        ({"rows": [{"tenur": 1, "bill": 1}]}, 422, "Did you mean"),
        ({"rows": [ROWS[0]], "request_id": "a b"}, 422, "request_id"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(project: Project, body: Any, status: int, words: str) -> None:
    roll(project, NEW, 100)
    (answer,) = call(create_app(project), body)
    assert answer.status_code == status and words in answer.json()["detail"]
    assert not re.search(r"Traceback|File \"|/work/|/tmp/|\.py", answer.text)


def test_an_accident_inside_is_not_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_app(project)
    monkeypatch.setattr(app.state.desk.metrics, "seen", lambda *_: 1 / 0)
    (answer,) = call(app, {"rows": [ROWS[0]]})
    assert answer.status_code == 500 and answer.json() == {"detail": "Something went wrong inside the service."}


def test_a_log_that_takes_nothing_costs_no_answer_and_is_said(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_app(project)
    monkeypatch.setattr(app.state.desk.writer, "_follow", lambda: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    answer, ready, metrics = call(app, {"rows": [ROWS[0]]}, "/ready", "/metrics")
    assert answer.status_code == 200 and "could not be logged" in ready.json()["problems"][0] and "mlnb_log_lost_lines 1.0" in metrics.text


def test_its_addresses_are_described(project: Project) -> None:
    found = call(create_app(project), "/openapi.json", "/health", "/docs")
    schema = found[0].json()["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"]["rows"]["items"]["required"] == ["tenure", "bill"]
    assert found[1].json() == {"status": "ok"} and found[2].status_code == 404


# ----------------------------------------------------------------------------------------------- a process of its own


class Running:
    """`mlnb serve` as a process."""

    def __init__(self, project: Project, *options: str) -> None:
        command = [sys.executable, "-c", "from mlnb.cli import main; main()", "serve", str(project.path), "--port", "0", "--json", *options]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        assert self.process.stderr is not None
        said = []
        for line in self.process.stderr:
            said.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                self.url = found[0]
                break
        else:
            raise AssertionError("".join(said))
        self.client = httpx.Client(base_url=self.url, trust_env=False, timeout=30)

    def end(self) -> tuple[int, str]:
        out, _ = self.process.communicate(timeout=60)
        return self.process.returncode, out


@pytest.fixture
def running(project: Project) -> Iterator[Any]:
    started: list[Running] = []

    def start(*options: str) -> Running:
        started.append(Running(project, *options))
        return started[-1]

    yield start
    for each in started:
        each.client.close()
        if each.process.poll() is None:
            each.process.kill()
        each.process.communicate(timeout=60)


def until(true: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


def test_a_rollout_is_followed_under_load_and_no_request_is_lost_to_it_or_to_the_end(project: Project, running: Any) -> None:
    """Shares 0, 5, 100, 0 while requests come; then SIGTERM while they still come, and one body is on its way."""
    service, stop = running(), threading.Event()

    def parts() -> Iterator[bytes]:
        body = json.dumps({"rows": [ROWS[0]], "request_id": "last"}).encode()
        yield body[:10]
        time.sleep(0.3)
        ending.set()
        service.process.send_signal(signal.SIGTERM)
        time.sleep(0.7)
        yield body[10:]

    answers: list[tuple[str, int, str]] = []
    broken: list[str] = []

    def fire(who: int) -> None:
        with httpx.Client(base_url=service.url, trust_env=False, timeout=30) as client:
            for i in range(100_000):
                if stop.is_set():
                    return
                try:
                    found = client.post("/predict", json={"rows": [ROWS[i % len(ROWS)]], "request_id": f"{who}-{i}"})
                    answers.append((f"{who}-{i}", found.status_code, found.json().get("arm", "")))
                except httpx.TransportError as error:  # only the end of the service may cause it
                    broken.append(f"{type(error).__name__} {ending.is_set()}")
                    return

    ending = threading.Event()
    threads = [threading.Thread(target=fire, args=(who,)) for who in range(3)]
    for each in threads:
        each.start()
    for share in (5, 100, 0):
        rollout = roll(project, NEW, share)
        until(lambda rollout=rollout: service.client.get("/ready").json()["revision"] == rollout.revision)
        n = len(answers)
        until(lambda n=n: len(answers) > n + 25 or broken)
    last = service.client.post("/predict", content=parts())
    code, out = service.end()
    stop.set()
    assert last.status_code == 200
    answers.append(("last", last.status_code, last.json()["arm"]))
    for each in threads:
        each.join(60)
    assert code == 0 and all(each.endswith("True") for each in broken)
    assert all(status == 200 for _, status, _ in answers)
    arms = [arm for _, _, arm in answers]
    assert {"champion", "challenger"} == set(arms) and arms[0] == "champion"
    told, lines = {who for who, _, _ in answers}, {line["request_id"]: line for line in logged(project)}
    assert told <= set(lines) and len(lines) == len(logged(project))
    assert json.loads(out)["requests"] == len(lines) and json.loads(out)["errors"] == 0
    assert not {arm for who, _, arm in answers if lines[who]["arm"] != arm}


def test_a_kill_leaves_whole_lines_and_the_next_service_goes_on(project: Project, running: Any) -> None:
    service = running()
    told = []

    def fire() -> None:
        with httpx.Client(base_url=service.url, trust_env=False, timeout=30) as client:
            for i in range(100_000):
                try:
                    told.append(client.post("/predict", json={"rows": ROWS[:20], "request_id": str(i)}).json()["request_id"])
                except httpx.TransportError:
                    return

    thread = threading.Thread(target=fire)
    thread.start()
    until(lambda: len(told) > 20)
    service.process.kill()
    service.process.communicate(timeout=60)
    thread.join(60)
    content = (project.path / LOG).read_bytes()
    *whole, last = content.split(b"\n")
    ids = [json.loads(line)["request_id"] for line in whole]
    assert set(told) <= set(ids) and len(ids) <= len(told) + 1 and last == b""
    (project.path / LOG).write_bytes(content + b'{"request_id": "torn')  # what a crash of the machine may leave
    assert call(create_app(project), {"rows": ROWS[:1], "request_id": "after"})[0].status_code == 200
    stats = request_stats(project.path / LOG)
    assert stats.requests == len(ids) + 1 and "cannot be read: 1" in stats.problems[0]


def test_serve_says_what_is_wrong_before_it_serves(project: Project, running: Any) -> None:
    from typer.testing import CliRunner

    from mlnb.cli_serve import commands
    from mlnb.deployment.run_service import listen

    with listen(port=0) as taken:
        port = taken.getsockname()[1]
        found = CliRunner().invoke(commands, [str(project.path), "--port", str(port), "--json"])
        assert found.exit_code == 2 and "Cannot listen" in json.loads(found.stdout)["error"]
    for options, words in ((["--log", "requests.txt"], "jsonl"), (["--log", "/proc/x/requests.jsonl"], "Cannot write")):
        found = CliRunner().invoke(commands, [str(project.path), "--json", *options])
        assert found.exit_code == 2 and words in json.loads(found.stdout)["error"]
