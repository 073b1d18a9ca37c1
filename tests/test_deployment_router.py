"""Who is routed where; what guards a service; what is refused; what a log keeps when several write to it."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import queue
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from mlnb.core.errors import InputError
from mlnb.deployment.asked_rows import Refused, checked_frame, read_body, rows_schema
from mlnb.deployment.guards import Breaker, Bucket, Crew
from mlnb.deployment.request_stats import request_stats
from mlnb.deployment.request_writer import RequestWriter
from mlnb.deployment.rollout import Arm, Rollout
from mlnb.deployment.router import WHOLE, arm_of, key_of, place
from mlnb.evaluation.request_log import read_requests

NOW = "2026-11-27T02:00:00+00:00"


def canary(share: float, challenger: str = "EXP-2") -> Rollout:
    return Rollout(Arm.of("EXP-1"), NOW, Arm.of(challenger), share)


@given(st.text(), st.floats(0, 100), st.floats(0, 100))
def test_who_was_with_the_challenger_stays_there_when_it_gets_more(key: str, a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert arm_of(canary(low), key) == "champion" or arm_of(canary(high), key) == "challenger"
    assert arm_of(canary(0), key) == "champion" and arm_of(canary(100), key) == "challenger"
    assert arm_of(Rollout(Arm.of("EXP-1"), NOW), key) == "champion"


@pytest.mark.parametrize("share", [1, 5, 25, 50])
@pytest.mark.parametrize("form", ["{}", "customer-{:08d}", "https://shop.example/{}/cart"])
def test_shares_are_what_they_are_said_to_be(share: float, form: str) -> None:
    n = 20_000
    hits = sum(arm_of(canary(share), form.format(i)) == "challenger" for i in range(n))
    assert chisquare([hits, n - hits], [n * share / 100, n * (1 - share / 100)]).pvalue > 1e-4


def test_places_are_uniform_and_those_of_two_challengers_have_nothing_to_do_with_each_other() -> None:
    keys = [str(i) for i in range(20_000)]
    counts = [0] * 20
    for key in keys:
        counts[place(key, "EXP-2") * 20 // WHOLE] += 1
    assert chisquare(counts).pvalue > 1e-4
    first = {key for key in keys if arm_of(canary(5), key) == "challenger"}
    second = {key for key in keys if arm_of(canary(5, "EXP-3"), key) == "challenger"}
    assert len(first & second) < 100  # 50 are expected


def test_the_place_is_the_same_on_every_machine() -> None:
    assert arm_of(canary(98.7), "anna") == "champion" and arm_of(canary(98.8), "anna") == "challenger"
    assert place("anna", "EXP-2") == 18_220_095_029_834_832_965  # BLAKE2b as in RFC 7693; another figure moves customers between arms


@pytest.mark.parametrize(
    "rows, entity, key, found",
    [
        ([{"c": 7}], "c", "", "7"),
        ([{"c": 7}, {"c": "7"}], "c", "", "7"),
        ([{"c": 7}, {"c": 8}], "c", "", "r"),
        ([{"c": 7}, {"c": None}], "c", "", "r"),
        ([{"c": 7}, {}], "c", "", "r"),
        ([{"c": 0}], "c", "", "0"),
        ([{"c": 7}], "", "", "r"),
        ([{"c": 7}], "c", "k", "k"),
    ],
)
def test_what_the_choice_hangs_on(rows: list, entity: str, key: str, found: str) -> None:
    assert key_of(rows, entity, "r", key) == found


@given(st.lists(st.tuples(st.sampled_from([True, False, None]), st.floats(0, 20)), max_size=60))
def test_a_breaker_spares_a_failing_model_and_always_tries_it_again(story: list) -> None:
    breaker, now, row = Breaker(3, 10.0), 0.0, 0
    for worked, pause in story:
        now += pause
        allowed = breaker.allows(now)
        assert allowed or row >= 3
        if allowed:
            breaker.done(worked, now)
            row = row if worked is None else 0 if worked else row + 1
        assert breaker.open == (row >= 3)
    assert breaker.allows(now + 10.001)


def test_a_trial_whose_end_nobody_tells_does_not_shut_a_model_out_for_ever() -> None:
    breaker = Breaker(1, 10.0)
    breaker.done(False, 0)
    assert breaker.allows(10) and not breaker.allows(19.9) and breaker.allows(20)


@given(st.floats(0.5, 100), st.lists(st.floats(0, 0.5), min_size=1, max_size=200))
def test_a_bucket_lets_no_more_in_than_its_rate_and_burst(rate: float, pauses: list) -> None:
    bucket, now, let_in = Bucket(rate), 0.0, 0
    for pause in pauses:
        now += pause
        wait = bucket.take(now)
        let_in += wait == 0
        assert 0 <= wait <= 1 / rate + 1e-9
    assert let_in <= max(2 * rate, 1) + rate * now + 1e-6
    assert Bucket(0).take(now) == 0


def test_a_crew_left_behind_takes_no_more_than_it_may() -> None:
    crew, gate, began = Crew(1, 2), threading.Event(), threading.Event()
    first = crew.submit(lambda: began.set() or gate.wait())
    began.wait()
    cancelled, last = crew.submit(lambda: 1), crew.submit(lambda: 1 / 0)
    with pytest.raises(queue.Full):
        crew.submit(lambda: 2)
    cancelled.cancel()
    gate.set()
    assert first.result(5) and isinstance(last.exception(5), ZeroDivisionError)
    crew.close()


@pytest.mark.parametrize(
    "body, status",
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe\x00", 400),
        (b"[" * 100_000, 400),
        (b'{"rows": [{"a": nan}]}', 400),
        (b'{"rows": [{"a": 1' + b"0" * 5000 + b"}]}", 400),
        (b"[]", 422),
        (b"3", 422),
        (b'{"rows": {}}', 422),
        (b'{"rows": []}', 422),
        (b'{"rows": [1]}', 422),
        (b'{"rows": [null]}', 422),
        (b'{"rows": [{}], "request_id": "a b"}', 422),
        (b'{"rows": [{}], "request_id": ["a"]}', 422),
        (b'{"rows": [{}], "request_id": true}', 422),
        (b'{"rows": [{}], "request_id": "' + b"x" * 129 + b'"}', 422),
        (b'{"rows": [{}], "key": {"a": 1}}', 422),
        (json.dumps({"rows": [{}] * 11}).encode(), 413),
        (json.dumps({"rows": [{}, {str(i): i for i in range(1001)}]}).encode(), 413),
    ],
)
def test_what_is_no_request_is_refused_in_words(body: bytes, status: int) -> None:
    with pytest.raises(Refused) as error:
        read_body(body, most_rows=10)
    assert error.value.status == status and len(error.value.detail) < 300


KINDS = {"n": "numeric", "c": "categorical", "d": "datetime", "b": "boolean", "t": "text"}
GOOD = {"n": 1, "c": "x", "d": "2026-03-01", "b": True, "t": "words"}


@pytest.mark.parametrize(
    "change, words",
    [
        ({"n": "abc"}, "row 0, n: 'abc' is no number"),
        ({"n": [1]}, "a list"),
        ({"n": {"a": 1}}, "an object"),
        ({"n": 1e999}, "no number"),
        ({"n": 10**400}, "no number"),
        ({"n": "inf"}, "no number"),
        ({"d": "soon"}, "no date"),
        ({"d": 20260301}, "no date"),
        ({"d": True}, "no date"),
        ({"b": "perhaps"}, "no number"),
        ({"c": ["x"]}, "a list"),
        ({"c": 1e999}, "no value"),
        ({"n": math.nan}, "row 0, n: 'nan' is no number; send null"),
        ({"c": math.nan}, "row 0, c: nan is no value; send null"),
        ({"d": math.nan}, "no date"),
        ({"t": "x" * 100_001}, "too long"),
    ],
)
def test_a_value_that_does_not_fit_its_column_is_named(change: dict, words: str) -> None:
    with pytest.raises(Refused, match=words) as error:
        checked_frame([GOOD | change], KINDS)
    assert error.value.status == 422 and len(error.value.errors) == 1


@given(
    st.fixed_dictionaries(
        {
            "n": st.one_of(st.none(), st.integers(-(10**9), 10**9), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.just(" "), st.just("3.5")),
            "c": st.one_of(st.none(), st.text(max_size=20), st.integers(), st.booleans()),
            "d": st.one_of(st.none(), st.dates().map(str), st.datetimes().map(lambda d: d.isoformat()), st.just("2026-03-01T09:00:00+01:00"), st.just("2026-03-01T09:00:00Z")),
            "b": st.one_of(st.none(), st.booleans(), st.sampled_from(["yes", "False", 0, 1])),
            "t": st.one_of(st.none(), st.text(max_size=50)),
        }
    )
)
def test_what_fits_becomes_a_row_with_the_columns_of_the_model(row: dict) -> None:
    frame = checked_frame([row | {"extra": [1, 2]}, GOOD], KINDS)
    assert list(frame.columns) == list(KINDS) and len(frame) == 2
    assert frame["n"].dtype == frame["b"].dtype == float and str(frame["d"].dtype) == "datetime64[us]"
    assert frame["n"].isna()[0] == (row["n"] is None or row["n"] == " ") and frame["d"].isna()[0] == (row["d"] is None)
    if isinstance(row["n"], (int, float)):
        assert math.isclose(frame["n"][0], row["n"])
    assert frame.loc[1].tolist()[0] == 1


def test_columns_that_are_missing_are_named_with_what_may_have_been_meant() -> None:
    with pytest.raises(Refused, match=r"row 0 lacks n, d.*Did you mean 'N'") as error:
        checked_frame([{"N": 1, "c": "x", "b": True, "t": ""}] * 30, KINDS)
    assert len(error.value.errors) == 10
    assert rows_schema(KINDS)["properties"]["rows"]["items"]["required"] == list(KINDS)


def _write(path: Path, who: int, start: object) -> None:
    start.wait()  # type: ignore[attr-defined]
    writer = RequestWriter(path, most_bytes=50_000)
    for i in range(300):
        writer.write({"request_id": f"{who}-{i}", "time": NOW, "status": 200, "latency_ms": 1.0, "rows": [{"a": "x" * (37 * i % 900)}]})


def test_several_writers_lose_nothing_and_tear_nothing_while_the_log_is_put_aside(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    start = fork.Event()
    writers = [fork.Process(target=_write, args=(tmp_path / "r.jsonl", who, start)) for who in range(4)]
    for each in writers:
        each.start()
    start.set()
    for each in writers:
        each.join(60)
    lines = [json.loads(line) for path in tmp_path.glob("r*.jsonl") for line in path.read_text().splitlines()]
    assert sorted(line["request_id"] for line in lines) == sorted(f"{who}-{i}" for who in range(4) for i in range(300))
    assert len(list(tmp_path.glob("r.*.jsonl"))) >= 10
    assert request_stats(tmp_path / "r.jsonl").requests == 1200


def test_a_log_that_somebody_removed_or_moved_begins_anew(tmp_path: Path) -> None:
    writer = RequestWriter(tmp_path / "r.jsonl")
    writer.write({"a": 1})
    (tmp_path / "r.jsonl").unlink()
    assert writer.write({"a": 2}) and (tmp_path / "r.jsonl").read_text() == '{"a": 2}\n'
    writer.close()
    assert writer.write({"a": float("nan")}) and (tmp_path / "r.jsonl").read_text().endswith('{"a": null}\n')
    assert (tmp_path / "r.jsonl").stat().st_mode & 0o007 == 0


def test_a_full_disk_costs_lines_and_no_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, real = RequestWriter(tmp_path / "r.jsonl"), os.write
    writer.write({"a": 1})
    monkeypatch.setattr(os, "write", lambda file, data: real(file, data[:4]))
    assert not writer.write({"a": 2}) and writer.lost == 1 and "full" in writer.problem

    def no_space(file: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", no_space)
    assert not writer.write({"a": 3}) and writer.lost == 2 and "No space" in writer.problem
    monkeypatch.undo()
    assert writer.write({"a": 4})
    assert [line for line in (tmp_path / "r.jsonl").read_text().splitlines() if line.endswith("}")] == ['{"a": 1}', '{"a": 4}']


def test_a_log_with_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="jsonl"):
        RequestWriter(tmp_path / "requests.txt")


def test_the_log_is_read_as_it_is(tmp_path: Path) -> None:
    writer = RequestWriter(tmp_path / "r.jsonl")
    says = {"prediction": "yes", "probabilities": {"no": 0.25, "yes": 0.75}}
    said = {"time": NOW, "arm": "champion", "model": "E", "latency_ms": 1.0}
    writer.write({"request_id": "a", **said, "status": 200, "rows": [{"n": 1}, {"n": 2}], "predictions": [says, says], "error": ""})
    writer.write({"request_id": "b", **said, "status": 504, "rows": [{"n": 3}], "predictions": None, "error": "late"})
    found = read_requests(tmp_path / "r.jsonl")
    assert found.ids == ("a[0]", "a[1]", "b") and found.predictions == (says, says, None) and not found.problems


def test_half_a_character_is_the_askers_mistake_and_no_models() -> None:
    with pytest.raises(Refused, match="half of a character") as refused:
        checked_frame([GOOD | {"c": "\ud800"}], KINDS)
    assert refused.value.status == 422
    assert checked_frame([GOOD | {"c": "\U0001f600 é"}], KINDS)["c"][0] == "\U0001f600 é"
