"""Online values: the newest wins whoever writes, a killed run is finished by the next, errors in words; on SQLite and on a real Redis server."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlnb.core.errors import InputError, MissingError
from mlnb.core.records_data import FeatureStore
from mlnb.data.store import Store, open_store
from mlnb.data.store_materialise import Online, materialise, micros
from mlnb.data.store_online import Reader, measure_latency, open_online
from mlnb.data.store_redis import RedisOnline
from mlnb.data.store_source import open_view
from mlnb.data.store_sqlite import Job, OnlineRow, SqliteOnline, encode_key

DAY = dt.datetime(2026, 3, 1)
VIEW = {"name": "v", "entity": "user", "source": "v.parquet", "event_time": "event", "known_time": "known",
        "features": [{"name": "user_x_all_last", "column": "x"}]}


def store_of(**view: object) -> FeatureStore:
    return FeatureStore(entities=[{"name": "user", "keys": ["user_id"]}], views=[{**VIEW, **view}])


@pytest.fixture(scope="session")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server of our own on a free port of this machine, ended by its own process id."""
    pytest.importorskip("redis", reason="the client is an extra: pip install 'mlnb[redis]'")
    server = shutil.which("redis-server")
    if server is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "-y", "-qq", "redis-server"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
        server = shutil.which("redis-server")
    if server is None:
        pytest.skip("no redis-server; on Debian: apt-get install redis-server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    process = subprocess.Popen([server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder),
                                "--protected-mode", "yes"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(10)


Make = Callable[[], Online]


@pytest.fixture(params=["sqlite", "redis"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Opens a new, empty place for online values, each time another connection to the same one."""
    if request.param == "sqlite":
        return lambda: SqliteOnline(tmp_path / "online.db")
    port = request.getfixturevalue("redis_port")
    return lambda: RedisOnline(f"redis://127.0.0.1:{port}/0", str(tmp_path))


def put(online: Online, *rows: tuple[str, int, int, str]) -> None:
    online.write(online.begin("v", '["number"]', None, 10**9), [OnlineRow(*row) for row in rows], rows[-1][0])


def test_never_older_over_newer(make: Make) -> None:
    online = make()
    put(online, ("[1]", 200, 200, "a"))
    for event, known, value, stays in ((100, 900, "late", "a"), (200, 100, "earlier", "a"), (200, 200, "again", "again"), (200, 300, "corrected", "corrected"),
                                       (300, 300, "newer", "newer"), (299, 999, "old", "newer")):
        put(online, ("[1]", event, known, value))
        assert online.read("v", ["[1]"])["[1]"].value == stays


def test_watermark_moves_only_when_nothing_is_left_out(make: Make) -> None:
    online = make()
    for start, end, mark in ((None, 100, 100), (100, 200, 200), (300, 400, 200), (150, 250, 250), (None, 50, 250)):
        online.finish(online.begin("v", "[]", start, end))
        assert online.state("v")["watermark"] == mark
    assert online.jobs("v") == []


def test_jobs_keep_their_cursor_and_survive_a_new_connection(make: Make) -> None:
    job = make().begin("v", "[]", 5, 9)
    make().write(job, [OnlineRow("[1]", 1, 1, "{}")], "[1]")
    make().begin("v", "[]", 5, 9)  # the same job again: how far it has come stays
    assert make().jobs("v") == [Job("v", 5, 9, "[1]")]
    make().finish(job)
    make().write(job, [OnlineRow("[2]", 1, 1, "{}")], "[2]")  # a slower writer of the same job
    assert make().jobs("v") == []
    assert make().count("v") == 2


def test_keys_with_odd_characters_stay_apart(make: Make) -> None:
    online = make()
    keys = [encode_key(key) for key in (["a"], ["a", "b"], ["a:b"], ["*"], ['"'], ["Zoë"], [1], ["1"], [""], ["a\nb"], ["'; DROP TABLE state;--"])]
    put(online, *((key, 1, 1, str(i)) for i, key in enumerate(keys)))
    assert {key: row.value for key, row in online.read("v", keys).items()} == {key: str(i) for i, key in enumerate(keys)}
    assert sorted(online.keys("v", 100)) == sorted(keys)


stamp = st.integers(0, 20)
slow = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@slow
@given(rows=st.lists(st.tuples(st.integers(1, 3), stamp, stamp, st.floats(-9, 9).map(lambda x: round(x, 1))), min_size=1, max_size=15),
       cuts=st.lists(stamp, max_size=3))
def test_runs_in_steps_end_where_one_run_ends(tmp_path: Path, rows: list, cuts: list[int]) -> None:
    """However a span is cut, what is online is what the offline join gives at its end."""
    pd.DataFrame([(u, DAY + dt.timedelta(hours=e), DAY + dt.timedelta(hours=k), x) for u, e, k, x in rows],
                 columns=["user_id", "event", "known", "x"]).to_parquet(tmp_path / "v.parquet")
    path = tmp_path / "online.db"
    for file in tmp_path.glob("online.db*"):
        file.unlink()
    online = SqliteOnline(path)
    store = Store(store_of(), tmp_path)
    for cut in [*sorted(cuts), 30]:
        end = DAY + dt.timedelta(hours=cut)
        materialise(online, store.source("v"), end, size=2)
        offline = store.join(pd.DataFrame({"user_id": [1, 2, 3], "due": [end] * 3}), "due").frame()["user_x_all_last"]
        found = Reader(store.store, online).get([{"user_id": u} for u in (1, 2, 3)], now=end)
        assert [None if pd.isna(x) else x for x in offline] == [row["user_x_all_last"] for row in found]
    online.close()


def test_windows_online_are_windows_offline(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    n = 300
    event = pd.Timestamp(DAY) + pd.to_timedelta(rng.integers(0, 20 * 24, n), unit="h")
    pd.DataFrame({"user_id": rng.integers(1, 30, n), "event": event, "known": event + pd.to_timedelta(rng.integers(0, 48, n), unit="h"),
                  "x": rng.normal(size=n).round(2)}).to_parquet(tmp_path / "v.parquet")
    features = [{"name": f"user_x_{w}_{a}", "column": "x", "window": w, "aggregation": a} for w in ("1d", "5d") for a in ("count", "sum", "mean", "last")]
    store = Store(store_of(features=features), tmp_path)
    users = sorted(set(pd.read_parquet(tmp_path / "v.parquet").user_id))
    for day in (2, 3, 9, 20, 30):
        end = DAY + dt.timedelta(days=day)
        materialise(store.online, store.source("v"), end)
        offline = store.join(pd.DataFrame({"user_id": users, "due": [end] * len(users)}), "due").frame().set_index("user_id")
        for row in store.reader().get([{"user_id": u} for u in users], now=end):
            for name in store.features:
                want = offline.loc[row["user_id"], name]
                got = row[name] if row[name] is not None or not name.endswith(("count", "sum")) else 0  # nobody was there yet
                assert (pd.isna(want) and got is None) or got == pytest.approx(want), (day, row, name, want)


def test_redis_takes_what_sqlite_takes(tmp_path: Path, redis_port: int) -> None:
    """The same run into both: the same rows."""
    n = 1300
    pd.DataFrame({"user_id": range(n), "event": [DAY] * n, "known": [DAY] * n, "x": np.arange(n) / 7}).to_parquet(tmp_path / "v.parquet")
    source = open_view(store_of(), "v", tmp_path)
    places = [SqliteOnline(tmp_path / "o.db"), RedisOnline(f"redis://127.0.0.1:{redis_port}/0", "both")]
    for online in places:
        assert materialise(online, source, DAY, size=600).rows == n
    keys = [encode_key([i]) for i in range(n)]
    first, second = (online.read("v", keys) for online in places)
    assert first == second and len(first) == n
    now = DAY.replace(tzinfo=dt.UTC)
    found = measure_latency(Reader(store_of(), places[1]), lookups=200, now=now, clock=time.perf_counter)
    assert found.entities == n and 0 < found.p50_ms <= found.p99_ms <= found.worst_ms


def test_stores_on_one_server_stay_apart(redis_port: int) -> None:
    one, other = (RedisOnline(f"redis://127.0.0.1:{redis_port}/0", name) for name in ("one", "other"))
    put(one, ("[1]", 1, 1, "{}"))
    assert other.state("v") is None and other.read("v", ["[1]"]) == {} and other.keys("v", 9) == []


def test_redis_of_a_later_version_and_with_another_password_is_said(redis_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"redis://127.0.0.1:{redis_port}/0"
    online = RedisOnline(url, "later")
    online.client.set("mlnb:later:format", 9)
    with pytest.raises(InputError, match="later mlnb"):
        RedisOnline(url, "later")
    online.client.config_set("requirepass", "right")
    try:
        for given in ("", "very-secret"):
            monkeypatch.setenv("MLNB_REDIS_PASSWORD", given)
            with pytest.raises(InputError) as said:
                RedisOnline(url, "one")
            assert "very-secret" not in str(said.value) and "MLNB_REDIS_PASSWORD" in str(said.value)
        monkeypatch.setenv("MLNB_REDIS_PASSWORD", "right")
        assert RedisOnline(url, "nobody").state("v") is None
    finally:
        online.client.config_set("requirepass", "")


def test_a_server_that_is_gone_is_said() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(InputError, match=f"127.0.0.1:{port} does not answer"):
        open_online(f"redis://127.0.0.1:{port}/0")
    with pytest.raises(InputError, match="is no address"):
        open_online("redis://127.0.0.1:port/0")


# -- kills, several writers, full disks ------------------------------------------------------------------------------------------------

WRITER = """
    import datetime as dt, os, signal, sys
    from pathlib import Path
    from mlnb.data.store import open_store
    store = open_store(Path(sys.argv[1]))
    stop = int(sys.argv[2])
    def progress(rows):
        print(rows, flush=True)
        if stop and rows >= stop:
            os.kill(os.getpid(), signal.SIGKILL)
    from mlnb.data.store_materialise import materialise
    materialise(store.online, store.source("v"), dt.datetime(2026, 3, 2), size=500, progress=progress)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    n = 6000
    pd.DataFrame({"user_id": range(n), "event": [DAY] * n, "known": [DAY] * n, "x": np.arange(n, dtype=float)}).to_parquet(tmp_path / "v.parquet")
    (tmp_path / "feature_store.yaml").write_text(json.dumps({"feature_store": {"entities": [{"name": "user", "keys": ["user_id"]}], "views": [VIEW]}}))
    return tmp_path


def writer(folder: Path, stop: int = 0, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(WRITER), str(folder), str(stop)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, **options)


def whole(online: Online, n: int = 6000) -> None:
    rows = online.read("v", [encode_key([i]) for i in range(n)])
    assert len(rows) == n
    assert all(json.loads(rows[encode_key([i])].value) == {"user_x_all_last": float(i)} for i in range(n))


@pytest.mark.parametrize("place", ["sqlite", "redis"])
def test_a_killed_run_is_finished_by_the_next_from_where_it_stopped(folder: Path, place: str, request: pytest.FixtureRequest) -> None:
    if place == "redis":
        url = f"redis://127.0.0.1:{request.getfixturevalue('redis_port')}/0"
        text = json.loads((folder / "feature_store.yaml").read_text())
        text["feature_store"]["online_store"] = {"url": url}
        (folder / "feature_store.yaml").write_text(json.dumps(text))
    process = writer(folder, stop=2000)
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    store = open_store(folder)
    (job,) = store.online.jobs("v")
    assert store.online.state("v")["watermark"] is None  # the run is not done, and does not say so
    kept = store.online.read("v", [encode_key([i]) for i in range(6000)])
    assert len(kept) == 2000 and job.cursor == encode_key([1999])  # what was written is there, and readable
    done = store.materialise(dt.datetime(2026, 3, 3))[0]
    assert done.resumed == 1 and done.rows == 4000  # only the rest
    whole(store.online)
    assert store.online.jobs("v") == [] and store.online.state("v")["watermark"] == micros(dt.datetime(2026, 3, 3))


def test_two_writers_at_once_lose_nothing(folder: Path) -> None:
    processes = [writer(folder) for _ in range(3)]
    for process in processes:
        _, err = process.communicate(timeout=180)
        assert process.returncode == 0, err
    online = open_store(folder).online
    whole(online)
    assert online.jobs("v") == []


def test_a_full_disk_is_said_and_what_was_there_stays(folder: Path) -> None:
    """No file may grow beyond a limit, which is how the operating system says no here."""
    store = open_store(folder)
    put(store.online, ("[1]", 1, 1, '{"user_x_all_last":7.0}'))
    store.online.finish(Job("v", None, 10**9))
    store.online.close()
    code = """
        import datetime as dt, resource, signal, sys
        from pathlib import Path
        from mlnb.data.store import open_store
        from mlnb.data.store_materialise import materialise
        from mlnb.core.errors import InputError
        store = open_store(Path(sys.argv[1]))
        source = store.source("v")
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        def limit(rows):
            resource.setrlimit(resource.RLIMIT_FSIZE, (64_000, 64_000))
        try:
            materialise(store.online, source, dt.datetime(2026, 3, 2), size=500, progress=limit)
        except InputError as error:
            print(error)
            sys.exit(3)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(folder)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "Cannot write" in done.stdout and "disk is full" in done.stdout
    again = open_store(folder)
    assert again.online.count("v") >= 500
    again.materialise(dt.datetime(2026, 3, 3))
    whole(again.online)


def test_a_folder_that_takes_no_writing_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Cannot write"):
        SqliteOnline(tmp_path / "file" / "online.db").begin("v", "[]", None, 1)


@pytest.mark.parametrize(("prepare", "words"), [
    (lambda path: path.write_bytes(b"junk " * 1000), "file is not a database"),
    (lambda path: sqlite3.connect(path).execute("CREATE TABLE runs (id)"), "database of another program"),
    (lambda path: sqlite3.connect(path).executescript("PRAGMA application_id=1835822690; PRAGMA user_version=2;"), "later mlnb"),
])
def test_files_that_are_something_else_are_said(tmp_path: Path, prepare: Callable[[Path], object], words: str) -> None:
    prepare(tmp_path / "online.db")
    online = SqliteOnline(tmp_path / "online.db")
    before = (tmp_path / "online.db").read_bytes()
    for ask in (lambda: online.state("v"), lambda: online.begin("v", "[]", None, 1)):
        with pytest.raises(InputError, match=words):
            ask()
    assert (tmp_path / "online.db").read_bytes() == before


def test_looking_makes_no_file(tmp_path: Path) -> None:
    online = SqliteOnline(tmp_path / "online.db")
    assert online.state("v") is None and online.jobs("v") == []
    with pytest.raises(MissingError, match="mlnb store materialise v"):
        Reader(store_of(), online).get([{"user_id": 1}], now=DAY)
    assert list(tmp_path.iterdir()) == []


def test_values_grow_too_old_at_the_same_moment_online_and_offline(folder: Path) -> None:
    store = Store(store_of(ttl="2d"), folder)
    store.materialise(DAY)
    for age in (dt.timedelta(days=2), dt.timedelta(days=2, microseconds=1)):
        offline = store.join(pd.DataFrame({"user_id": [5], "due": [DAY + age]}), "due").frame()["user_x_all_last"][0]
        online = store.reader().get([{"user_id": 5}], now=DAY + age)[0]["user_x_all_last"]
        assert (None if pd.isna(offline) else offline) == online
    assert online is None


def test_readers_in_threads(folder: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    store = open_store(folder)
    store.materialise(DAY)
    reader = store.reader()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: reader.get([{"user_id": i}], now=DAY)[0]["user_x_all_last"], range(400)))
    assert found == [float(i) for i in range(400)]


def test_a_run_without_rows_and_a_span_without_length(folder: Path) -> None:
    store = open_store(folder)
    assert store.materialise(dt.datetime(2020, 1, 1))[0].rows == 0
    assert store.materialise(dt.datetime(2019, 1, 1))[0].rows == 0
    with pytest.raises(InputError, match="Give a later end"):
        store.materialise(DAY, start=DAY)
