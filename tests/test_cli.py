"""The command line: exit codes, one JSON document, bad input in words, and nothing lost when a run is stopped."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlnb.cli import main
from mlnb.core.ledger import Ledger
from mlnb.core.project import Project

pytestmark = pytest.mark.e2e
MLNB = [sys.executable, "-c", "from mlnb.cli import main; main()"]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def mlnb(capsys: pytest.CaptureFixture) -> Run:
    """`mlnb(word, …)` gives exit code, standard output and error stream; none of them may hold a traceback."""

    def call(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err and "This is a defect" not in out + err, err
        return int(ended.value.code or 0), out, " ".join(err.split())

    return call


def loans(n: int = 300, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    income = rng.normal(3000, 500, n).round()
    repaid = np.where(rng.random(n) < 1 / (1 + np.exp((2900 - income) / 150)), "yes", "no")
    return pd.DataFrame({"income": income, "region": rng.choice(list("abc"), n), "repaid": repaid})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    loans().to_csv(tmp_path / "loans.csv", index=False)
    return tmp_path / "loans.csv"


@pytest.fixture
def project(tmp_path: Path, data: Path) -> Project:
    return Project.create(tmp_path / "loans", data, target="repaid")


# files that are no table, and targets that are none


def whole(folder: Path) -> bytes:
    loans().to_parquet(folder / "whole.parquet")
    return (folder / "whole.parquet").read_bytes()


BAD: dict[str, tuple[Callable[[Path], bytes | None], str]] = {
    "empty.csv": (lambda f: b"", "empty"),
    "header.csv": (lambda f: b"income,repaid\n", "no rows"),
    "twice.csv": (lambda f: b"a,a,repaid\n" + b"1,2,yes\n3,4,no\n" * 20, "columns of the same name: 'a'"),
    "latin.csv": (lambda f: "straße,repaid\n".encode("latin-1") + b"1,yes\n2,no\n" * 20, "is not UTF-8"),
    "cut.parquet": (lambda f: whole(f)[:900], "its end is missing"),
    "zero.csv": (lambda f: b"a,b\0c,repaid\n1,2,yes\n", "zero bytes"),
    "notes.docx": (lambda f: b"PK\x03\x04", "neither CSV nor Parquet"),
    "absent.csv": (lambda f: None, "There is no file"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_no_table_is_told_so_and_leaves_no_project(mlnb: Run, tmp_path: Path, name: str) -> None:
    content, said = BAD[name]
    made = content(tmp_path)
    if made is not None:
        (tmp_path / name).write_bytes(made)
    path = tmp_path / name
    for words in (["init", tmp_path / "p", "--data", path, "--target", "repaid"], ["quality", path], ["drift", path, path],
                  ["leaks", "--train", path, "--target", "repaid"]):  # fmt: skip
        code, out, err = mlnb(*words)
        assert code == 2 and said in err and not out
    assert not (tmp_path / "p").exists()


def test_a_column_that_is_left_out_has_to_be_there(mlnb: Run, data: Path) -> None:
    code, out, err = mlnb("drift", data, data, "--exclude", "incme")
    assert code == 2 and not out and "has a column 'incme', which is to be left out" in err and "Did you mean 'income'?" in err


def test_a_folder_is_no_file_and_its_files_are_offered(mlnb: Run, data: Path) -> None:
    code, _, err = mlnb("quality", data.parent)
    assert code == 2 and "is a folder" in err and "loans.csv" in err


TARGETS = {
    "one value only": "".join(f"{i},yes\n" for i in range(60)),
    "no values at all": "".join(f"{i},\n" for i in range(60)),
}


@pytest.mark.parametrize("said", TARGETS)
def test_a_target_that_tells_nothing(mlnb: Run, tmp_path: Path, said: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,repaid\n" + TARGETS[said])
    for words in (["leaks", "--train", path, "--target", "repaid"], ["quality", path, "--target", "repaid"]):
        code, _, err = mlnb(*words)
        assert code == 2 and said in err
    code, _, err = mlnb("init", tmp_path / "p", "--data", path, "--target", "repaid")
    if said == "no values at all":
        assert code == 2 and "'repaid' was given as the target and has no value" in err and not (tmp_path / "p").exists()
        return
    code, _, err = mlnb("run", "data", "training", "--project", tmp_path / "p")
    assert code == 2 and said in err and "Skipped, since data did not finish" in err and "Not finished: data, training" in err
    assert list((tmp_path / "p" / "reports").glob("data-*.html")), "as far as it came it can be read"


def test_one_row_is_too_few(mlnb: Run, tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("a,repaid\n1,yes\n")
    assert mlnb("init", tmp_path / "p", "--data", tmp_path / "one.csv", "--target", "repaid")[0] == 0
    code, _, err = mlnb("run", "data", "--project", tmp_path / "p")
    assert code == 2 and "1 rows leaves one side empty" in err


@pytest.mark.parametrize(("option", "value", "near"), [("--target", "repayed", "'repaid'"), ("--time", "regoin", "'region'")])
def test_a_misspelt_column_is_answered_with_the_nearest(mlnb: Run, data: Path, option: str, value: str, near: str) -> None:
    words = {"--target": "repaid"} | {option: value}
    code, _, err = mlnb("init", data.parent / "p", "--data", data, *(x for pair in words.items() for x in pair))
    assert code == 2 and f"Did you mean {near}" in err and not (data.parent / "p").exists()


# columns nobody cleaned


def spoil(frame: pd.DataFrame, kind: str) -> pd.DataFrame:
    rows = np.arange(len(frame))
    if kind == "nulls":
        return frame.assign(nothing=np.nan)
    if kind == "infinite":
        return frame.assign(debt=np.where(rows > 5, rows % 13, np.inf))
    if kind == "mixed":
        return frame.assign(age=pd.Series(rows % 60, dtype=object).where(rows % 7 > 0, "unknown"))
    if kind == "dates as text":
        return frame.assign(day=[f"{i % 28 + 1:02d}.{i % 12 + 1:02d}.2024" for i in rows])
    return frame.assign(**{"<script>alert(1)</script>": rows % 5})


SPOILT = ("nulls", "infinite", "mixed", "dates as text", "script")


@pytest.mark.parametrize("kind", SPOILT)
def test_columns_nobody_cleaned_are_judged(mlnb: Run, tmp_path: Path, kind: str) -> None:
    spoil(loans(), kind).to_csv(tmp_path / "t.csv", index=False)
    assert mlnb("quality", tmp_path / "t.csv", "--target", "repaid")[0] == 0
    assert mlnb("leaks", "--train", tmp_path / "t.csv", "--target", "repaid")[0] == 0
    assert mlnb("drift", tmp_path / "t.csv", tmp_path / "t.csv")[0] == 0


def test_columns_nobody_cleaned_go_through_every_report(mlnb: Run, tmp_path: Path) -> None:
    functools.reduce(spoil, SPOILT, loans()).to_csv(tmp_path / "t.csv", index=False)
    assert mlnb("init", tmp_path / "p", "--data", tmp_path / "t.csv", "--target", "repaid")[0] == 0
    code, _, err = mlnb("run", "all", "--project", tmp_path / "p")
    assert code == 0, err
    pages = [path.read_text() for path in (tmp_path / "p" / "reports").glob("*.html")]
    assert len(pages) == 10 and not any("<script>alert" in page for page in pages)


# answers


def test_json_is_one_document_and_words_go_to_the_error_stream(mlnb: Run, project: Project) -> None:
    code, out, _ = mlnb("check", "1", "--project", project.path, "--json")
    found = json.loads(out)
    assert code == 0 and [f["code"] for f in found["findings"]] == ["FRAME-BRIEF", "FRAME-RULES", "KILL1", "KILL2", "KILL3"]
    code, out, _ = mlnb("run", "framing", "--project", project.path, "--json")
    found = json.loads(out)
    assert code == 0 and found["ok"] and Path(found["index"]).is_file()
    code, out, err = mlnb("check", "NONSENSE", "--project", project.path, "--json")
    assert code == 2 and json.loads(out)["exit_code"] == 2 and "NONSENSE" in err


def test_a_gate_that_does_not_hold_ends_with_one(mlnb: Run, project: Project) -> None:
    assert mlnb("check", "FRAME-BRIEF", "--project", project.path)[0] == 0
    code, _, err = mlnb("check", "FRAME-BRIEF", "--project", project.path, "--gate")
    assert code == 1 and "The gate does not hold" in err
    assert mlnb("attest", "FRAME-BRIEF", "--by", "Ada", "--why", "a trial", "--waive", "--project", project.path)[0] == 0
    assert mlnb("score", "--project", project.path)[0] == 0


def test_an_attestation_needs_a_name_and_a_reason_and_lands_in_the_ledger(mlnb: Run, project: Project) -> None:
    code, _, err = mlnb("attest", "KILL2", "--by", " ", "--why", "x", "--project", project.path)
    assert code == 2 and "needs a name" in err and not project.ledger.entries()
    signed = ["--by", "Ada", "--why", "cleaned at the source", "--until", "2099-01-31"]
    assert mlnb("attest", "KILL2", *signed, "--project", project.path)[0] == 0
    assert project.findings().get("KILL2").status.value == "attested"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "data", "-p", "holdot", "0.3"], "Did you mean 'holdout'"),
        (["run", "data", "-p", "holdout", "much"], "holdout"),
        (["run", "dta"], "Did you mean 'data'"),
        (["run", "data", "-p", "holdout"], "has no value"),
        (["check", "LEAK4"], "LEAK04"),
        (["guide", "qqqq"], "qqqq"),
    ],
)
def test_a_slip_of_the_fingers_is_told(mlnb: Run, project: Project, words: list[str], said: str) -> None:
    place = [] if words[0] == "guide" else ["--project", project.path]
    code, _, err = mlnb(*words, *place)
    assert code == 2 and said in err


def test_a_command_without_a_project_says_how_to_get_one(mlnb: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = mlnb("check")
    assert code == 2 and "mlnb init" in err


@pytest.mark.parametrize(("request_", "command"), [("Is there leakage?", "leak"), ("score my ML system", "score")])
def test_do_understands_a_request(mlnb: Run, project: Project, request_: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.path)
    code, out, err = mlnb("do", request_)
    assert code in (0, 1, 2) and command in (out + err).lower()


# folders that cannot be written, disks that are full, people who stop it


def test_an_output_folder_that_cannot_be_written_is_named(mlnb: Run, project: Project) -> None:
    blocked = project.path / "taken"
    blocked.write_text("a file, where a folder is asked for")
    code, out, err = mlnb("run", "framing", "--project", project.path, "--out", blocked)
    assert code == 2 and "taken" in err and "Open this" not in out  # nothing is there to open


def start(*words: object, limit: int | None = None, cwd: Path | None = None) -> subprocess.Popen:
    def little_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.Popen([*MLNB, *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            cwd=cwd, start_new_session=True, preexec_fn=little_room if limit else None)  # fmt: skip


def test_no_room_left_is_said_and_what_was_recorded_stays(tmp_path: Path, project: Project) -> None:
    """A limit on the size of files stands in for a full disk: a write fails midway."""
    project.check("FRAME-BRIEF")
    before = (project.path / "ledger.jsonl").read_bytes()
    process = start("run", "data", "--project", project.path, limit=20_000)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2 and "Traceback" not in err and err.strip()
    assert (project.path / "ledger.jsonl").read_bytes().startswith(before) and not Ledger(project.path / "ledger.jsonl").problems()
    again = start("run", "data", "--project", project.path)
    _, err = again.communicate(timeout=180)
    assert again.returncode == 0, err


def test_ctrl_c_in_the_middle_keeps_what_was_finished(project: Project) -> None:
    process = start("run", "all", "--project", project.path)
    reports = project.path / "reports"
    for _ in range(1200):  # until the first report is done and the second has begun
        if list(reports.glob("data-*.html")) or process.poll() is not None:
            break
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=180)
    assert process.returncode == 130 and "Interrupted" in err and "Traceback" not in err
    assert not project.ledger.problems() and project.findings().get("DQ-COMPLETENESS").status.value != "not_checked"
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 0)
        pytest.fail("a kernel was left behind")


def test_two_runs_at_once_do_not_disturb_each_other(project: Project) -> None:
    both = [start("run", "data", "framing", "--project", project.path) for _ in range(2)]
    errors = [process.communicate(timeout=240)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert not project.ledger.problems()
    pages = {path.name for path in (project.path / "reports").glob("*.html")} - {"index.html"}
    index = (project.path / "reports" / "index.html").read_text()
    assert len(pages) == 4 and all(page in index for page in pages)


def test_a_torn_last_line_of_the_ledger_costs_nothing_else(mlnb: Run, project: Project) -> None:
    project.check(1)
    path = project.path / "ledger.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole.splitlines()[-1][:40])
    assert mlnb("check", "1", "--project", project.path)[0] == 0
    assert path.read_bytes().startswith(whole) and len(Project(project.path).ledger.entries()) > whole.count(b"\n")


def test_ten_thousand_columns_are_opened_and_checked_for_leaks(mlnb: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    wide = pd.DataFrame(rng.normal(size=(60, 10_000)).round(2), columns=[f"c{i}" for i in range(10_000)])
    wide.assign(repaid=np.where(np.arange(60) % 2, "yes", "no")).to_parquet(tmp_path / "wide.parquet")
    assert mlnb("init", tmp_path / "p", "--data", tmp_path / "wide.parquet", "--target", "repaid")[0] == 0
    code, out, _ = mlnb("leaks", "--train", tmp_path / "wide.parquet", "--target", "repaid", "--json")
    found = {f["code"]: f["status"] for f in json.loads(out)["findings"]}
    assert code == 0 and found["LEAK04"] == "pass"  # chance among so many is no leak
