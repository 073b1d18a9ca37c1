"""The split is as hard as the future, and the seal cannot be broken without being seen."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlnb.core.errors import InputError, MissingError
from mlnb.core.project import Project
from mlnb.data.holdout import BUDGET, findings, open_holdout, seal, shared_rows
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


KILLED = """
import sys, os, signal
import mlnb.data.holdout as h
from mlnb.core.project import Project
real = os.replace
def replace(a, b):
    real(a, b)
    if str(b).endswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
os.replace = replace
h.os.replace = replace
h.seal(Project(sys.argv[1]))
"""


@pytest.mark.parametrize("after", ["train.parquet", "holdout.parquet"])
def test_a_kill_in_the_middle_leaves_no_half_seal(tmp_path: Path, after: str) -> None:
    p = project(tmp_path, frame())
    process = subprocess.run([sys.executable, "-c", KILLED, str(p.path), after], check=False)
    assert process.returncode == -signal.SIGKILL
    with pytest.raises(MissingError, match="mlnb run data"):
        open_holdout(p)
    holdout = seal(p)
    assert holdout.seal.rows + holdout.seal.train_rows == 300 and holdout.rows(why="t").rows == holdout.seal.rows


def test_two_processes_seal_one_holdout(tmp_path: Path) -> None:
    p = project(tmp_path, frame(), time="when")
    code = "import sys; from mlnb.data.holdout import seal; from mlnb.core.project import Project; print(seal(Project(sys.argv[1])).seal.hash)"
    running = [subprocess.Popen([sys.executable, "-c", code, str(p.path)], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    hashes = {process.communicate(timeout=120)[0].strip() for process in running}
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
