"""From offline to online: planted faults found and named, honest paths passed, and services that fail in every way."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlnb.core.errors import InputError, MissingError
from mlnb.core.project import Project
from mlnb.core.project_config import save_config
from mlnb.evaluation.differences import compare_column
from mlnb.evaluation.freshness import freshness_finding, history_ages, logged_ages
from mlnb.evaluation.missing_probe import probe_finding, probe_missing
from mlnb.evaluation.number_causes import near, number_causes
from mlnb.evaluation.online import TOKEN, OnlineError, Service, online_path
from mlnb.evaluation.prediction_forms import named_predictions, offline_model
from mlnb.evaluation.replay import replay
from mlnb.evaluation.request_log import read_requests
from mlnb.evaluation.shift import psi_of, shift_finding, shifts
from mlnb.evaluation.skew import SkewReport, project_skew, skew

NUMBERS, WORDS = ["age", "balance", "visits", "rate"], ["plan", "city"]


def customers(n: int = 900, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "customer": np.arange(n),
            "age": rng.normal(45, 12, n).round(1),
            "balance": rng.gamma(2, 800, n).round(2),
            "visits": rng.poisson(4, n),
            "rate": rng.uniform(0, 1, n),
            "plan": rng.choice(["Basic", "Pro", "Team"], n),
            "city": rng.choice(["Berlin", "São Paulo", "New York", "Rome"], n),
            "since": pd.Timestamp("2022-03-01 08:30") + pd.to_timedelta(rng.integers(0, 700 * 24, n), unit="h"),
        }
    )
    frame.loc[rng.random(n) < 0.1, "age"] = np.nan
    high = frame["balance"] / 900 - frame["rate"] * 2 + (frame["plan"] == "Pro") + rng.normal(0, 1, n) > 1
    return frame.assign(left=np.where(high, "yes", "no"))


def pipeline(frame: pd.DataFrame) -> Any:
    prepared = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
        (OneHotEncoder(handle_unknown="ignore"), WORDS),
    )
    return make_pipeline(prepared, LogisticRegression(max_iter=1000)).fit(frame[NUMBERS + WORDS], frame["left"])


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return customers()


@pytest.fixture(scope="module")
def model(data: pd.DataFrame) -> Any:
    return pipeline(data)


def served(model: Any, change: Callable[[pd.DataFrame], pd.DataFrame] = lambda f: f) -> Callable[[Any], Any]:
    """A service that changes the features before it predicts, and echoes them."""

    def predict(rows: Any) -> Any:
        frame = pd.DataFrame(rows)
        for name in NUMBERS:
            if name in frame and frame[name].map(lambda v: isinstance(v, str)).any():
                raise InputError(f"{name} holds text")
        frame = frame.reindex(columns=[*NUMBERS, *WORDS, *(["since"] if "since" in frame else [])])
        frame = change(frame.astype(dict.fromkeys(NUMBERS, float)))
        words = frame[WORDS].astype(object)
        answers = model.predict_proba(
            pd.concat([frame[NUMBERS].apply(pd.to_numeric), words.where(words.notna(), None)], axis=1)
        )[:, 1]
        echoed = frame.astype(object).where(frame.notna(), None)
        return {"predictions": answers.tolist(), "features": echoed.to_dict(orient="records")}

    return predict


def replayed(data: pd.DataFrame, model: Any, online: Any, **more: Any) -> SkewReport:
    return skew(data, online, model, target="left", **{"rows": 300, "probe": 0, **more})


def causes(report: SkewReport) -> dict[str, set[str]]:
    return {g.column: {c.kind for c in g.causes} for g in report.gaps if g.differ}


PLANTED: dict[str, tuple[str, str, Callable[[pd.DataFrame], Any]]] = {
    "cents": ("balance", "factor", lambda f: f["balance"] * 100),
    "a third in cents": ("balance", "factor", lambda f: f["balance"].where(f.index % 3 > 0, f["balance"] * 100)),
    "percent": ("rate", "factor", lambda f: f["rate"] * 100),
    "hours for days": ("visits", "factor", lambda f: f["visits"] * 24),
    "sign": ("balance", "sign", lambda f: -f["balance"]),
    "one more": ("visits", "offset", lambda f: f["visits"] + 1),
    "whole years": ("age", "truncated", lambda f: np.trunc(f["age"])),
    "rounded": ("balance", "rounded", lambda f: f["balance"].round(0)),
    "tens": ("balance", "rounded", lambda f: f["balance"].round(-1)),
    "rounded share": ("rate", "rounded", lambda f: f["rate"].round(2)),
    "limited": ("balance", "limited", lambda f: f["balance"].clip(upper=2000)),
    "scaled": ("balance", "scaled", lambda f: (f["balance"] - 1600) / 1131),
    "fahrenheit": ("age", "scaled", lambda f: f["age"] * 1.8 + 32),
    "logarithm": ("balance", "transformed", lambda f: np.log1p(f["balance"])),
    "constant": ("balance", "constant", lambda f: f["balance"] * 0 + 1000.0),
    "zero for missing": ("age", "default", lambda f: f["age"].fillna(0)),
    "-999 for missing": ("age", "default", lambda f: f["age"].fillna(-999)),
    "lost": ("balance", "lost", lambda f: f["balance"].where(f.index % 4 > 0)),
    "text": ("visits", "type", lambda f: f["visits"].astype(int).astype(str)),
    "moved": ("balance", "order", lambda f: pd.Series(np.roll(f["balance"], 1))),
    "noise": ("balance", "unknown", lambda f: f["balance"] * np.random.default_rng(0).uniform(0.5, 1.5, len(f))),
    "lower case": ("plan", "case", lambda f: f["plan"].str.lower()),
    "blanks": ("plan", "blanks", lambda f: f["plan"] + " "),
    "accents": ("city", "accents", lambda f: f["city"].str.replace("ã", "a")),
    "underscore": ("city", "spelling", lambda f: f["city"].str.replace(" ", "_")),
    "cut off": ("city", "cut off", lambda f: f["city"].str[:3]),
    "other names": ("plan", "renamed", lambda f: f["plan"].map({"Basic": "B1", "Pro": "P2", "Team": "T3"})),
    "always other": ("plan", "constant", lambda f: f["plan"].map(lambda v: "other")),
    "time zone": ("since", "hours", lambda f: (pd.to_datetime(f["since"]) - pd.Timedelta(hours=5)).astype(str)),
    "day": ("since", "truncated", lambda f: f["since"].str[:10]),
    "day and month": ("since", "exchanged", lambda f: pd.to_datetime(f["since"]).map(exchanged)),
}


def exchanged(t: pd.Timestamp) -> str:
    return str(t.replace(month=t.day, day=t.month)) if t.day <= 12 else str(t)


@pytest.mark.parametrize("fault", PLANTED, ids=str)
def test_a_planted_fault_is_found_and_named(fault: str, data: pd.DataFrame, model: Any) -> None:
    column, kind, change = PLANTED[fault]
    online = served(model, lambda f: f.assign(**{column: change(f)}))
    made = replayed(data, None if column == "since" else model, online, batch=300)
    found = causes(made)
    assert {name for name in found if not name.startswith("prob")} == {column} and found[column] == {kind}, made.frame()
    one = made.findings.get("SKEW1")
    assert one is not None and one.status == "fail" and column in one.columns and column in one.message


def test_swapped_columns_are_named_on_both_sides(data: pd.DataFrame, model: Any) -> None:
    made = replayed(data, model, served(model, lambda f: f.assign(age=f["visits"], visits=f["age"])))
    words = {g.column: g.cause for g in made.gaps}
    assert "visits" in words["age"] and "age" in words["visits"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_honest_path_passes(dtype: str, data: pd.DataFrame, model: Any) -> None:
    def change(f: pd.DataFrame) -> pd.DataFrame:
        since = pd.to_datetime(f["since"]).dt.strftime("%Y-%m-%dT%H:%M:%SZ") if "since" in f else None
        return f.assign(**{n: f[n].astype(dtype) for n in NUMBERS}, **({} if since is None else {"since": since}))

    made = replayed(data, model, served(model, change), probe=10)
    assert not causes(made) and made.findings.get("SKEW1").status == "pass"
    assert made.findings.get("SKEW3").status == "pass", made.findings.get("SKEW3").message


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.sampled_from([1e-5, 5e-5, 9e-5]))
def test_noise_as_onnx_has_it_passes_and_ten_times_that_fails(seed: int, noise: float) -> None:
    rng = np.random.default_rng(seed)
    p = pd.Series(rng.uniform(0, 1, 500))
    shake = pd.Series(rng.uniform(-1, 1, 500))
    assert compare_column("p", p, p + noise * shake, tolerance=5e-4, size=1.0).differ == 0
    assert compare_column("p", p, p + 9e-3 * shake, tolerance=5e-4, size=1.0).share > 0.8


def test_trees_in_single_precision_pass() -> None:
    frame = customers(2000)
    forest = RandomForestClassifier(40, random_state=0).fit(frame[NUMBERS].fillna(0), frame["left"])

    def online(rows: Any) -> Any:
        return forest.predict_proba(pd.DataFrame(rows)[NUMBERS].fillna(0).astype("float32"))

    made = skew(frame[[*NUMBERS, "left"]].fillna({"age": 0}), online, forest, target="left", probe=0)
    assert made.findings.get("SKEW1").status in ("pass", "warn") and made.findings.get("SKEW1").value <= 0.005


@pytest.mark.parametrize(
    ("form", "columns"),
    [
        (lambda p: p[:, 1].tolist(), {"probability of yes"}),
        (lambda p: p.tolist(), {"probability of yes"}),
        (lambda p: np.where(p[:, 1] >= 0.5, "yes", "no").tolist(), {"label"}),
        (
            lambda p: [{"label": "yes" if x >= 0.5 else "no", "probability": x} for x in p[:, 1]],
            {"label", "probability of yes"},
        ),
        (lambda p: [{"probabilities": {"yes": b, "no": a}} for a, b in p], {"probability of yes"}),
        (lambda p: [[x] for x in p[:, 1]], {"probability of yes"}),
    ],
)
def test_predictions_of_any_form_are_compared(form: Any, columns: set[str], data: pd.DataFrame, model: Any) -> None:
    def online(rows: Any) -> Any:
        return form(model.predict_proba(pd.DataFrame(rows)[NUMBERS + WORDS].astype(dict.fromkeys(NUMBERS, float))))

    made = replayed(data, model, online)
    assert {g.column for g in made.gaps} == columns and not causes(made)


def test_the_other_class_a_wrong_threshold_and_a_mixed_order_are_seen(data: pd.DataFrame, model: Any) -> None:
    def scores(rows: Any) -> np.ndarray:
        return model.predict_proba(pd.DataFrame(rows)[NUMBERS + WORDS].astype(dict.fromkeys(NUMBERS, float)))[:, 1]

    other = replayed(data, model, lambda rows: 1 - scores(rows))
    assert "other class" in other.gaps[0].cause
    labels = replayed(data, model, lambda rows: np.where(scores(rows) >= 0.3, "yes", "no"))
    assert labels.gaps[0].column == "label" and labels.gaps[0].differ > 5
    same = replayed(data, model, lambda rows: np.where(scores(rows) >= 0.3, "yes", "no"), threshold=0.3)
    assert not causes(same)
    mixed = replayed(data, model, lambda rows: np.sort(scores(rows)), batch=300)
    assert mixed.gaps[0].causes[0].kind == "order"


def test_an_answer_that_depends_on_the_batch_is_said(data: pd.DataFrame, model: Any) -> None:
    def centred(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(balance=frame["balance"] - frame["balance"].mean())

    made = replayed(data, model, served(model, centred))
    assert any("one by one" in note for note in made.notes) and "one by one" in made.findings.get("SKEW1").message


def test_regression_is_compared_as_a_quantity() -> None:
    frame = customers()
    fitted = HistGradientBoostingRegressor(random_state=0).fit(frame[["age", "visits", "rate"]], frame["balance"])
    send = frame[["age", "visits", "rate", "balance"]]

    def online(rows: Any) -> Any:
        return fitted.predict(pd.DataFrame(rows).astype(float))

    assert skew(send, online, fitted, target="balance", probe=0).findings.get("SKEW1").status == "pass"
    wrong = skew(send, lambda rows: online(rows) / 1000, fitted, target="balance", probe=0)
    assert wrong.gaps[0].column == "value" and wrong.gaps[0].causes[0].kind == "factor"


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from(["factor", "offset", "truncated", "none"]), st.floats(1.5, 500))
def test_a_cause_explains_its_rows_exactly(seed: int, kind: str, size: float) -> None:
    rng = np.random.default_rng(seed)
    a = rng.gamma(2, 50, 120)
    b = {"factor": a * size, "offset": a + size, "truncated": np.trunc(a), "none": a.astype("float32").astype(float)}[
        kind
    ]
    off = ~near(a, b)
    found = number_causes(a, b, off)
    assert ([] if kind == "none" else [kind]) == [c.kind for c in found] and sum(c.rows for c in found) == off.sum()


def test_infinite_and_missing_numbers_are_compared_without_noise() -> None:
    a = pd.Series([np.inf, -np.inf, np.nan, 0.0, 1e-300, 5.0])
    assert compare_column("x", a, a.copy()).differ == 0
    assert compare_column("x", a, a.replace(np.inf, 1e6)).differ == 1
    assert compare_column("x", pd.Series([np.nan] * 5), pd.Series([None] * 5)).differ == 0
    assert compare_column("b", pd.Series([True, False] * 5), pd.Series([1, 0] * 5)).differ == 0
    assert compare_column("i", pd.Series(["1", "2"] * 5), pd.Series([1.0, 2.0] * 5)).differ == 0


# ------------------------------------------------------------------ the path


class Served:
    """A service of this machine that behaves as it is told."""

    def __init__(self, answer: Callable[[list[dict[str, Any]]], tuple[int, bytes]]) -> None:
        self.calls: list[int] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.head = dict(self.headers)
                rows = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["rows"]
                outer.calls.append(len(rows))
                code, body = answer(rows)
                self.send_response(code)
                if 300 <= code < 400:
                    self.send_header("Location", "http://127.0.0.1:1/elsewhere?token=x")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *words: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/predict"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def service() -> Iterator[Callable[..., Served]]:
    made: list[Served] = []

    def start(answer: Callable[[list[dict[str, Any]]], tuple[int, bytes]]) -> Served:
        made.append(Served(answer))
        return made[-1]

    yield start
    for one in made:
        one.server.shutdown()
        one.server.server_close()


def document(predictions: Any) -> bytes:
    return json.dumps({"predictions": predictions}).encode()


ROWS = [{"i": i} for i in range(40)]
QUIET: dict[str, Any] = {"sleep": lambda seconds: None}


def test_a_service_over_http_is_the_same_as_the_function(data: pd.DataFrame, model: Any, service: Any) -> None:
    call = served(model)
    one = service(lambda rows: (200, json.dumps(call(rows)).encode()))
    made = replayed(data, model, one.url)
    assert not causes(made) and made.findings.get("SKEW1").status == "pass" and one.calls[:3] == [100, 100, 100]


def test_a_token_goes_into_the_request_and_nowhere_else(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, "s3cret")
    one = service(lambda rows: (401, b"no"))
    with pytest.raises(OnlineError) as error:
        replay(Service(one.url), ROWS, **QUIET)
    assert (
        one.head["Authorization"] == "Bearer s3cret" and "s3cret" not in str(error.value) and TOKEN in str(error.value)
    )


@pytest.mark.parametrize(
    ("code", "body", "words"),
    [
        (200, b"<!doctype html><title>Sign in</title><p>hello", "HTML page ('Sign in')"),
        (200, b"not json", "no JSON"),
        (200, b'{"answers": [1]}', "no 'predictions'"),
        (200, document([None] * 100)[:-1], "no JSON"),
        (404, b'{"detail": "Not Found"}', "POST /predict"),
        (301, b"", "sends to another address"),
        (500, b'{"detail": "boom"}', "none of the first 20 rows"),
        (422, b'{"detail": "i is not allowed"}', "i is not allowed"),
        (200, document([float("nan")] * 40), "nan"),
    ],
)
def test_a_service_that_answers_nothing_of_use_is_an_error(code: int, body: bytes, words: str, service: Any) -> None:
    one = service(lambda rows: (code, body))
    with pytest.raises(InputError) as error:
        replay(Service(one.url), ROWS, **QUIET)
    assert words in str(error.value) and "token=x" not in str(error.value) and len(one.calls) <= 64


def test_a_service_that_is_down_is_found_at_once_and_one_that_comes_back_is_used(service: Any) -> None:
    slept: list[float] = []
    with pytest.raises(OnlineError, match="cannot be reached"):
        replay(Service("http://127.0.0.1:9/predict"), ROWS, sleep=slept.append)
    assert 2 <= len(slept) <= 4
    times = iter(range(100))
    one = service(lambda rows: (503, b"") if next(times) < 2 else (200, document([1.0] * len(rows))))
    assert len(replay(Service(one.url), ROWS, **QUIET).answered) == 40 and one.calls == [40, 40, 40]


def test_a_service_that_hangs_is_given_up_and_what_was_answered_stays(service: Any) -> None:
    hold = threading.Event()

    def slow(rows: list[dict[str, Any]]) -> tuple[int, bytes]:
        if any(row["i"] >= 20 for row in rows):
            hold.wait(20)
        return 200, document([1.0] * len(rows))

    one = service(slow)
    found = replay(Service(one.url, timeout=0.3), ROWS, batch=10, timeout=0.3, **QUIET)
    assert found.answered == list(range(20)) and {f.kind for f in found.faults.values()} == {"hung", "down"}
    assert len(one.calls) <= 6
    hold.set()
    with pytest.raises(OnlineError, match="within"):
        replay(lambda rows: time.sleep(30), ROWS, timeout=0.05, **QUIET)


def test_one_row_that_hangs_costs_that_row(service: Any) -> None:
    hold = threading.Event()

    def slow(rows: list[dict[str, Any]]) -> tuple[int, bytes]:
        if any(row["i"] == 13 for row in rows):
            hold.wait(20)
        return 200, document([1.0] * len(rows))

    found = replay(Service(service(slow).url, timeout=0.3), ROWS, batch=8, timeout=0.3, **QUIET)
    hold.set()
    assert 13 in found.faults and len(found.answered) >= 30


def test_rows_that_fail_are_listed_and_the_rest_is_compared(data: pd.DataFrame, model: Any) -> None:
    inner = served(model)

    def fragile(rows: Any) -> Any:
        if any(row["customer"] in (7, 50, 51) for row in rows):
            raise KeyError("XL")
        answer = inner(rows)
        for place, row in enumerate(rows):
            if row["customer"] == 60:
                answer["predictions"][place] = float("nan")
        return answer

    made = replayed(data, model, fragile, key="customer", rows=900)
    assert {(f["row"], f["kind"]) for f in made.faults} == {
        (7, "crashed"),
        (50, "crashed"),
        (51, "crashed"),
        (60, "unusable"),
    }
    one = made.findings.get("SKEW1")
    assert (
        one.status == "warn" and "4 of 900 rows got no answer" in one.message and max(g.rows for g in made.gaps) >= 896
    )


def test_a_list_that_is_too_short_is_asked_row_by_row_and_said(data: pd.DataFrame, model: Any) -> None:
    inner = served(model)
    made = replayed(data, model, lambda rows: {"predictions": inner(rows)["predictions"][:1]}, rows=60)
    assert not causes(made) and any("each of their rows is answered alone" in note for note in made.notes)
    assert made.findings.get("SKEW1").status == "warn"


def test_a_request_that_is_too_large_is_halved(service: Any) -> None:
    one = service(lambda rows: (200, document([len(row["text"]) for row in rows])))
    rows = [{"text": "x" * 1000} for _ in range(20)]
    found = replay(Service(one.url, most_sent=5000), rows, **QUIET)
    assert len(found.answered) == 20 and max(one.calls) <= 4
    limited = service(lambda rows: (413, b"") if len(rows) > 3 else (200, document([1] * len(rows))))
    assert len(replay(Service(limited.url), rows, **QUIET).answered) == 20


def test_an_answer_without_end_is_cut_off(service: Any) -> None:
    one = service(lambda rows: (200, b"[" + b"1," * 50_000))
    with pytest.raises(OnlineError, match="larger than"):
        replay(Service(one.url, most_bytes=1000), ROWS[:1], **QUIET)


def test_a_path_is_named_in_words(tmp_path: Path) -> None:
    (tmp_path / "serving.py").write_text("def predict(rows):\n    return [1.0] * len(rows)\nfails = 1\n")
    assert online_path("serving.py:predict", tmp_path)([{}]) == [1.0]
    assert online_path("serving:predict", tmp_path)([{}, {}]) == [1.0, 1.0]
    (tmp_path / "broken.py").write_text("1 / 0")
    for word, words in (
        ("serving.py:predcit", "Did you mean 'predict'"),
        ("servng.py:predict", "Did you mean 'serving.py'"),
        ("broken.py:predict", "ZeroDivisionError"),
        ("file:///etc/passwd", "no address"),
        ("http://", "no address"),
        ("http://u:p@h/", TOKEN),
    ):
        with pytest.raises(InputError) as error:
            online_path(word, tmp_path)
        assert words in str(error.value)


# ------------------------------------------------------------------ logs


def lines(frame: pd.DataFrame, **more: Any) -> list[dict[str, Any]]:
    made = []
    for i, row in enumerate(frame.to_dict(orient="records")):
        row = {
            k: (None if v != v else str(v) if isinstance(v, pd.Timestamp) else v) for k, v in row.items() if k != "left"
        }
        made.append(
            {
                "id": f"r{i}",
                "time": f"2024-05-02T10:{i % 60:02}:00Z",
                "row": row,
                **{k: v(row) for k, v in more.items()},
            }
        )
    return made


def write(path: Path, made: list[Any]) -> Path:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in made) + "\n")
    return path


def test_a_damaged_log_is_read_as_far_as_it_goes_and_says_so(tmp_path: Path, data: pd.DataFrame, model: Any) -> None:
    good = lines(data.head(50))
    bad = [
        '{"id": "x", "row": {"a"',
        "null",
        "[1]",
        '{"id": "y", "rows": [{"a": 1}, {"a": 2}], "predictions": [1]}',
        '{"id": "z", "rows": []}',
    ]
    again = [good[3], good[4] | {"row": {**good[4]["row"], "age": 99}}]
    log = read_requests(write(tmp_path / "log.jsonl", [*good[:20], *bad, *again, *good[20:]]))
    assert len(log) == 50 and log.requests == 52 and len(log.problems) == 3
    assert "5 (log.jsonl:21 is no JSON" in log.problems[0] and "2" in log.problems[1] and "(r4)" in log.problems[2]
    assert log.rows["age"].iloc[4] == good[4]["row"]["age"] or good[4]["row"]["age"] is None
    made = replayed(data, model, None, requests=log)
    assert all(f"requests: {problem}" in made.notes for problem in log.problems)


def test_logs_without_anything_to_compare_are_errors_or_notes(tmp_path: Path, data: pd.DataFrame, model: Any) -> None:
    with pytest.raises(InputError, match="no readable request"):
        read_requests(write(tmp_path / "a.jsonl", ["", "nothing here"]))
    with pytest.raises(InputError, match="no column of the data"):
        replayed(data, model, None, requests=write(tmp_path / "b.jsonl", [{"row": {"colour": "red"}}]))
    strangers = data.head(30).assign(customer=lambda f: f["customer"] + 10**6)
    made = replayed(data, model, None, requests=write(tmp_path / "c.jsonl", lines(strangers)), key="customer")
    assert (
        any("None of 30 requests has a row" in note for note in made.notes)
        and made.findings.get("SKEW1").status == "not_checked"
    )


def test_columns_that_the_log_lacks_or_adds_are_named(tmp_path: Path, data: pd.DataFrame, model: Any) -> None:
    some = data.head(40).drop(columns="rate").assign(browser="x")
    made = replayed(data, model, None, requests=write(tmp_path / "log.jsonl", lines(some)))
    assert any("lacks: rate" in note for note in made.notes) and any(
        "do not have: browser" in note for note in made.notes
    )


def test_shapes_of_a_log_are_the_same_log(tmp_path: Path) -> None:
    shapes: list[list[Any]] = [
        [{"id": "1", "time": "2024-05-01T10:00:00Z", "age": 3, "prediction": 0.5}, {"id": "2", "time": "2024-05-01T10:01:00Z", "age": 4, "prediction": 0.6}],
        [{"request_id": "1", "ts": 1714557600, "row": {"age": 3}, "prediction": 0.5}, {"request_id": "2", "ts": 1714557660, "row": {"age": 4}, "prediction": 0.6}],
        [{"id": "1", "timestamp": "2024-05-01T12:00:00+02:00", "rows": [{"age": 3}], "predictions": [0.5]},
         {"id": "2", "timestamp": 1714557660000, "rows": [{"age": 4}], "response": {"predictions": [0.6]}}],
        [{"id": "1", "time": "2024-05-01 10:00:00", "request": {"rows": [{"age": 3}]}, "prediction": 0.5},
         {"id": "2", "time": "2024-05-01 10:01", "input": {"age": 4}, "output": 0.6}],
    ]  # fmt: skip
    for i, shape in enumerate(shapes):
        log = read_requests(write(tmp_path / f"{i}.jsonl", shape))
        assert log.ids == ("1", "2") and log.rows["age"].tolist() == [3, 4] and log.predictions == (0.5, 0.6), i
        assert log.times.astype(str).tolist() == ["2024-05-01 10:00:00", "2024-05-01 10:01:00"], i
    table = pd.DataFrame(shapes[0])
    table.to_parquet(tmp_path / "log.parquet")
    assert read_requests(tmp_path / "log.parquet").predictions == (0.5, 0.6)


def test_a_long_log_is_sampled_alike_from_its_beginning_and_its_end(tmp_path: Path) -> None:
    log = read_requests(write(tmp_path / "log.jsonl", [{"id": i, "row": {"i": i}} for i in range(3000)]), most=500)
    assert len(log) == 500 and abs(log.rows["i"].mean() - 1500) < 150 and any("3,000" in p for p in log.problems)


def test_logged_features_and_predictions_are_laid_beside_the_data(
    tmp_path: Path, data: pd.DataFrame, model: Any
) -> None:
    call = served(model)
    made = lines(
        data.head(200),
        features=lambda row: {"balance": row["balance"] / 1000},
        prediction=lambda row: call([row])["predictions"][0],
    )
    report = replayed(data, model, None, requests=write(tmp_path / "log.jsonl", made), key="customer")
    found = {(g.column, g.where): g for g in report.gaps}
    assert (
        "thousands" in found["balance", "logged features"].cause
        and found["balance", "logged features"].examples[0]["row"] == "r0"
    )
    assert found["probability of yes", "logged predictions"].differ == 0


def test_an_old_value_is_named_as_one(tmp_path: Path) -> None:
    history = pd.DataFrame({"customer": np.repeat(np.arange(60), 3), "day": np.tile(pd.date_range("2024-05-01", periods=3), 60),
                            "spent": np.random.default_rng(0).gamma(2, 50, 180)})  # fmt: skip
    before = history[history["day"] == "2024-05-02"]
    made = [
        {"id": str(c), "time": "2024-05-03T09:00:00Z", "row": {"customer": int(c), "spent": float(s)}}
        for c, s in before[["customer", "spent"]].to_numpy()
    ]
    report = skew(
        history, None, requests=write(tmp_path / "log.jsonl", made), key="customer", time="day", needs={"spent": "12h"}
    )
    gap = next(g for g in report.gaps if g.column == "spent")
    assert gap.causes[0].kind == "old" and gap.causes[0].rows == 60
    assert (
        report.ages[0].p50 == 33 * 3600
        and report.ages[0].outdated == 60
        and report.findings.get("SKEW2").status == "fail"
    )


# ------------------------------------------------------------------ freshness, missing values, distributions


def test_freshness_is_held_against_what_was_stated() -> None:
    asked = pd.Series(pd.date_range("2024-05-01 12:00", periods=200, freq="min"))
    written = pd.DataFrame(
        {"a": asked - pd.Timedelta(minutes=9), "b": asked - pd.Timedelta(hours=5), "c": asked + pd.Timedelta(minutes=3)}
    )
    by_need = {
        need: freshness_finding(logged_ages(asked, written[["a"]], {"a": need})).status.value for need in ("10m", "8m")
    }
    assert by_need == {"10m": "pass", "8m": "fail"}
    assert freshness_finding(logged_ages(asked, written[["b"]])).status == "warn"  # nobody said how old it may be
    future = freshness_finding(logged_ages(asked, written[["c"]], {"": "1d"}))
    assert future.status == "warn" and "after the request" in future.message
    late = asked - pd.Timedelta(minutes=5)
    late.iloc[0] -= pd.Timedelta(days=1)
    assert freshness_finding(logged_ages(asked, pd.DataFrame({"a": late}), {"a": "6m"})).status == "warn"  # one of 200


def test_history_knows_no_age_of_what_it_does_not_hold() -> None:
    history = pd.DataFrame({"k": ["a", "a"], "t": pd.to_datetime(["2024-05-01", "2024-05-02"]), "x": [1.0, 2.0]})
    asked = pd.DataFrame({"k": ["a", "a", "b"], "t": pd.to_datetime(["2024-05-02 12:00"] * 3), "x": [1.0, 7.0, 1.0]})
    (age,) = history_ages(asked, history, "k", "t", ["x"])
    assert (age.requests, age.unmatched, age.outdated, age.worst) == (1, 1, 1, 36 * 3600)


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        (
            lambda rows: [
                {**r, "age": 0 if r.get("age") in (None, "") or r.get("age") != r.get("age") else r["age"]}
                for r in rows
            ],
            "other",
        ),
        (lambda rows: [{**r, "age": r["age"]} for r in rows], "crashed"),
        (lambda rows: [{**r, "plan": r["plan"].strip()} for r in rows], "crashed"),
    ],
)
def test_each_way_of_being_wrong_about_missing_values_is_seen(
    change: Any, outcome: str, data: pd.DataFrame, model: Any
) -> None:
    inner = served(model)
    made = replayed(data, model, lambda rows: inner(change(rows)), probe=10, rows=50)
    three = made.findings.get("SKEW3")
    assert three.status == "fail" and outcome in {p.outcome for p in made.probes}, three.message


def test_nothing_for_an_answer_and_hanging_are_seen(data: pd.DataFrame, model: Any) -> None:
    inner = served(model)

    def online(rows: Any) -> Any:
        if any("rate" not in row for row in rows):
            time.sleep(3)
        answer = inner(rows)["predictions"]
        return [float("nan") if row.get("visits") is None else p for row, p in zip(rows, answer, strict=True)]

    probes = probe_missing(
        online, data.head(2), ["visits", "rate"], offline_model(model, list(data)), NUMBERS, timeout=0.25
    )
    outcomes = {(p.feature, p.probe): p.outcome for p in probes}
    assert (
        outcomes["visits", "null"] == "nothing"
        and outcomes["rate", "removed"] == "hung"
        and ("rate", "null") not in outcomes
    )
    assert probe_finding(probes).status == "fail"


def test_missing_values_are_probed_for_crashes_even_where_nothing_agrees(data: pd.DataFrame, model: Any) -> None:
    inner = served(model, lambda f: f.assign(balance=f["balance"] * 100 + 7))

    def online(rows: Any) -> Any:
        return {
            "predictions": [row["plan"].lower() and p for row, p in zip(rows, inner(rows)["predictions"], strict=True)],
            "features": inner(rows)["features"],
        }

    made = replayed(data, model, online, probe=10, rows=50)
    assert made.findings.get("SKEW3").status == "fail" and "plan" in made.findings.get("SKEW3").columns
    assert any("agree on no row" in note for note in made.notes)


def test_distributions_agree_with_scipy_and_cry_wolf_as_seldom_as_they_say() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, 3000), rng.normal(0.4, 1, 400)
    (found,) = shifts(pd.DataFrame({"x": a}), pd.DataFrame({"x": b}), ["x"])
    assert found.ks == pytest.approx(ks_2samp(a, b).statistic, abs=1e-12) and found.severity in ("warning", "critical")
    edges = np.unique(np.quantile(a, np.linspace(0, 1, 11)[1:-1]))
    p, q = (np.bincount(np.searchsorted(edges, x, "left"), minlength=10) / len(x) for x in (a, b))
    assert found.psi == pytest.approx(float(((q - p) * np.log(q / p)).sum()), rel=1e-9)
    alarms, over = 0, 0
    for seed in range(200):
        draw = np.random.default_rng(seed)
        train = pd.DataFrame(
            {f"n{i}": draw.normal(size=2000) for i in range(3)} | {"c": draw.choice(list("abcd"), 2000)}
        )
        asked = pd.DataFrame({f"n{i}": draw.normal(size=80) for i in range(3)} | {"c": draw.choice(list("abcd"), 80)})
        moved = shifts(train, asked, list(train))
        alarms += shift_finding(moved).status != "pass"
        over += sum(s.psi > s.psi_chance for s in moved)
    assert alarms <= 6 and 10 <= over <= 90  # 800 columns at 5 %: 40 expected


def test_psi_is_zero_for_equal_shares_and_knows_empty_sides() -> None:
    assert psi_of(np.array([50.0, 50.0]), np.array([5.0, 5.0]))[0] == 0
    assert psi_of(np.array([50.0, 50.0]), np.array([0.0, 0.0])) == (0.0, 0.0, 1.0)


def test_what_moved_is_named_with_new_categories_and_more_gaps(tmp_path: Path, data: pd.DataFrame, model: Any) -> None:
    rng = np.random.default_rng(1)
    asked = customers(400, 5)
    asked["plan"] = np.where(rng.random(400) < 0.4, "Trial", asked["plan"])
    asked["rate"] = asked["rate"].where(rng.random(400) > 0.5)
    made = replayed(data, model, None, requests=write(tmp_path / "log.jsonl", lines(asked)))
    four = made.findings.get("SKEW4")
    assert four.status == "fail" and set(four.columns) == {"plan", "rate"} and "Trial" in four.message


def test_a_drift_report_decides_where_there_is_one(data: pd.DataFrame, model: Any) -> None:
    from mlnb.monitoring.drift import compare

    later = customers(900, 9).assign(balance=lambda f: f["balance"] * 3)
    made = replayed(data, model, served(model), drift=compare(data, later))
    four = made.findings.get("SKEW4")
    assert four.status == "fail" and four.columns == ("balance",) and four.evidence["from"] == "drift report"


# ------------------------------------------------------------------ bad input, project


def test_bad_input_is_said_in_words(data: pd.DataFrame, model: Any) -> None:
    with pytest.raises(InputError, match="Nothing to compare"):
        skew(data, None, model)
    with pytest.raises(InputError, match="Did you mean 'left'"):
        skew(data, served(model), model, target="lft")
    with pytest.raises(InputError, match="lack rate"):
        replayed(data.drop(columns="rate"), model, served(model))
    with pytest.raises(InputError, match="cannot predict"):
        replayed(data, object(), served(model))
    with pytest.raises(InputError, match="3, 4 parts"):
        named_predictions([[1, 2, 3], [1, 2, 3, 4]])
    made = replayed(data, model, lambda rows: [{"verdict": "fine"} for _ in rows])
    assert made.findings.get("SKEW1").status == "not_checked" and any(
        "cannot be laid beside" in note for note in made.notes
    )


def test_a_model_that_raises_on_some_rows_keeps_the_others(data: pd.DataFrame, model: Any) -> None:
    def picky(frame: pd.DataFrame) -> np.ndarray:
        if (frame["customer"] == 5).any():
            raise ValueError("five")
        return model.predict_proba(frame[NUMBERS + WORDS])[:, 1]

    made = skew(data, lambda rows: served(model)(rows)["predictions"], picky, target="left", rows=900, probe=0)
    assert any("raises on 1 rows" in note and "five" in note for note in made.notes) and made.gaps[0].rows == 899


def test_a_report_is_plain_data_and_safe_html(data: pd.DataFrame, model: Any) -> None:
    evil = "<script>alert(1)</script>"
    frame = data.rename(columns={"balance": evil})
    made = skew(
        frame[[evil, "visits"]],
        lambda rows: {"predictions": [0] * len(rows), "features": [{evil: 1.0} for _ in rows]},
        rows=20,
        probe=3,
    )
    assert evil not in made._repr_html_() and evil in made.frame()["column"].tolist()
    assert json.loads(json.dumps(made.to_dict()))["findings"][0]["code"] == "SKEW1"
    assert len(made.plot().axes) == 1


def test_a_project_names_its_path_and_its_log(tmp_path: Path, data: pd.DataFrame) -> None:
    data.drop(columns="since").to_csv(tmp_path / "data.csv", index=False)
    project = Project.create(tmp_path / "bank", tmp_path / "data.csv", "left", entity="customer")
    with pytest.raises(MissingError, match="online"):
        project_skew(project)
    one = project.check("SKEW1")[0]
    assert one.status == "not_checked" and one.evidence["missing"] == "skew"
    before = project.fingerprints()
    code = """
def predict(rows):
    return {"predictions": [0.5] * len(rows), "features": [{"balance": row["balance"] * 100} for row in rows]}
"""
    (project.path / "serving.py").write_text(code)
    (project.path / "logs").mkdir()
    write(project.path / "logs" / "one.jsonl", lines(data.drop(columns="since").head(60)))
    write(
        project.path / "logs" / "two.jsonl",
        [{**line, "id": f"b{line['id']}"} for line in lines(data.drop(columns="since").tail(60))],
    )
    save_config(
        project.path, project.config.model_copy(update={"online": "serving.py:predict", "requests": "logs/*.jsonl"})
    )
    project = Project(project.path)
    found = project.check("SKEW1", "SKEW2", "SKEW3", "SKEW4")
    assert [f.status.value for f in found] == ["fail", "not_checked", "fail", "pass"] and found[0].columns == (
        "balance",
    )
    assert project.result("skew")["log"]["rows"] == 120
    after = project.fingerprints()
    assert after["config"] == before["config"] and after["online"] and after["requests"] and not before["requests"]
    write(project.path / "logs" / "three.jsonl", lines(data.head(3)))
    assert project.findings().get("SKEW1").status == "stale"
    (project.path / "logs" / "three.jsonl").unlink()
    assert project.findings().get("SKEW1").status == "fail"
    (project.path / "serving.py").write_text(code.replace(" * 100", ""))
    assert project.findings().get("SKEW1").status == "stale"


def test_modules_of_one_name_in_two_folders_are_two(tmp_path: Path) -> None:
    for folder, value in (("a", 1.0), ("b", 2.0)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "serving.py").write_text(f"def predict(rows):\n    return [{value}] * len(rows)\n")
    assert [online_path("serving:predict", tmp_path / folder)([{}]) for folder in "ab"] == [[1.0], [2.0]]


def test_a_row_that_both_sides_refuse_is_no_difference(data: pd.DataFrame, model: Any) -> None:
    frame = data.assign(visits=data["visits"].astype(object))
    frame.loc[5, "visits"] = None

    def offline(rows: pd.DataFrame) -> np.ndarray:
        if rows["visits"].isna().any():
            raise ValueError("visits is missing")
        return model.predict_proba(rows[NUMBERS + WORDS].astype(dict.fromkeys(NUMBERS, float)))[:, 1]

    def online(rows: Any) -> Any:
        if any(row["visits"] is None for row in rows):
            raise InputError("visits is missing")
        return served(model)(rows)["predictions"]

    made = skew(frame, online, offline, target="left", rows=900, probe=0)
    assert not made.faults and any("refused online and raise offline" in note for note in made.notes)
    assert made.findings.get("SKEW1").status == "pass"


# code that a project names


def _bank(tmp_path: Path, data: pd.DataFrame, online: str) -> Project:
    data.drop(columns="since").head(80).to_csv(tmp_path / "data.csv", index=False)
    project = Project.create(tmp_path / "bank", tmp_path / "data.csv", "left", entity="customer")
    (project.path / "serving.py").write_text("from pathlib import Path\nPath(__file__).with_name('ran').touch()\n\n\ndef predict(rows):\n    return [0.5] * len(rows)\n")
    (tmp_path / "outside.py").write_text((project.path / "serving.py").read_text())
    save_config(project.path, project.config.model_copy(update={"online": online}))
    return Project(project.path)


def test_code_of_the_project_that_was_opened_runs_and_that_is_said(tmp_path: Path, data: pd.DataFrame) -> None:
    made = project_skew(project := _bank(tmp_path, data, "serving.py:predict"))
    said = "Ran predict of serving.py, which mlnb.yaml of this project names."
    assert made.notes[0] == said and made.findings.get("SKEW1").evidence["code"] == said and (project.path / "ran").exists()  # type: ignore[union-attr]
    assert said in made._repr_html_() and project.result("skew")["notes"][0] == said  # type: ignore[index]


@pytest.mark.parametrize("how", ["everybody writes", "another's", "another's mlnb.yaml", "outside", "a link", "a part of Python"])
def test_code_that_somebody_else_may_have_written_is_not_run(tmp_path: Path, data: pd.DataFrame, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    word = {"outside": "../outside.py:predict", "a link": "link.py:predict", "a part of Python": "os:system"}.get(how, "serving.py:predict")
    project = _bank(tmp_path, data, word)
    file = project.path / ("mlnb.yaml" if "yaml" in how else "serving.py")
    if how == "everybody writes":
        file.chmod(0o666)
    elif how.startswith("another"):
        real, ours = Path.stat, file.stat()
        other = os.stat_result((*ours[:4], 54321, *ours[5:]))
        monkeypatch.setattr(Path, "stat", lambda self, **more: other if (found := real(self, **more)).st_ino == ours.st_ino else found)
    elif how == "a link":
        (project.path / "link.py").symlink_to(tmp_path / "outside.py")
    with pytest.raises(InputError, match="part of Python" if how == "a part of Python" else "code was not run"):
        project_skew(project)
    found = project.check("SKEW1")[0]
    assert found.status == "not_checked" and "mlnb.yaml names" in found.message
    assert not list(tmp_path.rglob("ran"))
    if how != "a part of Python":
        assert "although" in project_skew(project, trust=True).notes[0] and list(tmp_path.rglob("ran"))


def test_no_result_or_record_can_name_code(tmp_path: Path, data: pd.DataFrame) -> None:
    """What was downloaded is data: only the mlnb.yaml of the project that was opened says what runs."""
    project = _bank(tmp_path, data, "")
    for place in ("results/experiment.json", "results/skew.json", "experiments/EXP-2024-01-01-001/experiment.json"):
        (project.path / place).parent.mkdir(parents=True, exist_ok=True)
        (project.path / place).write_text(json.dumps({"result": {"online": "serving.py:predict"}, "online": "serving.py:predict", "inputs": {}}))
    with pytest.raises(MissingError, match="names neither the online path"):
        project_skew(Project(project.path))
    assert not list(tmp_path.rglob("ran"))
