"""Point-in-time joins and windows against a slow loop over rows that reads the definition word by word."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ibis
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlnb.core.errors import InputError
from mlnb.core.records_data import FeatureStore, seconds_of
from mlnb.core.tables import open_table
from mlnb.data.store_join import add_features, check_keys, open_spine
from mlnb.data.store_source import changes, open_view
from mlnb.data.store_windows import change_points

DAY = dt.datetime(2026, 3, 1)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata")
AGGREGATIONS = ("count", "sum", "mean", "min", "max", "last")


def view(ttl: str = "", known: bool = True, windows: Sequence[str] = (), keys: Sequence[str] = ("user_id",)) -> FeatureStore:
    features: list[dict[str, str]] = [{"name": "user_x_all_last", "column": "x"}, {"name": "user_y_all_last", "column": "y"}]
    if windows:
        features = [{"name": f"user_x_{w}_{a}", "column": "x", "window": w, "aggregation": a} for w in windows for a in AGGREGATIONS]
        features.append({"name": f"user_rows_{windows[0]}_count", "window": windows[0], "aggregation": "count"})
    return FeatureStore(
        entities=[{"name": "user", "keys": list(keys)}],
        views=[{"name": "v", "entity": "user", "source": "v.parquet", "event_time": "event", "known_time": "known" if known else "",
                "ttl": ttl, "features": features}])


def join(folder: Path, store: FeatureStore, spine: pd.DataFrame | pa.Table, engine: str = "duckdb") -> pd.DataFrame:
    source = open_view(store, "v", folder, engine)
    table = open_table(spine, name="spine")
    rows = open_spine(table, source.keys, "due")
    return add_features(rows, [(source, [feature.name for feature in store.views[0].features])]).to_pandas()


# A history in which everything happens: late arrivals, exact duplicates, ties in each time, gaps in every column.
minutes = st.integers(0, 12).map(lambda n: n * 30)
row = st.tuples(st.sampled_from([1, 2, None]), st.one_of(st.none(), minutes), st.one_of(st.none(), minutes),
                st.one_of(st.none(), st.sampled_from([0.5, 1.0, -2.0, 4.0])), st.one_of(st.none(), st.sampled_from("abc")))
history = st.lists(row, max_size=14)
asks = st.lists(st.tuples(st.sampled_from([1, 2, 3]), minutes), min_size=1, max_size=8)


def at(minute: int | None) -> dt.datetime | None:
    return None if minute is None else DAY + dt.timedelta(minutes=minute)


def write(folder: Path, rows: Sequence[tuple[Any, ...]], zone: str = "") -> None:
    """The history as a file; with a zone the same moments are stored as local times of that zone."""
    kind = pa.timestamp("us", tz=zone or None)
    columns = list(zip(*rows, strict=True)) if rows else [()] * 5
    times = [pa.array([at(m) if not zone or m is None else at(m).replace(tzinfo=dt.UTC) for m in column], kind) for column in columns[1:3]]
    pq.write_table(pa.table({"user_id": pa.array(columns[0], pa.int64()), "event": times[0], "known": times[1],
                             "x": pa.array(columns[3], pa.float64()), "y": pa.array(columns[4], pa.string())}), folder / "v.parquet")


def usable(rows: Sequence[tuple[Any, ...]], user: int, due: int, known: bool) -> list[tuple[Any, ...]]:
    return [r for r in rows if r[0] == user and r[1] is not None and r[1] <= due and (not known or r[2] is not None and r[2] <= due)]


def oracle(rows: Sequence[tuple[Any, ...]], user: int, due: int, ttl: int | None, known: bool) -> tuple[Any, Any]:
    """The row that came to hold last, of those the one written last, of those the one that sorts last; unless too old."""
    best = max(usable(rows, user, due, known), default=None,
               key=lambda r: (r[1], r[2] if known else 0, r[3] is not None, r[3] or 0, r[4] is not None, r[4] or ""))
    if best is None or ttl is not None and (due - best[1]) * 60 > ttl:
        return None, None
    return best[3], best[4]


def same(a: Any, b: Any) -> bool:
    gone = [v is None or v is pd.NA or isinstance(v, float) and math.isnan(v) for v in (a, b)]
    return all(gone) or not any(gone) and (a == b or isinstance(a, float) and math.isclose(a, b))


slow = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@slow
@given(rows=history, asked=asks, ttl=st.sampled_from(["", "1h", "90m", "1d"]), known=st.booleans(), zone=st.sampled_from(["", *ZONES]),
       spine_zone=st.sampled_from(["", *ZONES]))
def test_join_is_what_the_loop_says(tmp_path: Path, rows: list, asked: list, ttl: str, known: bool, zone: str, spine_zone: str) -> None:
    if not rows:
        rows = [(9, 0, 0, 1.0, "a")]
    write(tmp_path, rows, zone)
    due = [at(m).replace(tzinfo=dt.UTC) if spine_zone else at(m) for _, m in asked]
    spine = pa.table({"user_id": pa.array([user for user, _ in asked], pa.int64()), "due": pa.array(due, pa.timestamp("us", tz=spine_zone or None))})
    got = join(tmp_path, view(ttl, known), spine)
    assert got["user_id"].tolist() == [user for user, _ in asked]
    for (user, minute), x, y in zip(asked, got["user_x_all_last"], got["user_y_all_last"], strict=True):
        want = oracle(rows, user, minute, seconds_of(ttl), known)
        assert same(x, want[0]) and same(y, want[1]), (user, minute, x, y, want)


@slow
@given(rows=history, asked=asks, known=st.booleans(), windows=st.sampled_from([("1h",), ("30m", "2h"), ("3h", "1h", "45m")]))
def test_windows_are_what_the_loop_says(tmp_path: Path, rows: list, asked: list, known: bool, windows: tuple[str, ...]) -> None:
    if not rows:
        rows = [(9, 0, 0, 1.0, "a")]
    write(tmp_path, rows)
    spine = pd.DataFrame({"user_id": [user for user, _ in asked], "due": [at(m) for _, m in asked]})
    got = join(tmp_path, view(known=known, windows=windows), spine)
    for (user, minute), values in zip(asked, got.to_dict("records"), strict=True):
        for window in windows:
            inside = [r for r in usable(rows, user, minute, known) if (minute - r[1]) * 60 < seconds_of(window)]
            xs = [r[3] for r in inside if r[3] is not None]
            newest = max(inside, default=None, key=lambda r: (r[1], r[2] if known else 0, r[3] is not None, r[3] or 0))
            want = {"count": len(xs), "sum": sum(xs), "mean": sum(xs) / len(xs) if xs else None, "min": min(xs, default=None),
                    "max": max(xs, default=None), "last": newest[3] if newest else None}
            for name, value in want.items():
                assert same(values[f"user_x_{window}_{name}"], value), (user, minute, window, name, values, value)
        first = [r for r in usable(rows, user, minute, known) if (minute - r[1]) * 60 < seconds_of(windows[0])]
        assert values[f"user_rows_{windows[0]}_count"] == len(first)


@slow
@given(rows=history)
def test_changes_are_few_and_change_something(tmp_path: Path, rows: list) -> None:
    """One row for each moment of an entity, in the order of both times."""
    write(tmp_path, rows or [(9, 0, 0, 1.0, "a")])
    got = changes(open_view(view(), "v", tmp_path)).order_by("user_id", "since__").to_pandas()
    for _, one in got.groupby("user_id"):
        assert one["since__"].is_unique
        assert one["event__"].is_monotonic_increasing


@slow
@given(rows=history)
def test_values_at_change_points_are_the_whole_history(tmp_path: Path, rows: list) -> None:
    """Between two change points nothing changes, so the newest change point answers for every moment."""
    write(tmp_path, rows or [(1, 0, 0, 1.0, "a")])
    store = view(windows=("1h", "45m"))
    source = open_view(store, "v", tmp_path)
    points = change_points(source).to_pandas().rename(columns={"moment__": "due"}).drop(columns="row__")
    if points.empty:
        return
    exact = join(tmp_path, store, points)
    asked = pd.DataFrame([(user, at(m)) for user in (1, 2) for m in range(0, 500, 25)], columns=["user_id", "due"])
    direct = join(tmp_path, store, asked)
    through = pd.merge_asof(asked.assign(due=asked.due.astype("datetime64[us]")).sort_values("due"),
                            exact.assign(due=exact.due.astype("datetime64[us]")).sort_values("due"), on="due", by="user_id")
    both = asked.merge(through, on=["user_id", "due"])
    names = [feature.name for feature in store.views[0].features]
    for ours, theirs in zip(direct[names].to_dict("records"), both[names].to_dict("records"), strict=True):
        for name in names:
            theirs_value = 0 if name.endswith(("count", "sum")) and same(theirs[name], None) else theirs[name]  # before the first
            assert same(ours[name], theirs_value), (name, ours, theirs)


def test_several_keys_and_views_keep_rows_and_their_order(tmp_path: Path) -> None:
    pd.DataFrame({"shop": ["a", "a", "b"], "item": [1, 2, 1], "event": [DAY] * 3, "x": [1.0, 2.0, 3.0], "y": list("pqr")}
                 ).to_parquet(tmp_path / "v.parquet")
    store = view(known=False, keys=("shop", "item"))
    spine = pd.DataFrame({"item": [1, 2, 1, 2, 1], "shop": ["b", "a", "a", "b", "b"], "due": [DAY] * 5, "label": range(5)})
    got = join(tmp_path, store, spine)
    assert got["label"].tolist() == [0, 1, 2, 3, 4]
    assert got["user_y_all_last"].fillna("-").tolist() == ["r", "q", "p", "-", "r"]


def test_text_times_with_zones_are_put_into_utc(tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text("user_id,event,x,y\n1,2026-03-01T01:00:00+02:00,1.0,a\n1,2026-03-01T00:30:00Z,2.0,b\n")
    store = view(known=False)
    store = store.model_copy(update={"views": [store.views[0].model_copy(update={"source": "v.csv"})]})
    spine = pd.DataFrame({"user_id": [1, 1], "due": ["2026-02-28T23:00:00Z", "2026-03-01T00:30:00Z"]})
    assert join(tmp_path, store, spine)["user_y_all_last"].tolist() == ["a", "b"]


@pytest.mark.parametrize(("spine", "words"), [
    ({"user_id": ["1"], "due": [DAY]}, "text (string) in the spine and number (int64) in view v"),
    ({"user": [1], "due": [DAY]}, "no column 'user_id'"),
    ({"user_id": [1, None], "due": [DAY, DAY]}, "user_id in 1 of 2 rows"),
    ({"user_id": [1, 1], "due": [DAY, None]}, "due in 1 of 2 rows"),
    ({"user_id": [1], "due": ["tomorrow"]}, "are no times, such as 'tomorrow'"),
    ({"user_id": [1, 1], "due": ["2026-03-01T00:00:00Z", "2026-03-01 00:00"]}, "carry a zone"),
    ({"user_id": [1], "when": [DAY]}, "no column 'due'"),
    ({"user_id": [1], "due": [20260301]}, "Numbers say no unit"),
    ({"user_id": [1], "due": [DAY], "user_x_all_last": [1]}, "has a column 'user_x_all_last' already"),
])
def test_a_spine_that_cannot_be_used_is_said(tmp_path: Path, spine: dict[str, list[object]], words: str) -> None:
    write(tmp_path, [(1, 0, 0, 1.0, "a")])
    with pytest.raises(InputError) as said:
        join(tmp_path, view(), pd.DataFrame(spine))
    assert words in str(said.value)


@pytest.mark.parametrize(("change", "words"), [
    ({"source": "gone.parquet"}, "The source of view v cannot be used. There is no file"),
    ({"event_time": "evnt"}, "Did you mean 'event'?"),
    ({"known_time": "y"}, "values of the known time 'y' are no times"),
    ({"features": [{"name": "user_z_all_last", "column": "z"}]}, "no column 'z'"),
])
def test_a_view_that_cannot_be_used_is_said(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    write(tmp_path, [(1, 0, 0, 1.0, "a")])
    raw = view().model_dump()
    raw["views"][0].update(change)
    with pytest.raises(InputError) as said:
        open_view(FeatureStore(**raw), "v", tmp_path)
    assert words in str(said.value)


def test_a_damaged_source_is_said(tmp_path: Path) -> None:
    write(tmp_path, [(1, 0, 0, 1.0, "a")])
    whole = (tmp_path / "v.parquet").read_bytes()
    (tmp_path / "v.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="no whole Parquet file"):
        open_view(view(), "v", tmp_path)


def test_whole_numbers_and_fractions_are_one_kind_of_key(tmp_path: Path) -> None:
    """pandas makes fractions of whole numbers where one is missing; that is no reason to refuse."""
    write(tmp_path, [(1, 0, 0, 1.0, "a")])
    check_keys(ibis.memtable(pd.DataFrame({"user_id": [1.0]})), open_view(view(), "v", tmp_path))
