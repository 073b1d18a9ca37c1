"""The ledger under concurrency, tearing, edits and kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlnb.core.errors import InputError, MlnbError
from mlnb.core.findings import Finding, Status
from mlnb.core.ledger import Ledger

WRITER = """
import sys
from mlnb.core.findings import Finding
from mlnb.core.ledger import Ledger
ledger = Ledger(sys.argv[1])
for i in range(int(sys.argv[3])):
    ledger.append([Finding("LEAK04", "pass", message=f"{sys.argv[2]}-{i}", value=i)], source=sys.argv[2])
    print(i, flush=True)
"""


def writer(path: Path, name: str, lines: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(path), name, str(lines)], stdout=subprocess.PIPE, text=True)


def test_several_processes_append_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    processes = [writer(path, f"w{i}", 25) for i in range(4)]
    assert [p.wait(60) for p in processes] == [0] * 4
    ledger = Ledger(path)
    messages = [entry.body.message for entry in ledger.entries()]
    assert sorted(messages) == sorted(f"w{w}-{i}" for w in range(4) for i in range(25))
    assert ledger.problems() == []


def test_a_writer_killed_at_any_moment_loses_nothing_it_reported(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    reported = 0
    for round_ in range(3):
        process = writer(path, f"r{round_}", 10_000)
        assert process.stdout is not None
        for _ in range(5 + round_):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        reported += 5 + round_
        assert len(Ledger(path).entries()) >= reported
    Ledger(path).append([Finding("LEAK05", "pass")])
    assert Ledger(path).entries()[-1].body.code == "LEAK05"
    numbers = [entry.number for entry in Ledger(path).entries()]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_a_torn_last_line_is_reported_kept_and_takes_nothing_with_it(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    ledger.append([Finding("LEAK04", "fail", message="first"), Finding("LEAK05", "pass", message="second")])
    torn = path.read_bytes()[:-cut]
    path.write_bytes(torn)
    whole = 1 if cut > 1 else 2  # without its line break only, the line is still whole
    assert len(ledger.entries()) == whole
    ledger.append([Finding("LEAK07", "pass", message="third")])
    assert [e.body.message for e in ledger.entries()] == [*["first", "second"][:whole], "third"]
    assert path.read_bytes().startswith(torn)
    assert any("torn" in p for p in ledger.problems()) == (cut > 1)


def test_an_edit_a_removed_line_and_a_swap_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    Ledger(path).append([Finding("LEAK04", "fail", value=i) for i in range(5)])
    lines = path.read_text().splitlines()
    for broken in (lines[:2] + lines[3:], [lines[1], lines[0], *lines[2:]], [lines[0].replace('"fail"', '"pass"'), *lines[1:]]):
        path.write_text("\n".join(broken) + "\n")
        assert Ledger(path).problems(), broken
    path.write_text("\n".join(lines) + "\n")
    assert Ledger(path).problems() == []


@given(st.lists(st.sampled_from(["pass", "fail", "warn", "not_checked"]), min_size=1, max_size=8))
def test_the_last_result_counts_and_not_checked_never_replaces_one(statuses: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "l.jsonl")
        ledger.append([Finding("LEAK04", status) for status in statuses])
        results = [s for s in statuses if s != "not_checked"]
        assert ledger.current().get("LEAK04").status.value == (results[-1] if results else "not_checked")


def test_signatures_hold_until_their_day_and_never_hide_a_failure(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.jsonl")
    ledger.attest("DOCKER", by="A", why="built by the platform team", until="2026-06-30")
    assert ledger.current(today="2026-06-30").get("DOCKER").status is Status.ATTESTED
    assert ledger.current(today="2026-07-01").get("DOCKER").status is Status.STALE
    ledger.append([Finding("LEAK04", "fail", message="AUC 0.99")])
    ledger.attest("LEAK04", by="A", why="looks fine to me")
    assert ledger.current().get("LEAK04").status is Status.FAIL  # an attestation is no waiver
    ledger.attest("LEAK04", by="A", why="fixed next week", until="2026-06-30", waive=True)
    waived = ledger.current(today="2026-06-01").get("LEAK04")
    assert waived.status is Status.ATTESTED and "AUC 0.99" in waived.message and waived.evidence["was"] == "fail"


def test_stale_findings_say_what_changed(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.jsonl")
    ledger.append([Finding("LEAK04", "pass", inputs={"data": "a", "holdout": "h"})])
    assert ledger.current({"data": "a"}).get("LEAK04").status is Status.PASS
    stale = ledger.current({"data": "b", "holdout": "h"}).get("LEAK04")
    assert stale.status is Status.STALE and stale.evidence["changed"] == ["data"]


@pytest.mark.parametrize(("code", "by", "why", "until"), [
    ("LEAK4", "A", "x", None), ("LEAK04", " ", "x", None), ("LEAK04", "A", "", None), ("LEAK04", "A", "x", "soon"),
])
def test_a_signature_that_says_too_little_is_refused(tmp_path: Path, code: str, by: str, why: str, until: str | None) -> None:
    with pytest.raises(MlnbError):
        Ledger(tmp_path / "l.jsonl").attest(code, by, why, until)
    assert not (tmp_path / "l.jsonl").exists()


def test_a_full_disk_takes_back_the_half_line_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "l.jsonl"
    ledger = Ledger(path)
    ledger.append([Finding("LEAK04", "pass")])
    before = path.read_bytes()
    real = os.write

    def half(handle: int, data: bytes) -> int:
        if len(data) > 200:
            return real(handle, bytes(data[:100]))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mlnb.core.ledger.os.write", lambda handle, data: half(handle, data) if len(data) > 200 else half(handle, b""))
    with pytest.raises(InputError, match="No space left"):
        ledger.append([Finding("LEAK05", "pass", message="x" * 50)])
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert ledger.problems() == []


def test_a_folder_that_takes_no_writing_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Cannot write"):
        Ledger(tmp_path / "file" / "l.jsonl").append([Finding("LEAK04", "pass")])


def test_lines_are_plain_json_that_other_tools_read(tmp_path: Path) -> None:
    import numpy as np

    ledger = Ledger(tmp_path / "l.jsonl")
    ledger.append([Finding("LEAK04", "pass", value=np.float64("nan"), evidence={"x": np.arange(3), "inf": float("inf")})])
    body = json.loads((tmp_path / "l.jsonl").read_text())["body"]
    assert body["value"] is None and body["evidence"] == {"x": [0, 1, 2], "inf": "inf"}


