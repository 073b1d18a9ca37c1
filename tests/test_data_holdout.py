"""The split is as hard as the future, and the seal cannot be broken without being seen."""

from __future__ import annotations

import json
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlnb.core.errors import InputError, MissingError
from mlnb.core.fingerprint import file_fingerprint
from mlnb.core.project import Project
from mlnb.data.holdout import BUDGET, findings, open_holdout, seal, shared_rows, tampering
from mlnb.data.looks import adjusted_level
from mlnb.data.split import split_rows


def frame(n: int = 300, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"when": pd.Timestamp("2025-01-01") + pd.to_timedelta(rng.integers(0, 200, n), "D"), "who": rng.integers(0, 120, n),
                         "x": rng.normal(size=n), "y": rng.integers(0, 2, n)})


def project(folder: Path, data: pd.DataFrame, **roles: object) -> Project:
    data.to_parquet(folder / "d.parquet")
    return Project.create(folder / "p", folder / "d.parquet", target="y", **roles)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(10, 200), fraction=st.floats(0.1, 0.5), seed=st.integers(0, 5), strategy=st.sampled_from(
    ["random", "stratified", "grouped", "temporal", "grouped temporal"]))
def test_every_split_keeps_its_promise(n: int, fraction: float, seed: int, strategy: str) -> None:
    rng = np.random.default_rng(seed)
    when = np.datetime64("2025-01-01") + rng.integers(0, 30, n).astype("timedelta64[D]")
    who, classes = rng.integers(0, max(n // 3, 2), n), rng.integers(0, 3, n)
    try:
        split = split_rows(n, strategy, fraction, when.astype("datetime64[s]"), who, classes, seed)
    except InputError:
        return
    train, held = split.side == 0, split.side == 1
    assert train.any() and held.any()
    if "temporal" in split.strategy:
        assert when[train].max() < when[held].min()
    if "grouped" in split.strategy:
        assert not set(who[train]) & set(who[held])
    if split.strategy == "stratified":
        sizes = np.bincount(classes, minlength=3)
        taken = np.bincount(classes[held], minlength=3)
        assert (np.abs(taken - fraction * sizes)[sizes > 1] < 1).all() and (taken[sizes == 1] == 0).all()
        assert abs(taken.sum() - fraction * sizes[sizes > 1].sum()) <= 0.5 + 1e-9
    again = split_rows(n, strategy, fraction, when.astype("datetime64[s]"), who, classes, seed)
    assert (again.side == split.side).all()


@pytest.mark.parametrize(("roles", "strategy"), [({}, "stratified"), ({"time": "when"}, "temporal"), ({"entity": "who"}, "grouped")])
def test_the_files_hold_what_the_seal_says(tmp_path: Path, roles: dict[str, str], strategy: str) -> None:
    data = frame()
    data = pd.concat([data, data.iloc[:7]], ignore_index=True)
    p = project(tmp_path, data, **roles)
    holdout = seal(p)
    train, held = holdout.train.frame(), holdout.rows(why="test").frame()
    assert holdout.seal.strategy == strategy
    assert (len(train), len(held), holdout.seal.dropped_duplicates) == (holdout.seal.train_rows, holdout.seal.rows, 7)
    both = pd.concat([train, held]).sort_values(list(data.columns)).reset_index(drop=True)
    expected = data.drop_duplicates().sort_values(list(data.columns)).reset_index(drop=True)
    pd.testing.assert_frame_equal(both, expected, check_dtype=False)
    assert shared_rows(holdout) == 0
    assert [f.status.value for f in findings(p, holdout)] == ["pass", "pass"]


def test_sealing_twice_gives_the_same_holdout(tmp_path: Path) -> None:
    p = project(tmp_path, frame(), time="when")
    assert seal(p).seal == seal(p, fraction=0.5, random_state=9).seal


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    a, b = (seal(project(tmp_path / side, frame())) for side in "ab")
    assert a.rows(why="t").frame().equals(b.rows(why="t").frame())


def test_every_look_is_written_down_and_too_many_warn(tmp_path: Path) -> None:
    p = project(tmp_path, frame())
    holdout = seal(p)
    with pytest.raises(InputError, match="needs a reason"):
        holdout.rows(why=" ")
    for i in range(BUDGET + 1):
        holdout.rows(why=f"look {i}", by="A. Person")
    assert [e.body.message for e in holdout.looks] == [f"look {i}" for i in range(BUDGET + 1)]
    assert findings(p, holdout).get("EVAL01").status.value == "warn"


def test_inputs_without_outcomes_are_no_look(tmp_path: Path) -> None:
    p = project(tmp_path, frame())
    held = seal(p)
    inputs = held.inputs()
    assert list(inputs) == ["when", "who", "x"] and len(inputs) == held.seal.rows and not held.looks
    assert inputs.equals(held.rows(why="final evaluation").frame().drop(columns="y"))
    (held.folder / "holdout.parquet").write_bytes((held.folder / "train.parquet").read_bytes())
    with pytest.raises(InputError, match="was changed"):
        held.inputs()


def test_a_changed_or_missing_holdout_is_refused(tmp_path: Path) -> None:
    p = project(tmp_path, frame())
    holdout = seal(p)
    path = p.holdout_dir / "holdout.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"x")
    with pytest.raises(InputError, match="was changed"):
        holdout.rows(why="t")
    path.unlink()
    with pytest.raises(InputError, match="is gone"):
        holdout.rows(why="t")
    path.write_bytes(content)
    assert holdout.rows(why="t").rows == holdout.seal.rows
    (p.holdout_dir / "seal.json").write_text(json.dumps({"strategy": "x"})[:-3])
    with pytest.raises(InputError, match=r"seal\.json cannot be read"):
        open_holdout(p)


def test_held_out_rows_that_were_copied_into_train_are_found(tmp_path: Path) -> None:
    p = project(tmp_path, frame())
    holdout = seal(p)
    held = pd.read_parquet(p.holdout_dir / "holdout.parquet")
    train = pd.read_parquet(p.holdout_dir / "train.parquet")
    pd.concat([train, held.iloc[:5]]).to_parquet(p.holdout_dir / "train.parquet")
    found = findings(p, holdout).get("EVAL01")
    assert (found.status.value, found.value) == ("fail", 5)


def test_new_data_and_earlier_exploration_are_said(tmp_path: Path) -> None:
    from mlnb.core.checks import finding

    p = project(tmp_path, frame())
    p.ledger.append([finding("EVAL05", "pass", "")], now="2020-01-01T00:00:00+00:00")
    holdout = seal(p)
    assert "EVAL05" in findings(p, holdout).get("LEAK06").message
    frame(seed=4).to_parquet(tmp_path / "d.parquet")
    assert "changed" in findings(Project(p.path), holdout).get("LEAK06").message


FORKS = """
import json, os, sys, tempfile, traceback
import ibis.backends.duckdb, pandas, pyarrow.parquet, mlnb.data.holdout
for line in sys.stdin:
    started, ended = [], []
    for code, *arguments in json.loads(line):
        out = tempfile.TemporaryFile("w+")
        if not (child := os.fork()):
            os.dup2(out.fileno(), 1)
            sys.argv, status = ["-c", *arguments], 1
            try:
                exec(code, {"__name__": "__main__"})
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(status)
        started.append((child, out))
    for child, out in started:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        out.seek(0)
        ended.append((status, out.read()))
    print(json.dumps(ended), flush=True)
"""
Run = Callable[..., list[tuple[int, str]]]


@pytest.fixture(scope="module")
def side_by_side() -> Iterator[Run]:
    """`side_by_side([code, argument …], …)` runs each in a process of its own, all at once: exit code and output of each.

    The processes are forks of one that has the imports loaded and has done nothing else.
    """
    with subprocess.Popen([sys.executable, "-c", FORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin and server.stdout

        def run(*jobs: list[str]) -> list[tuple[int, str]]:
            server.stdin.write(json.dumps(jobs) + "\n")  # type: ignore[union-attr]
            server.stdin.flush()  # type: ignore[union-attr]
            return [(code, out) for code, out in json.loads(server.stdout.readline())]  # type: ignore[union-attr]

        yield run
        server.stdin.close()


KILLED = """
import os, signal, sys
from mlnb.core.project import Project
from mlnb.data.holdout import open_holdout, seal
real = os.replace
def replace(a, b):
    real(a, b)
    if str(b).endswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
os.replace = replace
seal(Project(sys.argv[1]))
"""


@pytest.mark.parametrize("after", ["train.parquet", "holdout.parquet", "looks.head"])
def test_a_kill_in_the_middle_leaves_no_half_seal(tmp_path: Path, side_by_side: Run, after: str) -> None:
    p = project(tmp_path, frame())
    assert side_by_side([KILLED, str(p.path), after])[0][0] == -signal.SIGKILL
    with pytest.raises(MissingError, match="mlnb run data"):
        open_holdout(p)
    holdout = seal(p)
    assert holdout.seal.rows + holdout.seal.train_rows == 300 and holdout.rows(why="t").rows == holdout.seal.rows
    assert [f.status.value for f in findings(p, holdout)] == ["pass", "pass"]


def test_a_kill_after_the_seal_leaves_a_whole_one_that_is_recorded_later(tmp_path: Path, side_by_side: Run) -> None:
    p = project(tmp_path, frame())
    assert side_by_side([KILLED, str(p.path), "seal.json"])[0][0] == -signal.SIGKILL
    assert not p.ledger.entries()
    holdout = seal(p)
    assert [e.body.code for e in p.ledger.entries()] == ["LEAK06", "EVAL01"] and not tampering(p, holdout)


LOOKING = """
import os, signal, sys
import mlnb.core.ledger as ledger
from mlnb.core.project import Project
from mlnb.data.holdout import open_holdout
holdout, point = open_holdout(Project(sys.argv[1])), sys.argv[2]
real = ledger._write
def write(path, data):
    if point == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    real(path, data[: len(data) // 2] if point == "middle" else data)
    os.kill(os.getpid(), signal.SIGKILL)
ledger._write = write
print(holdout.rows(why="killed").rows)
"""


@pytest.mark.parametrize(("point", "looks"), [("before", 1), ("middle", 2), ("after", 2)])
def test_a_kill_in_a_look_loses_no_look_and_breaks_nothing(tmp_path: Path, side_by_side: Run, point: str, looks: int) -> None:
    p = project(tmp_path, frame())
    holdout = seal(p)
    holdout.rows(why="first")
    assert side_by_side([LOOKING, str(p.path), point]) == [(-signal.SIGKILL, "")]
    assert holdout.book.count == looks and not tampering(p, holdout)
    holdout.rows(why="next")
    assert holdout.book.count == looks + 1 and holdout.looks[-1].body.message == "next" and not tampering(p, holdout)


def test_several_processes_look_at_once_and_every_look_is_there(tmp_path: Path, side_by_side: Run) -> None:
    p = project(tmp_path, frame())
    holdout = seal(p)
    code = ("import sys; from mlnb.data.holdout import open_holdout; from mlnb.core.project import Project\n"
            "h = open_holdout(Project(sys.argv[1]))\nfor i in range(5): h.rows(why=f'{sys.argv[2]} {i}')")
    assert [status for status, _ in side_by_side([code, str(p.path), "a"], [code, str(p.path), "b"])] == [0, 0]
    assert sorted(e.body.message for e in holdout.looks) == sorted(f"{name} {i}" for name in "ab" for i in range(5))
    assert not tampering(p, holdout)


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def _drop_last(p: Project, everything: bool = False) -> None:
    path = p.holdout_dir / "looks.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[: 1 if everything else -1]))


@pytest.mark.parametrize(("what", "tamper", "broken"), [
    ("an edited look", lambda p: _edit(p.holdout_dir / "looks.jsonl", "second", "nothing"), "EVAL01"),
    ("the last look taken out", lambda p: _drop_last(p), "EVAL01"),
    ("all looks taken out, and the count as well", lambda p: (_drop_last(p, True), (p.holdout_dir / "looks.head").unlink()), "EVAL01"),
    ("the book thrown away", lambda p: [f.unlink() for f in p.holdout_dir.glob("looks*")], "EVAL01"),
    ("a larger budget in the seal", lambda p: _edit(p.holdout_dir / "seal.json", '"budget": 10', '"budget": 99'), "LEAK06"),
    ("an earlier date in the seal", lambda p: _edit(p.holdout_dir / "seal.json", '"sealed": "2', '"sealed": "1'), "LEAK06"),
    ("files swapped and the seal fitted to them", "swap", "LEAK06"),
    ("the training rows written over", lambda p: frame(50, 9).to_parquet(p.holdout_dir / "train.parquet"), "EVAL01"),
])
def test_tampering_is_found(tmp_path: Path, what: str, tamper: object, broken: str) -> None:
    p = project(tmp_path, frame())
    holdout = seal(p)
    for why in ("first", "second"):
        holdout.rows(why=why)
    p.note(findings(p, holdout), source="check")
    if tamper == "swap":
        frame(60, 5).to_parquet(p.holdout_dir / "holdout.parquet")
        _edit(p.holdout_dir / "seal.json", holdout.seal.hash, file_fingerprint(p.holdout_dir / "holdout.parquet"))
    else:
        tamper(p)  # type: ignore[operator]
    found = findings(p, open_holdout(p))
    assert found.get(broken).status.value == "fail" and found.get("EVAL01").status.value == "fail", what


def test_a_second_seal_over_the_same_data_is_said(tmp_path: Path) -> None:
    p = project(tmp_path, frame())
    seal(p).rows(why="peek")
    p.note(findings(p, open_holdout(p)), source="check")
    p.holdout_dir.rename(p.path / "old")
    again = seal(p, random_state=1)
    message = findings(p, again).get("LEAK06").message
    assert "sealed before" in message and "1 times" in message and findings(p, again).get("LEAK06").status.value == "warn"


def test_the_budget_is_the_projects_or_the_seals_own(tmp_path: Path) -> None:
    p = project(tmp_path, frame(), look_budget=2)
    holdout = seal(p)
    assert holdout.seal.budget == 2
    for i in range(3):
        holdout.rows(why=str(i))
    assert findings(p, holdout).get("EVAL01").status.value == "warn" and findings(p, holdout).get("EVAL01").threshold == 2
    (tmp_path / "b").mkdir()
    assert seal(project(tmp_path / "b", frame()), budget=5).seal.budget == 5
    with pytest.raises(InputError, match="budget"):
        seal(Project(p.path), budget=0)


def test_intervals_of_several_looks_hold_together() -> None:
    rng, looks, missed = np.random.default_rng(0), 8, 0
    z = statistics.NormalDist().inv_cdf(0.5 + adjusted_level(0.95, looks) / 2)
    for _ in range(2000):
        missed += bool((np.abs(rng.normal(size=looks)) > z).any())
    assert missed / 2000 < 0.05 + 3 * (0.05 * 0.95 / 2000) ** 0.5
    assert adjusted_level(0.9, 4) == pytest.approx(0.975)


@pytest.mark.parametrize(("variable", "value"), [("JPY_SESSION_NAME", "/some/where/threshold.ipynb"), ("MLNB_NOTEBOOK", "threshold.ipynb")])
def test_a_look_knows_its_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    p = project(tmp_path, frame())
    holdout = seal(p)
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv("MLNB_USER", "R. Diaz")
    holdout.rows(why="final", where="evaluation")
    seen = dict(holdout.looks[-1].body.evidence)
    assert seen == {"by": "R. Diaz", "where": "evaluation", "notebook": "threshold.ipynb"}
    assert "threshold.ipynb" in holdout._repr_html_()


def test_two_processes_seal_one_holdout(tmp_path: Path, side_by_side: Run) -> None:
    p = project(tmp_path, frame(), time="when")
    code = "import sys; from mlnb.data.holdout import seal; from mlnb.core.project import Project; print(seal(Project(sys.argv[1])).seal.hash)"
    hashes = {out.strip() for _, out in side_by_side(*[[code, str(p.path)]] * 2)}
    assert len(hashes) == 1 and hashes == {open_holdout(p).seal.hash}


@pytest.mark.parametrize(("data", "roles", "message"), [
    (pd.DataFrame({"y": [1]}), {}, "one side empty|More rows"),
    (pd.DataFrame({"y": [1, 0] * 9, "t": ["2025-01-01"] * 18, "i": range(18)}), {"time": "t"}, "same time"),
    (pd.DataFrame({"y": [1, 0] * 9, "t": [None] * 17 + ["2025-01-01"], "i": range(18)}), {"time": "t"}, "."),
])
def test_data_that_cannot_be_split_is_refused_in_words(tmp_path: Path, data: pd.DataFrame, roles: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        seal(project(tmp_path, data, **roles))
    assert not (tmp_path / "p" / "holdout" / "seal.json").exists()


def test_odd_columns_survive_the_split(tmp_path: Path) -> None:
    data = frame(100).assign(**{"<script>alert(1)</script>": "x", "row__x": 1.5, "inf": np.inf, "none": None})
    holdout = seal(project(tmp_path, data))
    assert list(holdout.train.columns) == list(data.columns)


def test_a_text_file_whose_words_are_read_as_values_is_split(tmp_path: Path) -> None:
    data = frame(200).assign(y=lambda d: d["y"].map({0: "no", 1: "yes"}), x=lambda d: d["x"].map("{:.4f}0".format))  # a truth, and numbers with idle zeros
    data.to_csv(tmp_path / "d.csv", index=False)
    holdout = seal(Project.create(tmp_path / "p", tmp_path / "d.csv", target="y", entity="who"))
    assert holdout.seal.rows + holdout.seal.train_rows == 200 and shared_rows(holdout) == 0


def test_times_with_mixed_zones_are_one_order(tmp_path: Path) -> None:
    when = [f"2025-01-01T{h:02}:00:00+02:00" for h in range(10, 20)] + [f"2025-01-01T{h:02}:30:00Z" for h in range(8, 18)]  # the same hours in UTC
    data = pd.DataFrame({"when": when, "x": range(20), "y": [0, 1] * 10})
    holdout = seal(project(tmp_path, data, time="when"))
    utc = pd.to_datetime(data["when"], utc=True)
    assert set(holdout.rows(why="t").frame()["x"]) == set(data["x"][utc > pd.Timestamp(holdout.seal.cutoff, tz="UTC")]) and holdout.seal.rows == 3


def test_rows_without_a_time_are_on_neither_side(tmp_path: Path) -> None:
    data = frame(100).assign(when=lambda d: d["when"].dt.strftime("%Y-%m-%d").where(d.index >= 20, "soon"))
    holdout = seal(project(tmp_path, data, time="when"))
    assert holdout.seal.no_time == 20 and holdout.seal.set_aside == 20 and holdout.seal.rows + holdout.seal.train_rows == 80


def test_a_counter_is_a_time(tmp_path: Path) -> None:
    holdout = seal(project(tmp_path, frame(100).assign(when=[2000 + i // 10 for i in range(100)]), time="when"))
    assert (holdout.seal.strategy, holdout.seal.cutoff, holdout.seal.rows) == ("temporal", "2008", 10)


def test_missing_entities_are_each_their_own(tmp_path: Path) -> None:
    data = frame(200).assign(who=[None if i % 2 else f"c{i // 10}" for i in range(200)])
    holdout = seal(project(tmp_path, data, entity="who"))
    train, held = holdout.train.frame()["who"], holdout.rows(why="t").frame()["who"]
    assert train.isna().any() and held.isna().any() and not set(train.dropna()) & set(held.dropna()) and 30 <= len(held) <= 40


def test_entities_larger_than_the_share_and_classes_of_one_row() -> None:
    big = split_rows(100, "grouped", 0.2, entity=np.repeat([0, 1, 2], [60, 25, 15]))
    assert (big.side == 1).sum() == 15
    huge = split_rows(100, "grouped", 0.2, entity=np.repeat([0, 1], [60, 40]))
    assert (huge.side == 1).sum() == 40 and "40%" in huge.note
    many = split_rows(200, "stratified", 0.2, classes=np.arange(200) // 2)  # a hundred classes of two rows
    assert (many.side == 1).sum() == 40 and np.bincount(np.arange(200)[many.side == 1] // 2).max() == 1
    with pytest.raises(InputError, match="one side empty"):
        split_rows(50, "stratified", 0.2, classes=np.arange(50))
    with pytest.raises(InputError, match="most rows have no place in time"):
        split_rows(10, "temporal", time=np.array(["NaT"] * 6 + ["2025-01-01"] * 2 + ["2025-01-02"] * 2, "datetime64[s]"))
