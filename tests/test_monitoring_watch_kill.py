"""The monitor, killed at every step by SIGKILL, and going on: nothing is lost, and nobody is told twice."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from killed import said_by
from mail_server import MailServer
from watched import WATCH_KILLED, Hook, batch, copied, loans, trained

from mlnb.core.project import Project
from mlnb.monitoring.deliveries import JOURNAL, Journal
from mlnb.monitoring.windows import read_windows

NOW = "2026-03-03T06:00"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return trained(tmp_path_factory.mktemp("killed"))


def test_killed_at_every_step_nothing_is_lost_and_nobody_is_told_twice(project: Project, tmp_path: Path) -> None:
    with Hook() as hook, MailServer() as mails:
        (tmp_path / "template").mkdir()
        made = copied(project, tmp_path / "template", data_drift={"features_to_monitor": ["income"]}, alerts={"file": "told.jsonl", "webhook": {"url": hook.url}, "email": {
                          "to": ["team@example.org"], "from": "ml@example.org", "smtp": f"127.0.0.1:{mails.port}", "starttls": False}},
                      model_performance={"metrics": [{"name": "prediction_distribution", "threshold": 9}]})
        batch(made, "2026-03-02.csv", loans(60, 2, 900).drop(columns="y"))
        runs = [json.loads(line) for line in said_by(WATCH_KILLED, str(tmp_path / "template"), NOW)]
    kills = [path for path, code in runs if code == -9]
    assert len(kills) > 10 and any(code == 0 for _, code in runs)  # until a run met no further step
    wanted = {"2026-03-02T00:00:00+00:00/DRIFT-FEATURE/income"}
    whole = json.loads(json.dumps([w.to_dict() for w in read_windows(Path(next(path for path, code in runs if code == 0)))]))
    for path, _ in runs:
        folder = Path(path)
        assert json.loads(json.dumps([w.to_dict() for w in read_windows(folder, strict=True)])) == whole
        lines = (folder / "told.jsonl").read_text().splitlines()
        told = Counter(json.loads(line)["key"] for line in lines if line.endswith("}"))
        assert told == dict.fromkeys(wanted, 1), (path, lines)
        assert not [p for p in Project(folder).ledger.problems() if "torn" not in p]
        assert Project(folder).findings().get("DRIFT-FEATURE").status.value == "fail"
        assert json.loads((folder / "monitoring" / "state.json").read_text())["status"] == "idle"
    posted = Counter(hook.keys)
    assert set(posted) == wanted  # the same key, whenever it comes
    assert len(runs) <= posted[next(iter(wanted))] <= len(runs) + 4  # again only for a kill between the answer and our note of it
    # Mail has no answer to "did you take this before?", so a kill between the server's 250 and our note sends it once more: at least once for every run, and more than
    # once only then, with the same Message-ID, by which the receiver drops the second.
    assert len(set(mails.identities)) == 1 and mails.identities[0].endswith("@mlnb.invalid>")
    assert len(runs) <= len(mails.identities) == len(mails.mails) <= len(runs) + 4
    for path, _ in runs:
        states = Journal(Path(path) / JOURNAL).states()
        assert {sink: state for (sink, key), state in states.items() if key} == dict.fromkeys(("file", "webhook", "email"), "sent")
