"""`mlnb monitor --every`, as a process: it ends when it is asked to, leaves nothing behind, and tells Prometheus meanwhile."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from watched import batch, copied, loans, trained

from mlnb.core.project import Project
from mlnb.monitoring.lens import Lens
from mlnb.monitoring.watch import hold, read_state, watch
from mlnb.monitoring.windows import read_windows

CHILD = """
import pathlib, sys, time
import mlnb.monitoring.watch as module
from mlnb.cli import app
from mlnb.monitoring.lens import Lens

Lens.estimator = None  # has tests of its own
real, gate = module.make_window, pathlib.Path(sys.argv.pop(1))


def make_window(*given):  # the second window waits in the middle, until it is let go
    if given[1].startswith("2020-03-02"):
        (gate / "there").touch()
        while not (gate / "go").exists():
            time.sleep(0.01)
    return real(*given)


module.make_window = make_window
app()
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return trained(tmp_path_factory.mktemp("looped"))


@pytest.fixture
def project(base: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr(Lens, "estimator", None)
    made = copied(base, tmp_path, alerts={"file": "told.jsonl"}, data_drift={"features_to_monitor": ["income"]})
    for day in (1, 2, 3):
        batch(made, f"2020-03-0{day}.csv", loans(60, day, 900 if day == 2 else 0).drop(columns="y"))
    return made


INCOME = "2020-03-02T00:00:00+00:00/DRIFT-FEATURE/income"


def told(project: Project) -> list[str]:
    return [json.loads(line)["key"] for line in (project.path / "told.jsonl").read_text().splitlines()]


def until(holds: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while not holds():
        assert process.poll() is None and time.monotonic() < end, process.poll()
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def loop(project: Project, *more: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """The loop by the clock of the machine, as soon as it is in the middle of its second window."""
    gate = project.path.parent / "gate"
    gate.mkdir()
    command = [sys.executable, "-c", CHILD, str(gate), "monitor", "--every", "1h", "--project", str(project.path), "--json", *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            until((gate / "there").exists, process)
            yield process, gate
        finally:
            (gate / "go").touch()
            process.kill() if process.poll() is None else None


def test_it_ends_the_window_it_is_in_and_the_next_run_catches_up(project: Project) -> None:
    port = free_port()
    with loop(project, "--metrics", str(port)) as (process, gate):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:  # while a window is being made
            text = answer.read().decode()
        process.send_signal(signal.SIGTERM)
        heard = process.stderr.readline()  # type: ignore[union-attr]
        (gate / "go").touch()
        out, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "Ends after the step in work" in heard
    assert text.startswith("# HELP mlnb_") and parsed(text)
    found = json.loads(out)
    assert found["turns"] == 1 and [w["start"][:10] for w in found["windows"]] == ["2020-03-01", "2020-03-02"]  # the one in work is ended, no other begun
    assert [w.start[:10] for w in read_windows(project.path, strict=True)] == ["2020-03-01", "2020-03-02"]
    first = told(project)
    assert INCOME in first and len(first) == len(set(first)) == found["delivery"]["sent"]["file"]
    assert read_state(project)["status"] == "idle"
    with hold(project, "now", wait=0):  # nobody holds the lock any more
        pass
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), 5)
    turn = watch(project, "2020-03-04T06:00")
    assert [w.start[:10] for w in turn.windows] == ["2020-03-03"]
    assert told(project)[:len(first)] == first and len(told(project)) == len(set(told(project))) > len(first)  # what is over is told, and nothing again


def test_asked_twice_it_ends_at_once_and_nothing_is_broken(project: Project) -> None:
    with loop(project) as (process, _):
        process.send_signal(signal.SIGTERM)
        process.stderr.readline()  # type: ignore[union-attr]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)
    assert process.returncode != 0
    assert [w.start[:10] for w in read_windows(project.path, strict=True)] == ["2020-03-01"]
    assert [w.start[:10] for w in watch(project, "2020-03-04T06:00", wait=0).windows] == ["2020-03-02", "2020-03-03"]
    assert told(project).count(INCOME) == 1 and len(told(project)) == len(set(told(project)))


def parsed(text: str) -> dict[str, Any]:
    parser = pytest.importorskip("prometheus_client.parser")
    return {family.name: family for family in parser.text_string_to_metric_families(text)}


def test_the_files_for_others_can_be_read_by_them(project: Project, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from mlnb.cli import app

    def run(*words: str) -> None:
        came = CliRunner().invoke(app, ["monitor", "--project", str(project.path), *words])
        assert came.exit_code == 0, came.output

    run("--now", "2020-03-04T06:00", "--metrics", str(tmp_path / "mlnb.prom"))
    families = parsed((tmp_path / "mlnb.prom").read_text())
    assert families and all(name.startswith("mlnb_") for name in families) and all(family.samples for family in families.values())
    run("--grafana", str(tmp_path / "board.json"), "--rules", str(tmp_path / "rules.yml"))
    board, rules = json.loads((tmp_path / "board.json").read_text()), yaml.safe_load((tmp_path / "rules.yml").read_text())
    assert board["panels"] and board["title"]
    each = [rule for group in rules["groups"] for rule in group["rules"]]
    assert each and all(rule["expr"] and rule["alert"] for rule in each)
    assert any(name in rule["expr"] for rule in each for name in families)  # rules speak of metrics that there are
    assert any(name in json.dumps(board) for name in families)
