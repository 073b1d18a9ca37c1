"""Figures of requests, from logs that were rotated, packed, cut off, written by several or stamped by a clock that was set back."""

from __future__ import annotations

import gzip
import json
import math
import os
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from mlnb.core.errors import InputError, MissingError
from mlnb.deployment import log_lines
from mlnb.deployment.log_lines import Reading, iso, lines_between, log_files, seconds_of
from mlnb.deployment.request_stats import arm_stats, request_stats

T0 = 1772355600.0


def line(when: float, i: int = 0, **more: object) -> str:
    return (
        json.dumps(
            {
                "request_id": str(i),
                "time": iso(when),
                "arm": "champion",
                "model": "EXP-1",
                "status": 200,
                "latency_ms": 1.0,
                "error": "",
            }
            | more
        )
        + "\n"
    )


@given(
    st.lists(
        st.tuples(
            st.integers(0, 100),
            st.floats(0, 1e4),
            st.sampled_from([200, 404, 500]),
            st.booleans(),
            st.sampled_from(["champion", "challenger"]),
        ),
        min_size=1,
        max_size=60,
    ),
    st.integers(0, 100),
    st.integers(1, 50),
)
def test_figures_are_those_of_the_rows_in_the_window(
    tmp_path_factory: pytest.TempPathFactory, asked: list, start: int, length: int
) -> None:
    file = tmp_path_factory.mktemp("log") / "r.jsonl"
    file.write_text(
        "".join(
            line(T0 + t, latency_ms=ms, status=code, error="x" if bad else "", arm=arm)
            for t, ms, code, bad, arm in sorted(asked)
        )
    )
    found = arm_stats(file, iso(T0 + start), iso(T0 + start + length))
    for arm in ("", "champion", "challenger"):
        inside = [each for each in asked if start <= each[0] < start + length and arm in ("", each[4])]
        stats = request_stats(file, iso(T0 + start), iso(T0 + start + length), arm)
        assert arm not in found or found[arm] == stats
        assert stats.requests == len(inside) and stats.per_second == len(inside) / length
        assert stats.errors == sum(code == 500 or code == 200 and bad for _, _, code, bad, _ in inside)
        assert stats.refused == sum(code == 404 for _, _, code, _, _ in inside)
        if inside:
            assert stats.p95_ms == pytest.approx(np.percentile([each[1] for each in inside], 95))
            low, high = proportion_confint(stats.errors, len(inside), method="wilson")
            assert (stats.low, stats.high) == (pytest.approx(low, abs=1e-12), pytest.approx(high, abs=1e-12))
        else:
            assert stats.error_rate is stats.p50_ms is None


def big(file: Path, n: int, late: float = 0.0, seed: int = 0) -> list[float]:
    "A log of n requests, a second apart, each up to so many seconds late in the file."
    rng = random.Random(seed)
    times = [T0 + i for i in range(n)]
    order = sorted(times, key=lambda t: t + rng.uniform(0, late))
    file.write_text("".join(line(t, int(t - T0), rows=[{"a": "x" * rng.randrange(400)}]) for t in order))
    return times


@pytest.mark.parametrize("late", [0.0, 250.0])
def test_any_window_of_a_long_log_is_found_whole_and_the_rest_is_not_read(
    tmp_path: Path, late: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_lines, "CLOSE", 1 << 14)
    file = tmp_path / "r.jsonl"
    big(file, 20_000, late)
    rng = random.Random(1)
    for _ in range(25):
        start = rng.uniform(-500, 20_500)
        end = start + rng.choice([1, 60, 700])
        reading = Reading()
        found = sorted(when for when, _ in lines_between(file, T0 + start, T0 + end, reading=reading))
        assert found == [T0 + i for i in range(max(math.ceil(start), 0), max(min(math.ceil(end), 20_000), 0))]
        assert reading.bytes_read < file.stat().st_size / 6 and not reading.problems


@pytest.mark.parametrize("jump", [600, 3600])
def test_a_clock_that_was_set_back_loses_no_line_and_is_told(tmp_path: Path, jump: int) -> None:
    file = tmp_path / "r.jsonl"
    times = [*range(12_000), *range(12_000 - jump, 20_000)]
    file.write_text("".join(line(T0 + t, i, rows=[{"a": "x" * 200}]) for i, t in enumerate(times)))
    for start in (12_000 - jump, 11_990):
        stats = request_stats(file, iso(T0 + start), iso(T0 + start + 60))
        assert stats.requests == sum(start <= t < start + 60 for t in times)
        assert any("go backwards" in problem for problem in stats.problems)


def test_a_line_far_out_of_order_beside_the_window_is_found(tmp_path: Path) -> None:
    lines = [line(T0 + t, t, rows=[{"a": "x" * 200}]) for t in range(20_000)]
    lines.insert(10_500, line(T0 + 10_010, 99))  # eight minutes late
    (tmp_path / "r.jsonl").write_text("".join(lines))
    stats = request_stats(tmp_path / "r.jsonl", iso(T0 + 10_000), iso(T0 + 10_060))
    assert stats.requests == 61 and any("go backwards" in problem for problem in stats.problems)


def test_parts_that_were_put_aside_and_packed_are_read_once(tmp_path: Path) -> None:
    for i, name in enumerate(["r.0001.jsonl.gz", "r.0002.jsonl", "r.jsonl.1", "r.jsonl"]):
        content = "".join(line(T0 + 100 * i + t) for t in range(100)).encode()
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    (tmp_path / "other.jsonl").write_text(line(T0))
    (tmp_path / "r.copy.jsonl").write_text(line(T0))
    os.link(tmp_path / "r.0002.jsonl", tmp_path / "r.0003.jsonl")
    names = [path.name for path in log_files(tmp_path / "r.jsonl")]
    assert names[0] == "r.0001.jsonl.gz" and names[-1] == "r.jsonl" and len(names) == 5
    stats = request_stats(tmp_path / "r.jsonl")
    assert stats.requests == 400 and (stats.start, stats.end) == (iso(T0), iso(T0 + 399))
    assert request_stats(tmp_path / "r.jsonl", iso(T0 + 50), iso(T0 + 150)).requests == 100
    assert request_stats(str(tmp_path / "r*.jsonl*")).requests == 401


def test_a_part_that_is_put_aside_while_it_is_read_counts_once(tmp_path: Path) -> None:
    (tmp_path / "r.0001.jsonl").write_text(line(T0, 1))
    (tmp_path / "r.jsonl").write_text(line(T0 + 1, 2) + line(T0 + 2, 3))
    seen = []
    for _, each in lines_between(tmp_path / "r.jsonl"):
        seen.append(each["request_id"])
        if len(seen) == 1:
            (tmp_path / "r.jsonl").rename(tmp_path / "r.0002.jsonl")
            (tmp_path / "r.jsonl").write_text(line(T0 + 3, 4))
    assert sorted(seen) == ["1", "2", "3", "4"]


def test_damage_is_counted_and_placed(tmp_path: Path) -> None:
    good = line(T0)
    content = (
        good.encode()
        + b'{"request_id": "cut'
        + good.encode()
        + b"\xff\xfe\x00\n"
        + b"[1, 2]\n\n"
        + b"[" * 100_000
        + b"\n"
        + good.encode()
        + b'{"status": 200}\n'
        + good.encode()[:-20]
    )
    (tmp_path / "r.jsonl").write_bytes(content)
    stats = request_stats(tmp_path / "r.jsonl")
    assert stats.requests == 2
    assert any("cannot be read: 5 (r.jsonl at byte" in problem for problem in stats.problems), stats.problems
    assert any("do not say when" in problem and ": 1" in problem for problem in stats.problems)


def test_a_packed_part_that_breaks_off_gives_what_it_holds(tmp_path: Path) -> None:
    rng = random.Random(0)
    packed = gzip.compress("".join(line(T0 + t, rows=[{"a": rng.random()}]) for t in range(5000)).encode())
    (tmp_path / "r.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    stats = request_stats(tmp_path / "r.jsonl.gz")
    assert 1000 < stats.requests < 5000 and any("breaks off" in problem for problem in stats.problems)
    (tmp_path / "s.jsonl.gz").write_bytes(b"no gzip")
    assert request_stats(tmp_path / "s.jsonl.gz").requests == 0


@pytest.mark.parametrize(
    "odd",
    [{"latency_ms": None}, {"latency_ms": "3"}, {"latency_ms": float("nan")}, {"latency_ms": -1}, {"latency_ms": True}],
)
def test_a_latency_that_is_none_is_left_out_and_told(tmp_path: Path, odd: dict) -> None:
    (tmp_path / "r.jsonl").write_text(line(T0) + line(T0, **odd))
    stats = request_stats(tmp_path / "r.jsonl")
    assert stats.requests == 2 and stats.p99_ms == 1.0 and "how long they took: 1" in stats.problems[0]


def test_other_services_say_times_and_statuses_their_way(tmp_path: Path) -> None:
    (tmp_path / "r.log").write_text(
        "".join(
            json.dumps(each) + "\n"
            for each in [
                {"timestamp": T0 * 1000, "status": "503", "latency_ms": 4},
                {"ts": T0, "latency_ms": 2},
                {"at": "2026-03-01T10:00:00+01:00", "status": math.inf},
            ]
        )
    )
    stats = request_stats(tmp_path / "r.log", "2026-03-01T09:00:00", "2026-03-01T09:00:01Z")
    assert (stats.requests, stats.errors, stats.p50_ms, dict(stats.statuses)) == (3, 1, 3.0, {"503": 1})


def test_what_is_no_log_or_no_window(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="mlnb serve"):
        request_stats(tmp_path / "r.jsonl")
    with pytest.raises(MissingError, match="no log"):
        request_stats(tmp_path / "nowhere" / "r*.jsonl")
    (tmp_path / "r.jsonl").touch()
    assert request_stats(tmp_path / "r.jsonl").requests == 0
    assert request_stats(tmp_path / "r.jsonl", arm="challenger").to_dict()["error_rate"] is None
    for start, end in (("now", None), (iso(T0), iso(T0)), (iso(T0), iso(T0 - 1))):
        with pytest.raises(InputError):
            request_stats(tmp_path / "r.jsonl", start, end)


def test_moments() -> None:
    assert seconds_of("2026-03-01T09:00:00Z") == seconds_of("2026-03-01") + 9 * 3600 == T0
    assert all(
        math.isnan(seconds_of(odd)) for odd in (None, "", "x", [], {}, True, math.nan, math.inf, 1e300, "0000-01-01")
    )
