"""Who answers: the file that the retraining writes and the service reads."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlnb.core.errors import InputError
from mlnb.deployment.rollout import FILE, Arm, Rollout, changed, promoted, read_rollout, rolled_back, save_rollout

NOW = "2026-11-27T02:00:00+00:00"
FIRST = Rollout(Arm.of("EXP-1"), NOW, Arm.of("EXP-2"), 5)

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,30}", fullmatch=True)


@given(st.lists(names, min_size=2, max_size=2, unique=True), st.floats(0, 100), st.integers(1, 10**9))
def test_what_is_written_is_read(pair: list[str], share: float, revision: int) -> None:
    rollout = Rollout(Arm.of(pair[0]), NOW, Arm.of(pair[1]), share, revision)
    assert Rollout.from_dict(json.loads(json.dumps(rollout.to_dict()))) == rollout


@pytest.mark.parametrize(
    "change, words",
    [
        ({"share": 101}, "percentage from 0 to 100"),
        ({"share": -1}, "percentage from 0 to 100"),
        ({"share": float("nan")}, "percentage from 0 to 100"),
        ({"share": True}, "percentage from 0 to 100"),
        ({"share": "5"}, "percentage from 0 to 100"),
        ({"revision": 0}, "whole number from 1"),
        ({"revision": 1.5}, "whole number from 1"),
        ({"since": "2026-11-27T02:00:00"}, "offset from UTC"),
        ({"since": 3}, "offset from UTC"),
        ({"since": "yesterday"}, "offset from UTC"),
        ({"challenger": None}, "no challenger"),
        ({"challenger": {"name": "EXP-1", "model": "results/models/EXP-1"}}, "both champion and challenger"),
        ({"champion": None}, "`champion` is an object"),
        ({"champion": "EXP-1"}, "`champion` is an object"),
        ({"challenger": ["EXP-2"]}, "`challenger` is an object"),
        ({"champion": {"name": "a b", "model": "x"}}, "named by letters"),
        ({"champion": {"name": "x" * 121, "model": "x"}}, "named by letters"),
        ({"champion": {"name": "", "model": "x"}}, "named by letters"),
        ({"champion": {"name": "EXP-1\n", "model": "x"}}, "named by letters"),
        ({"champion": {"name": "EXP-1", "model": "/etc"}}, "within the project"),
        ({"champion": {"name": "EXP-1", "model": "a/../../b"}}, "within the project"),
        ({"champion": {"name": "EXP-1", "model": "a\\..\\..\\b"}}, "within the project"),
        ({"champion": {"name": "EXP-1", "model": "c:/models"}}, "within the project"),
        ({"champion": {"name": "EXP-1", "model": ""}}, "within the project"),
        ({"champion": {"name": "EXP-1", "model": 3}}, "within the project"),
    ],
)
def test_what_contradicts_itself_is_refused_with_the_file(tmp_path: Path, change: dict, words: str) -> None:
    (tmp_path / "rollout.json").write_text(json.dumps(FIRST.to_dict() | change))
    with pytest.raises(InputError, match=words) as error:
        read_rollout(tmp_path / "rollout.json")
    assert "rollout.json" in str(error.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"null", b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_file_is_an_error_and_is_not_written_over(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "rollout.json"
    file.write_bytes(content)
    for act in (lambda: read_rollout(file), lambda: save_rollout(file, FIRST)):
        with pytest.raises(InputError):
            act()
    assert file.read_bytes() == content


def test_a_folder_in_its_place_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_rollout(tmp_path)


def test_unknown_keys_of_a_later_version_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps(FIRST.to_dict() | {"by": "somebody"}))
    assert read_rollout(tmp_path / "r.json") == FIRST


def test_a_whole_canary(tmp_path: Path) -> None:
    file = tmp_path / FILE
    assert read_rollout(file) is None
    save_rollout(file, FIRST)
    step = FIRST
    for share in (25, 50, 100):
        step = changed(step, NOW, share=share)
        save_rollout(file, step)
    save_rollout(file, promoted(step, NOW))
    now = read_rollout(file)
    assert now is not None and (now.champion.name, now.challenger, now.share, now.revision) == ("EXP-2", None, 0, 5)
    with pytest.raises(InputError, match="no challenger"):
        promoted(now, NOW)
    again = changed(now, NOW, Arm.of("EXP-3"), 5)
    assert rolled_back(again, NOW).champion.name == "EXP-2" and again.challenger == Arm.of("EXP-3")


@pytest.mark.parametrize("revision", [1, 2, 4, 9])
def test_only_the_next_revision_is_taken(tmp_path: Path, revision: int) -> None:
    file = tmp_path / FILE
    there = Rollout(Arm.of("EXP-1"), NOW, revision=2)
    save_rollout(file, there)
    with pytest.raises(InputError, match="the next revision is 3"):
        save_rollout(file, Rollout(Arm.of("EXP-9"), NOW, revision=revision))
    assert read_rollout(file) == there


def _write(file: Path, name: str, start: object, said: object) -> None:
    start.wait()  # type: ignore[attr-defined]
    try:
        save_rollout(file, changed(FIRST, NOW, Arm.of(name), 50))
        said.put(name)  # type: ignore[attr-defined]
    except InputError:
        said.put("")  # type: ignore[attr-defined]


def test_of_several_writers_at_once_one_gets_through(tmp_path: Path) -> None:
    file = tmp_path / FILE
    save_rollout(file, FIRST)
    fork = multiprocessing.get_context("fork")
    start, said = fork.Event(), fork.Queue()
    writers = [fork.Process(target=_write, args=(file, f"EXP-{i}", start, said)) for i in range(10, 16)]
    for each in writers:
        each.start()
    start.set()
    through = [name for name in (said.get(timeout=30) for _ in writers) if name]
    for each in writers:
        each.join()
    now = read_rollout(file)
    assert len(through) == 1 and now is not None and now.challenger == Arm.of(through[0]) and now.revision == 2


def test_a_writer_that_holds_the_lock_too_long_is_named(tmp_path: Path) -> None:
    from filelock import FileLock

    file = tmp_path / FILE
    file.parent.mkdir()
    with FileLock(file.with_name(".rollout.json.lock")), pytest.raises(InputError, match="Another process"):
        save_rollout(file, FIRST, wait=0.05)
    assert read_rollout(file) is None


def test_a_kill_while_writing_leaves_a_whole_file(tmp_path: Path) -> None:
    file = tmp_path / FILE
    code = (
        "import sys; from mlnb.deployment.rollout import *\n"
        "r = Rollout(Arm.of('EXP-1'), '2026-11-27T02:00:00+00:00', Arm.of('EXP-2'), 5)\n"
        "while True:\n    save_rollout(sys.argv[1], r); print(r.revision, flush=True); r = changed(r, r.since, share=r.revision % 100)\n"
    )
    for _ in range(3):
        file.unlink(missing_ok=True)
        with subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None and process.stdout.readline() == "1\n"
            time.sleep(0.02)
            os.kill(process.pid, signal.SIGKILL)
            told = [1, *(int(line) for line in process.stdout if line.endswith("\n"))]
        now = read_rollout(file)
        assert now is not None and now.revision in (told[-1], told[-1] + 1)
        save_rollout(file, changed(now, NOW, share=7))  # nobody holds the lock
