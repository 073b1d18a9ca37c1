"""What makes the leak audit fast changes nothing of what it says: each shortcut against the long way."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlnb.core.column_kinds import column_kinds, column_measures
from mlnb.core.tables import open_table
from mlnb.data.certainty import words
from mlnb.data.filling_marks import _repeated
from mlnb.data.group_screen import between, may_follow
from mlnb.data.leakage import audit
from mlnb.data.marks import PAIRS, Sides
from mlnb.data.near_rows import _smallest
from mlnb.data.overlap import overlap
from mlnb.data.row_keys import RowKeys, about_distinct
from mlnb.data.sample import Held, held, sample_rows, spread_rows
from mlnb.data.series import orders
from mlnb.data.time_screen import best_copies, may_know_target
from mlnb.data.time_travel import _squared, knows_target

CITIES = np.array(["Oslo", "oslo", " Oslo.", "Bergen", "Bergen, Norway", "Norway Bergen", "", "Tromsø"], dtype=object)


def mixed(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Every kind of column, with gaps."""
    gap = rng.random(n) < 0.15
    return pd.DataFrame({
        "city": np.where(gap, None, CITIES[rng.integers(0, len(CITIES), n)]),
        "rooms": rng.integers(1, 4, n),
        "area": np.where(rng.random(n) < 0.2, np.nan, rng.normal(50, 20, n).round(0)),
        "lift": rng.random(n) < 0.5,
        "built": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 3, n), "D") + pd.to_timedelta(rng.integers(0, 2, n) * 300, "ms"),
        "sold": rng.choice(["yes", "Yes.", "no"], n),
    })  # fmt: skip


# rows


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_rows_compared_in_memory_are_those_the_engine_compares(seed: int) -> None:
    rng = np.random.default_rng(seed)
    train, test = mixed(150, rng), mixed(60, rng)
    test.iloc[:5] = train.iloc[rng.integers(0, 150, 5)].to_numpy()
    test = test.astype(train.dtypes.to_dict())
    engine = overlap(open_table(train), open_table(test), "sold", "rooms")
    memory = overlap(held(open_table(train)), held(open_table(test)), "sold", "rooms")
    assert isinstance(held(open_table(train)), Held) and memory.columns == engine.columns
    assert (memory.entities, memory.entity_rows, memory.rows) == (engine.entities, engine.entity_rows, engine.rows)
    for ours, theirs in ((memory.exact, engine.exact), (memory.near, engine.near)):
        assert (ours.rows, ours.pairs, ours.same_target, ours.agree) == (theirs.rows, theirs.pairs, theirs.same_target, theirs.agree)
        assert ours.inside == pytest.approx(theirs.inside) and len(ours.examples) == len(theirs.examples)
        assert {tuple(row) for row in ours.examples} == {tuple(row) for row in theirs.examples}


def test_examples_are_plain_values_as_the_engine_gives_them() -> None:
    rng = np.random.default_rng(1)
    train, test = mixed(100, rng), mixed(40, rng)
    test.iloc[0] = train.iloc[7].to_numpy()
    test = test.astype(train.dtypes.to_dict())
    engine, memory = (overlap(form(open_table(train)), form(open_table(test)), "sold").exact for form in (lambda t: t, held))
    assert memory.examples == engine.examples and [type(v) for v in memory.examples[0].values()] == [type(v) for v in engine.examples[0].values()]


@pytest.mark.parametrize("frame", [
    pd.DataFrame({"a": [0.0, -0.0, np.nan], "b": [1, 2, 3]}),
    pd.DataFrame({"a": pd.to_datetime(["2020-01-01", None, "2021-01-01"]), "b": ["x", None, ""]}),
    pd.DataFrame({"a": [[1], [2], None], "b": [2**62, 2**62 + 1, -1]}),
])  # fmt: skip
def test_equal_values_have_equal_keys_and_others_do_not(frame: pd.DataFrame) -> None:
    keys = RowKeys(frame, frame.iloc[::-1].reset_index(drop=True), frozenset({"b"} if frame["b"].dtype.kind not in "iuf" else set()))
    for name in frame.columns:
        left, right = keys.of(name)
        assert (left == right[::-1]).all()
        assert len(np.unique(left)) == frame[name].map(str).replace("-0.0", "0.0").nunique()
    left, right = keys.total(["a", "b"])
    assert (left == right[::-1]).all() and len(np.unique(left)) == 3


def test_columns_in_other_order_are_other_rows() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": [2, 1]})
    assert len(np.unique(RowKeys(frame, frame).total(["a", "b"])[0])) == 2


@given(st.integers(1, 60_000), st.integers(0, 100))
@settings(max_examples=15, deadline=None)
def test_distinct_values_are_counted_to_a_hundredth(many: int, seed: int) -> None:
    frame = pd.DataFrame({"a": np.random.default_rng(seed).permutation(np.arange(60_000) % many)})
    assert abs(about_distinct(RowKeys(frame, frame).of("a")[0]) - many) <= 0.01 * many + 1


def test_a_held_table_gives_the_same_sample() -> None:
    rng = np.random.default_rng(0)
    table = open_table(mixed(5_000, rng))
    for most, state in ((700, 0), (700, 3), (9_000, 0)):
        pd.testing.assert_frame_equal(sample_rows(table, most, random_state=state), sample_rows(held(table), most, random_state=state))
    assert len(spread_rows(100, 100)) == 100 and len(spread_rows(0, 10)) == 0


@given(st.integers(0, 10_000), st.integers(1, 500), st.integers(1, 6))
@settings(max_examples=25, deadline=None)
def test_the_smallest_of_each_row(seed: int, n: int, k: int) -> None:
    k = min(k, n)
    rng = np.random.default_rng(seed)
    padded = -(-n // 64) * 64
    far = np.full((7, padded), np.inf, np.float32)
    far[:, :n] = rng.random((7, n))
    found = _smallest(far, k)
    assert (np.sort(np.take_along_axis(far, found, axis=1), axis=1) == np.sort(far, axis=1)[:, :k]).all()
    assert (np.sort(found, axis=1)[:, 1:] != np.sort(found, axis=1)[:, :-1]).all()


# time


def told(rng: np.random.Generator, n: int, machines: int) -> tuple[pd.DataFrame, np.ndarray]:
    """A target that moves slowly, and columns that know it at all distances and in all forms, honest ones among them."""
    who = np.repeat(np.arange(machines), n // machines)
    y = pd.Series(rng.normal(size=len(who))).groupby(who).transform(lambda s: s.ewm(span=5).mean())
    by = y.groupby(who)
    frame = pd.DataFrame({
        "machine": who, "day": np.tile(np.arange(n // machines), machines), "y": y, "noise": rng.normal(size=len(who)),
        "next": by.shift(-1), "far": by.shift(-9) * 2 + 5, "lag": by.shift(1), "sum": by.cumsum(), "mean": by.transform(lambda s: s.expanding().mean()),
        "centre": by.transform(lambda s: s.rolling(5, center=True).mean()), "past": by.transform(lambda s: s.shift(1).rolling(4).mean()),
        "smooth": by.transform(lambda s: s.ewm(alpha=0.3).mean()), "blurred": by.shift(-1) + rng.normal(0, 0.1 * y.std(), len(who)), "same": y * 2, "one": 1.0,
    })  # fmt: skip
    gaps = rng.random(frame.shape) < 0.1
    holes = frame.mask(gaps).drop(columns=["machine", "day", "y"]).add_suffix("_")
    return pd.concat([frame, holes], axis=1), y.to_numpy()


@pytest.mark.parametrize("machines", [1, 6])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_column_that_knows_the_target_is_passed_over(seed: int, machines: int) -> None:
    frame, _ = told(np.random.default_rng(seed), 720, machines)
    series = orders(frame, "day", "machine")[0]
    names = [name for name in frame.columns if name not in ("machine", "day", "y")]
    y, numbers = (frame[part].to_numpy(float)[series.rows] for part in ("y", names))
    asked = may_know_target(numbers, y, series)
    knows = np.array([knows_target(name, numbers[:, i], y, series, "y") is not None for i, name in enumerate(names)])
    assert knows.sum() >= 5 and not (knows & ~asked).any()
    assert not asked[[names.index("noise"), names.index("noise_"), names.index("one")]].any()


@pytest.mark.parametrize("machines", [1, 6])
def test_the_best_copy_is_that_of_all_distances(machines: int) -> None:
    frame, _ = told(np.random.default_rng(3), 600, machines)
    series = orders(frame, "day", "machine")[0]
    names = [name for name in frame.columns if name not in ("machine", "day", "one", "one_")]
    numbers, y = frame[names].to_numpy(float)[series.rows], frame["y"].to_numpy()[series.rows]
    far = int(np.clip(series.length // 3, 1, 60))
    slowly = [max(_squared(numbers[:, i], series.shifted(y, k))[0] for k in range(1, far + 1)) for i in range(len(names))]
    np.testing.assert_allclose(best_copies(numbers, y, series), slowly, atol=1e-9)


# groups


def test_the_share_between_groups_is_that_of_pandas() -> None:
    rng = np.random.default_rng(0)
    groups = [rng.integers(-1, many, 500) for many in (3, 8, 40)]
    numbers = np.column_stack([rng.normal(size=500), groups[0] * 2.0, np.where(rng.random(500) < 0.3, np.nan, groups[1] + rng.normal(size=500))])
    found = between(numbers, groups)
    for i in range(3):
        there = np.isfinite(numbers[:, i])
        for j in range(3):
            x = pd.Series(numbers[there, i])
            exact = x.groupby(groups[j][there]).transform("mean").var(ddof=0) / x.var(ddof=0)
            assert found[i, j] == pytest.approx(exact, abs=1e-4)


def test_an_encoding_is_found_among_a_million_pairs() -> None:
    rng = np.random.default_rng(0)
    n, wide = 900, 300
    frame = pd.DataFrame({f"k{i}": rng.integers(0, 6, n) for i in range(wide)} | {f"c{i}": rng.choice(list("abcdefghij"), n) for i in range(wide)})
    frame["y"] = (rng.random(n) < 0.4).astype(int)
    frame["told"] = frame.groupby("c7")["y"].transform("mean")
    train, test = frame[:600], frame[600:].reset_index(drop=True)
    sides = Sides(train, test, "y")
    pairs = sum(len(sides.sources(name)) for name in sides.numeric)
    assert len(sides.numeric) * len(sides.groupings) > 20 * PAIRS and pairs < PAIRS
    assert "c7" in dict(sides.sources("told"))
    found = audit(train, test, "y").findings
    assert found.get("LEAK03").columns == ("told",)
    assert found.get("LEAK08").status.value == "pass" and "Not every pair was tried: 301 columns" in found.get("LEAK08").message


def test_every_function_of_a_group_is_worth_a_look() -> None:
    rng = np.random.default_rng(1)
    groups = [rng.integers(0, many, 6_000) for many in (2, 20, 150, 2_000)]
    numbers = np.column_stack([rng.normal(size=int(codes.max()) + 1)[codes] for codes in groups])
    assert may_follow(numbers, groups, head=4_000).diagonal().all()


# counting


@given(st.integers(2, 3_000), st.floats(0.5, 2_000), st.integers(4, 10_000))
@settings(max_examples=200, deadline=None)
def test_the_chance_of_a_repetition_is_the_tail_of_poisson(count: int, usual: float, values: int) -> None:
    from scipy.stats import poisson

    assert _repeated(count, usual, values) == pytest.approx(min(poisson.sf(count - 1, usual) * values, 1.0), rel=1e-9, abs=1e-300)


def test_words_are_counted_once_a_row() -> None:
    texts = pd.Series(["late parcel, late", "good", None, "late parcel, late", "AB-12", "good"])
    place, word, names = words(texts)
    found = {(int(row), names[code]) for row, code in zip(place, word, strict=True)}
    for row, text in enumerate(texts.fillna("")):
        mine = re.findall(r"\w+", text.lower())
        parts = set() if len(mine) > 2 else {*re.findall(r"[a-z]+|\d+", text.lower()), *(f"{text[:k]}…" for k in (1, 2, 3)), f"…{text[-1:]}"}
        assert {name for r, name in found if r == row} == {*mine} | parts
    assert len(found) == len(place)


def test_kinds_of_a_wide_table_are_those_of_its_parts() -> None:
    rng = np.random.default_rng(0)
    n = 120
    kinds = {"number": rng.normal(size=n), "word": rng.choice(["a", "b ", ""], n), "digits": rng.integers(0, 99, n).astype(str),
             "day": pd.date_range("2024-01-01", periods=n).strftime("%Y-%m-%d"), "code": [f"id{k}" for k in rng.permutation(n)],
             "prose": [" ".join(rng.choice(list("abcdefgh"), 7)) for _ in range(n)], "same": ["x"] * n, "nothing": [None] * n,
             "zoned": ["2024-01-01T00:00:00+01:00" if k % 2 else "2024-01-01T00:00:00" for k in range(n)]}  # fmt: skip
    wide = pd.DataFrame({f"{name} {i}": values for i in range(40) for name, values in kinds.items()})
    table = open_table(wide).expr
    narrow = table.select(table.columns[: len(kinds)])
    expected = column_kinds(narrow, column_measures(narrow))
    assert {name.split()[0]: kind for name, kind in column_kinds(table).items()} == {name.split()[0]: kind for name, kind in expected.items()}
    assert set(expected.values()) == {"numeric", "categorical", "datetime", "id", "text", "constant", "empty"}
