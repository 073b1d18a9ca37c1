"""What profiles keep beside counts, and row by row: exact oracles, parts against the whole, restarts, threads, and rows that are none."""

from __future__ import annotations

import json
import math
import threading
from collections import Counter

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from mlnb.core.errors import InputError
from mlnb.core.tables import open_table
from mlnb.monitoring import counters, parquet, scan
from mlnb.monitoring.chance import psi_limit, unseen
from mlnb.monitoring.column import ColumnProfile, merge_columns
from mlnb.monitoring.counters import Question, counter, find_edges
from mlnb.monitoring.distinct import REGISTERS, estimate_distinct, merge_marks
from mlnb.monitoring.drift import compare
from mlnb.monitoring.parquet import open_parquet
from mlnb.monitoring.profile import Profile, profile
from mlnb.monitoring.quantiles import centre
from mlnb.monitoring.scan import count_numbers
from mlnb.monitoring.stream import PENDING, StreamProfile
from mlnb.monitoring.tails import chi_square_limit, chi_square_tail, gamma_tail


def near(a: ColumnProfile, b: ColumnProfile) -> bool:
    """The same moments, to rounding."""
    pairs = ((a.mean, b.mean), (a.variance, b.variance))
    return all(x is y is None or x == pytest.approx(y, rel=1e-6) for x, y in pairs)


# quantiles

anything = st.floats(-1e12, 1e12) | st.integers(-3, 3).map(float) | st.sampled_from([1e300, -1e300, 1e-300, 5e-324, 1e9, 1e9 + 1e-6])


@settings(max_examples=150, deadline=None)
@given(st.lists(anything, min_size=1, max_size=120), st.lists(anything, min_size=1, max_size=120), st.floats(0, 1))
def test_quantiles_lie_between_their_bounds_in_parts_and_whole(a, b, share):
    edges = find_edges(np.array(a))
    parts, whole = [count_numbers(np.array(x), edges) for x in (a, b)], count_numbers(np.array(a + b), edges)
    merged = merge_columns(*parts)
    assert (merged.cells, merged.counts, merged.registers) == (whole.cells, whole.counts, whole.registers)
    exact = np.sort(a + b)[max(math.ceil(share * len(a + b)), 1) - 1]
    for column in (merged, whole):
        found = column.quantile(share)
        assert found.low <= exact <= found.high and found.low <= found.value <= found.high


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.01, 0.1, 0.5, 0.9, 0.99, 0.999]), st.floats(-1e9, 1e9), st.floats(1e-3, 1e6))
def test_bounds_are_as_narrow_as_is_said(seed, share, shift, scale):
    rng = np.random.default_rng(seed)
    values = shift + scale * rng.standard_t(3, 4000)
    column = count_numbers(values, find_edges(values[:2000]))
    found, edges = column.quantile(share), column.edges
    exact = np.quantile(values, share, method="inverted_cdf")
    slack = 16 * np.spacing(abs(shift) + 1e4 * scale)
    assert found.high - found.low <= max(abs(exact - centre(edges)) / 16, (edges[-1] - edges[0]) / 32) * 1.07 + slack


def test_quantiles_without_cells_are_bounded_by_the_edges():
    values = np.random.default_rng(0).normal(size=5000)
    column = profile(pd.DataFrame({"x": values})).columns["x"]
    data = {key: value for key, value in column.to_dict().items() if key not in ("cells", "registers")}
    found = type(column).from_dict(data).quantile(0.42)
    assert found.low <= np.quantile(values, 0.42) <= found.high and found.high - found.low < 0.2
    with pytest.raises(InputError, match="0 to 1"):
        column.quantile(42)


# different values


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60_000), st.integers(0, 60_000), st.integers(0, 2**32))
def test_registers_of_parts_are_those_of_the_whole_and_near_the_truth(n, m, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.random(n), rng.random(m)
    b = np.r_[b, a[: n // 2]]
    first, second, whole = (count_numbers(x, ()) for x in (a, b, np.r_[a, b]))
    assert merge_marks(first.registers, second.registers) == whole.registers
    assert abs(estimate_distinct(whole.registers) / whole.distinct - 1) < 6 * 1.04 / math.sqrt(REGISTERS)
    merged = merge_columns(first, second)
    assert max(first.distinct, second.distinct) <= merged.distinct <= first.distinct + second.distinct


def test_the_error_of_the_estimate_is_as_large_as_is_said():
    rng = np.random.default_rng(0)
    off = [estimate_distinct(count_numbers(rng.random(5000), ()).registers) / 5000 - 1 for _ in range(200)]
    assert abs(np.mean(off)) < 0.012 and 0.75 < np.std(off) / (1.04 / math.sqrt(REGISTERS)) < 1.2


def test_texts_and_categories_merge_their_number_of_values():
    ids = [f"user-{i}" for i in range(6000)]
    reference = profile(pd.DataFrame({"who": ids}))
    first, second = (profile(pd.DataFrame({"who": part}), edges_from=reference) for part in (ids[:4000], ids[3000:]))
    assert first.merge(second).columns["who"].distinct == pytest.approx(6000, rel=0.2)
    many = pd.DataFrame({"x": [f"v{i % 1500}" for i in range(6000)]})
    parts = [profile(many[a:b].reset_index(drop=True)) for a, b in ((0, 3000), (3000, 6000))]
    assert parts[0].columns["x"].rest and parts[0].merge(parts[1]).columns["x"].distinct == pytest.approx(1500, rel=0.2)
    few = profile(pd.DataFrame({"x": ["a", "b"] * 50}))
    assert few.merge(parts[0]).columns["x"].distinct == pytest.approx(1502, rel=0.2)  # one list is whole, the other is not


# frequent values


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(1, 40).map(lambda i: f"v{min(i, 60 // i)}"), min_size=1, max_size=80), min_size=1, max_size=6))
def test_counts_of_a_full_tally_are_too_low_by_no_more_than_is_said(pieces):
    saved = counters.HELD, counters.FREQUENT
    counters.HELD, counters.FREQUENT = 4, 3
    try:
        counted = counter(Question("categorical", values=("v7",)))
        for piece in pieces:
            counted.add(pa.array(piece))
        found, exact = counted.result(), Counter(x for piece in pieces for x in piece)
    finally:
        counters.HELD, counters.FREQUENT = saved
    kept = dict(found.values)
    assert all(n <= exact[value] <= n + found.short for value, n in kept.items())
    assert all(n <= found.unlisted for value, n in exact.items() if value not in kept)
    assert found.present == sum(kept.values()) + found.rest and found.short <= sum(exact.values()) / 4
    assert kept.get("v7", 0) == exact["v7"] or exact["v7"] and "v7" in kept  # known values are exact


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 30).map(lambda i: f"v{i * i // 30}"), min_size=1, max_size=120), min_size=2, max_size=4))
def test_merged_lists_say_how_wrong_they_may_be(pieces):
    saved, counters.FREQUENT = counters.FREQUENT, 3
    try:
        columns = []
        for piece in pieces:
            counted = counter(Question("categorical"))
            counted.add(pa.array(piece))
            columns.append(counted.result())
    finally:
        counters.FREQUENT = saved
    merged = columns[0]
    for column in columns[1:]:
        merged = merge_columns(merged, column)
    kept, exact = dict(merged.values), Counter(x for piece in pieces for x in piece)
    assert all(n <= exact[value] <= n + merged.short for value, n in kept.items())
    assert all(n <= merged.unlisted for value, n in exact.items() if value not in kept)
    assert merged.present == sum(kept.values()) + merged.rest == sum(exact.values())


# the tails, against SciPy


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 600), st.floats(1e-6, 3000), st.floats(1e-12, 0.999))
def test_tails_agree_with_scipy(free, x, alpha):
    assert chi_square_tail(free, x) == pytest.approx(special.chdtrc(free, x), rel=1e-9, abs=1e-290)
    assert chi_square_limit(free, alpha) == pytest.approx(special.chdtri(free, alpha), rel=1e-9)
    assert gamma_tail(free / 3, x / 2) == pytest.approx(special.gammaincc(free / 3, x / 2), rel=1e-8, abs=1e-280)


def test_limits_of_drift_agree_with_scipy():
    assert psi_limit(10, 500, 800) == pytest.approx((1 / 500 + 1 / 800) * stats.chi2.isf(0.05, 9))
    assert unseen(7, 3, 1000, 500) == pytest.approx(stats.binom.sf(6, 11, 1 / 3))


# Parquet


def table(rows: int = 6000, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table({
        "x": pa.array(rng.normal(size=rows), mask=rng.random(rows) < 0.1), "n": rng.integers(0, 500, rows), "small": pa.array(rng.integers(0, 3, rows), pa.int8()),
        "plan": pa.array(rng.choice(["a", "b", "c"], rows), mask=rng.random(rows) < 0.05), "flag": rng.random(rows) < 0.5,
        "day": pa.array(rng.integers(0, 300, rows).astype("datetime64[D]")), "at": pa.array(rng.integers(0, 10**9, rows), pa.timestamp("s")),
        "said": [" ".join(["word"] * k) + str(i) for i, k in enumerate(rng.integers(3, 20, rows))], "written": [f"{v:.2f}" for v in rng.normal(size=rows)],
        "none": pa.nulls(rows, pa.float64()),
        "coded": pa.array(rng.choice(["p", "q"], rows)).dictionary_encode()})  # fmt: skip


@pytest.mark.parametrize("held", [True, False])
def test_parquet_read_directly_gives_what_the_database_gives(tmp_path, monkeypatch, held):
    pq.write_table(table(), tmp_path / "a.parquet", row_group_size=700)
    monkeypatch.setattr(parquet, "PIECE", 300)
    if not held:
        monkeypatch.setattr(scan, "IN_MEMORY", 0)
        monkeypatch.setattr(scan, "SAMPLE", 10**9)
        monkeypatch.setattr(parquet, "GROUPS", 10**9)
    source = open_parquet(tmp_path / "a.parquet")
    direct, usual = profile(source), profile(open_table(tmp_path / "a.parquet"))
    assert source is not None and list(direct.columns) == list(usual.columns)
    for name, a in direct.columns.items():
        b = usual.columns[name]
        assert (a.kind, a.rows, a.missing, a.edges, a.counts, a.values, a.unread) == (b.kind, b.rows, b.missing, b.edges, b.counts, b.values, b.unread), name
        assert a.registers == b.registers or a.kind == "datetime", name
        assert near(a, b) and a.low == b.low, name


@pytest.mark.parametrize("odd", [
    pa.table({"x": [[1], [2]]}), pa.table({"x": pa.array([1, 2]).cast(pa.decimal128(21, 2))}),
    pa.table({"x": pa.array([1, 2], pa.timestamp("s", "UTC"))}), pa.table({"x": [1], "X": [2]}), pa.table({"x": pa.array([], pa.int64())})])  # fmt: skip
def test_unusual_files_are_left_to_the_database(tmp_path, odd):
    pq.write_table(odd, tmp_path / "a.parquet")
    assert open_parquet(tmp_path / "a.parquet") is None
    (tmp_path / "b.parquet").write_bytes(b"PAR1 no")
    assert open_parquet(tmp_path / "b.parquet") is None and open_parquet(tmp_path) is None
    with pytest.raises(InputError):
        profile(tmp_path / "b.parquet")


def test_a_comparison_of_parquet_loads_neither_pandas_nor_a_database(tmp_path):
    import subprocess
    import sys

    for seed in (0, 1):
        pq.write_table(table(400_000 // 12, seed).drop(["written", "day", "at"]), tmp_path / f"{seed}.parquet")
    code = ("import sys; from mlnb.monitoring.drift import compare; r = compare(*sys.argv[1:]); assert len(r.columns) == 8; "
            "print([m for m in ('pandas', 'scipy', 'ibis', 'duckdb', 'matplotlib') if m in sys.modules])")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code, *(str(tmp_path / f"{s}.parquet") for s in (0, 1))], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr[-2000:]


def test_segments_are_profiles_of_their_rows(tmp_path, monkeypatch):
    pq.write_table(table(), tmp_path / "a.parquet")
    frame = table().to_pandas()
    for large in (False, True):
        if large:
            monkeypatch.setattr(scan, "IN_MEMORY", 0)
        for data in (tmp_path / "a.parquet", open_table(tmp_path / "a.parquet")):
            made = profile(data, by="plan", segments=2)
            assert list(made.segments) == list(frame["plan"].value_counts().index[:2])
            for value, part in made.segments.items():
                rows = frame[frame["plan"] == value]
                assert part.rows == len(rows) and part.columns["n"].mean == pytest.approx(rows["n"].mean())
                assert part.columns["x"].missing == rows["x"].isna().sum() and part.columns["x"].edges == made.columns["x"].edges
    again = Profile.from_json(made.to_json())
    assert again == made and all(part.rows == 2 * made.segments[value].rows for value, part in made.merge(again).segments.items())
    with pytest.raises(InputError, match="by="):
        made.merge(profile(tmp_path / "a.parquet", edges_from=Profile(made.rows, made.columns)))


# files of other versions and models


def test_files_of_version_1_are_read_compared_and_added():
    data = profile(table().to_pandas()).to_dict()
    data["version"] = 1
    for column in data["columns"].values():
        for key in ("cells", "registers", "unlisted", "short"):
            column.pop(key, None)
    old = Profile.from_json(json.dumps(data))
    new = profile(table(500, 1).to_pandas(), edges_from=old)
    merged = old.merge(new)
    assert merged.rows == 6500 and merged.columns["x"].quantile(0.5) is not None and merged.columns["x"].cells == ()
    assert not compare(old, new).drifted


def test_profiles_of_other_models_are_told_apart():
    frame = table().to_pandas()
    first = profile(frame, model="EXP-1")
    second = profile(frame, edges_from=first, model="EXP-2")
    assert any("EXP-1" in note and "EXP-2" in note for note in compare(first, second).notes)
    assert Profile.from_json(first.to_json()).model == "EXP-1"
    with pytest.raises(InputError, match="different"):
        first.merge(second)


# row by row


def reference_and_rows() -> tuple[Profile, pd.DataFrame]:
    data = table().to_pandas().drop(columns=["day", "none"])
    return profile(data), table(2500, 7).to_pandas().drop(columns=["day", "none"])


def assert_same(a: Profile, b: Profile) -> None:
    assert a.rows == b.rows
    for name, c in b.columns.items():
        d = a.columns[name]
        assert (d.rows, d.missing, d.unread, d.counts, dict(d.values), d.cells, d.infinite) == (
            c.rows, c.missing, c.unread, c.counts, dict(c.values), c.cells, c.infinite), name
        assert near(d, c) and (d.low, d.high) == (c.low, c.high), name


@pytest.mark.parametrize("way", ["rows", "lists", "frame", "arrow", "mixed"])
def test_rows_as_they_come_give_the_profile_of_all(way):
    reference, frame = reference_and_rows()
    stream = StreamProfile(reference)
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    if way == "rows":
        for row in rows:
            stream.update(row)
    elif way == "lists":
        for start in range(0, len(rows), 317):
            stream.update(rows[start:start + 317])
    elif way == "mixed":
        stream.update(rows[0])
        stream.update(frame[1:900])
        stream.update(rows[900:])
    else:
        stream.update(frame if way == "frame" else pa.Table.from_pandas(frame, preserve_index=False))
    assert_same(stream.profile(), profile(frame, edges_from=reference))


def test_odd_cells_extra_and_missing_columns():
    reference, _ = reference_and_rows()
    stream = StreamProfile(reference, columns=["x", "plan", "small"])
    stream.update([{"x": "1.5", "plan": ["a"], "extra": 1}, {"x": "many"}, {"x": None, "plan": float("nan"), "small": True}, {"x": math.inf, "plan": " "},
                   {"x": float("nan"), "plan": 3, "small": 2**70}, {}])  # fmt: skip
    made = stream.profile().columns
    assert (made["x"].rows, made["x"].missing, made["x"].unread, made["x"].infinite) == (6, 4, 1, (0, 1))
    assert made["plan"].missing == 4 and dict(made["plan"].values).keys() >= {"3", "['a']"}
    assert made["small"].missing == 4 and made["small"].high == float(2**70)
    for wrong in ([3], "text", 5, [None]):
        with pytest.raises(InputError):
            stream.update(wrong)
    assert stream.profile().rows == 6


def test_windows_and_restarts(tmp_path):
    reference, frame = reference_and_rows()
    stream = StreamProfile(reference)
    stream.update(frame[:1200])
    first = stream.roll()
    assert first.rows == 1200 and stream.profile().rows == 0
    stream.update(frame[:1000])
    again = StreamProfile.load(stream.save(tmp_path / "s.json"), reference)
    again.update(frame[1000:])
    assert_same(again.roll(), profile(frame, edges_from=reference))
    assert again.roll().rows == 0
    with pytest.raises(InputError, match="edges_from"):
        StreamProfile.load(tmp_path / "s.json", profile(table(300, 5).to_pandas()), columns=["x", *(n for n in reference.columns if n != "x")])


def test_threads_lose_no_row():
    reference, frame = reference_and_rows()
    stream, rows = StreamProfile(reference), frame.to_dict("records")
    seen = []

    def add() -> None:
        for row in rows[:1500]:
            stream.update(row)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        seen.append(stream.profile().rows)
    assert stream.profile().rows == 6000 and seen == sorted(seen)


def test_segments_and_memory_of_a_stream():
    data = table().to_pandas()[["x", "plan", "n"]]
    reference = profile(data, by="plan", segments=2)
    stream = StreamProfile(reference)
    stream.update(data[:2000])
    stream.update(data[2000:].astype(object).where(data[2000:].notna(), None).to_dict("records"))
    for part, whole in reference.segments.items():
        assert stream.profile().segments[part].columns["x"].counts == whole.columns["x"].counts
    held = counters.HELD
    for start in range(0, 5 * held, PENDING):
        stream.update([{"plan": f"p{i}"} for i in range(start, start + PENDING)])
    assert len(stream._rows.counters[""]["plan"].tally) <= 2 * held + PENDING
