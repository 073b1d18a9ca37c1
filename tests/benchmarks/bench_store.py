"""The feature store beside Feast and pandas: point-in-time joins, and lookups of single entities.

Joins: 1,000,000 rows that ask, 5,000,000 stored values of 100,000 entities, in Parquet; each tool is a process of its own that reads the files and
leaves the answer in memory. Once with the event time alone, where all tools have to agree, and once with the time the value was written, which Feast and
merge_asof do not ask for: the share of rows that they answer with a value nobody knew yet is printed. Then the exported repository: `feast apply` has to
take it, and Feast's join over it has to give what ours gives. Lookups: 1,000,000 entities in SQLite, and in Redis where a server is installed.
`bench_store.py [SHARE]`: the share of the full size, such as 0.1; `bench_store.py feast|join|online [SHARE]` runs one part.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

SPINE, ROWS, USERS, ENTITIES = 1_000_000, 5_000_000, 100_000, 1_000_000
FEAST = ["feast>=0.47", "pandas<3"]
VIEW = {"name": "scores", "entity": "user", "source": "scores.parquet", "event_time": "event", "features": [
    {"name": "user_score_all_last", "column": "score"}, {"name": "user_visits_all_last", "column": "visits"}]}


def make(folder: Path, share: float) -> None:
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    spine, rows, users = (int(n * share) for n in (SPINE, ROWS, USERS))
    start, seconds = np.datetime64("2026-01-01", "us"), 90 * 86_400
    event = start + rng.integers(0, seconds, rows).astype("timedelta64[s]")
    pd.DataFrame({"user_id": rng.integers(0, users, rows), "event": event,
                  "known": event + rng.exponential(86_400, rows).astype("timedelta64[s]"), "score": rng.normal(size=rows),
                  "visits": rng.integers(0, 99, rows)}).to_parquet(folder / "scores.parquet")
    pd.DataFrame({"user_id": rng.integers(0, users, spine), "due": start + rng.integers(0, seconds, spine).astype("timedelta64[s]"),
                  "n": np.arange(spine)}).to_parquet(folder / "spine.parquet")


def definition(**view: object) -> object:
    from mlnb.core.records_data import FeatureStore

    return FeatureStore(entities=[{"name": "user", "keys": ["user_id"]}], views=[{**VIEW, **view}])


def ours(folder: Path, known: str, out: str) -> None:
    from mlnb.data.store import Store

    table = Store(definition(known_time=known), folder).join(folder / "spine.parquet", "due")  # type: ignore[arg-type]
    table.expr.to_pyarrow()
    if out:
        table.expr.to_parquet(out)


def pandas_asof(folder: Path, out: str) -> None:
    import pandas as pd

    spine, rows = (pd.read_parquet(folder / f"{name}.parquet") for name in ("spine", "scores"))
    found = pd.merge_asof(spine.sort_values("due", kind="stable"), rows.sort_values(["event", "score", "visits"], kind="stable"), left_on="due",
                          right_on="event", by="user_id").sort_values("n")
    if out:
        found.rename(columns={"score": "user_score_all_last", "visits": "user_visits_all_last"}).to_parquet(out)


def feast_join(folder: Path, repository: str, out: str) -> None:
    import pandas as pd
    from feast import FeatureStore

    spine = pd.read_parquet(folder / "spine.parquet")
    spine["event_timestamp"] = spine.pop("due").dt.tz_localize("UTC")
    start = time.perf_counter()
    store = FeatureStore(repository)
    names = [f"scores:{field.name}" for field in store.get_feature_view("scores").features]
    found = store.get_historical_features(spine, names).to_df()
    print(json.dumps({"work": time.perf_counter() - start}))
    if out:
        found.sort_values("n").to_parquet(out)


def bench_join(share: float, with_feast: bool = True) -> None:
    import numpy as np
    import pandas as pd
    import peers

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        peers.measured([sys.executable, __file__, "make", folder, str(share)])
        size = f"{int(SPINE * share):,} x {int(ROWS * share):,}"
        plain = peers.measured([sys.executable, __file__, "ours", folder, "", ""])
        both = peers.measured([sys.executable, __file__, "ours", folder, "known", ""])
        asof = peers.measured([sys.executable, __file__, "pandas", folder, ""])
        print(f"mlnb, event time {plain.seconds:.1f} s {plain.peak_mb:.0f} MB; both times {both.seconds:.1f} s {both.peak_mb:.0f} MB; "
              f"pandas.merge_asof {asof.seconds:.1f} s {asof.peak_mb:.0f} MB")
        answers = {}
        for name, command in (("plain", ["ours", folder, "", folder / "a.parquet"]), ("both", ["ours", folder, "known", folder / "b.parquet"]),
                              ("pandas", ["pandas", folder, folder / "c.parquet"])):
            peers.measured([sys.executable, __file__, *command])
            answers[name] = pd.read_parquet(command[-1])["user_score_all_last"].to_numpy()
        apart = {name: int((~((answers[a] == answers[b]) | np.isnan(answers[a]) & np.isnan(answers[b]))).sum())
                 for name, (a, b) in {"mlnb and merge_asof, event time": ("plain", "pandas"), "answered with a value that nobody knew yet": ("both", "plain")}.items()}
        print(", ".join(f"{name}: {n:,} rows" for name, n in apart.items()))
        peers.row(f"point-in-time join {size}", plain.seconds, asof.seconds, unit="s", peer="pandas.merge_asof")
        peers.row("its memory", plain.peak_mb, asof.peak_mb, unit="MB", peer="pandas.merge_asof")
        peers.row("the same by both times", both.seconds, asof.seconds, unit="s", peer="pandas.merge_asof (event time)")
        if with_feast:
            _feast(folder, plain, size, answers["plain"])


def _feast(folder: Path, plain: object, size: str, ours_: object) -> None:
    """Feast over the raw history, by event time, which is what its own users would write."""
    import numpy as np
    import pandas as pd
    import peers

    python = peers.python("feast", FEAST)
    repository = folder / "repository"
    export(folder, repository, "")
    apply(python, repository)
    try:
        theirs = peers.measured([python, __file__, "feast_join", folder, repository, folder / "d.parquet"], timeout=1500)
    except peers.Crashed as error:
        print(f"Feast does not finish the join: {str(error)[-600:]}")
        return
    print(f"feast {theirs.seconds:.1f} s {theirs.peak_mb:.0f} MB")
    theirs_rows = pd.read_parquet(folder / "d.parquet")
    found = pd.DataFrame({"n": np.arange(len(ours_))}).merge(theirs_rows, on="n", how="left")["user_score_all_last"].to_numpy()  # type: ignore[arg-type]
    same = (found == ours_) | np.isnan(found) & np.isnan(ours_)
    lost = len(same) - len(theirs_rows)  # a row asked twice, of one user at one time, comes back once
    print(f"mlnb and feast differ in {int((~same).sum()):,} of {len(same):,} rows, {lost:,} of them because Feast gave no row back")
    peers.row(f"point-in-time join {size}", plain.seconds, theirs.seconds, unit="s", peer="feast (file)")  # type: ignore[attr-defined]
    peers.row("its memory", plain.peak_mb, theirs.peak_mb, unit="MB", peer="feast (file)")  # type: ignore[attr-defined]


def export(folder: Path, repository: Path, known: str, **view: object) -> None:
    from mlnb.data.store import Store

    Store(definition(known_time=known, **view), folder, name="bench").export_feast(repository)  # type: ignore[arg-type]


def apply(python: str, repository: Path) -> None:
    feast = Path(python).parent / "feast"
    done = subprocess.run([feast, "apply"], cwd=repository, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          env={"PATH": "/usr/bin:/bin", "HOME": str(repository), "FEAST_USAGE": "False"})
    if done.returncode:
        raise SystemExit(f"feast apply failed:\n{(done.stdout + done.stderr)[-3000:]}")


def bench_feast(share: float) -> None:
    """`feast apply` takes the export of stored values with both times and a time to live, and its join gives what ours gives."""
    import numpy as np
    import pandas as pd
    import peers

    python = peers.python("feast", FEAST)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make(folder, share)
        for name, view in (("values with a time to live", {"ttl": "3d"}), ("windows", {"features": [
                {"name": "user_score_7d_sum", "column": "score", "window": "7d", "aggregation": "sum"},
                {"name": "user_visits_3d_max", "column": "visits", "window": "3d", "aggregation": "max"}]})):
            repository = folder / name.split()[0]
            export(folder, repository, "known", **view)
            apply(python, repository)
            peers.measured([python, __file__, "feast_join", folder, repository, folder / "f.parquet"])
            from mlnb.core.tables import open_table
            from mlnb.data.store_join import add_features, open_spine
            from mlnb.data.store_source import open_view

            source = open_view(definition(known_time="known", **view), "scores", folder)  # type: ignore[arg-type]
            rows = open_spine(open_table(folder / "spine.parquet"), source.keys, "due")
            mine = add_features(rows, [(source, list(source.columns))]).to_pandas().sort_values("n")
            theirs = pd.read_parquet(folder / "f.parquet")
            lost = len(mine) - len(theirs)  # Feast leaves rows out for which nothing was known yet
            theirs = mine[["n"]].merge(theirs, on="n", how="left")
            for column in source.columns:
                a, b = (side[column].to_numpy(float) for side in (mine, theirs))
                if column.endswith("_sum"):
                    b = np.nan_to_num(b)  # before the first event there is no row to say 0
                apart = int((~(np.isclose(a, b, atol=1e-9) | np.isnan(a) & np.isnan(b))).sum())
                print(f"feast over the export, {name}, {column}: {apart} of {len(a):,} rows differ, "
                      f"{lost} that feast leaves out read as missing")
                if apart:
                    raise SystemExit("the export does not answer as the join does")
        peers.row("rows in which feast over the export differs", 0, unit="rows", limit=0)


def online(folder: Path, url: str) -> None:
    import numpy as np
    import pandas as pd

    from mlnb.data.store import Store
    from mlnb.data.store_materialise import materialise
    from mlnb.data.store_online import measure_latency, open_online

    n = len(pd.read_parquet(folder / "scores.parquet", columns=["user_id"]))
    store = Store(definition(), folder)  # type: ignore[arg-type]
    place, end = open_online(url, folder, "bench"), datetime.datetime(2026, 6, 1)
    start = time.perf_counter()
    materialise(place, store.source("scores"), end)
    filled = time.perf_counter() - start
    from mlnb.data.store_online import Reader

    reader = Reader(store.store, place)
    found = measure_latency(reader, lookups=20_000, now=end, clock=time.perf_counter, random_state=1)
    beside = bare_trips(url, reader, n, end) if url else {}
    many = [{"user_id": int(i)} for i in np.random.default_rng(0).integers(0, n, 100)]
    start = time.perf_counter()
    for _ in range(50):
        reader.get(many, now=end)
    print(json.dumps({**found.to_dict(), **beside, "materialise_seconds": filled, "hundred_ms": (time.perf_counter() - start) / 50 * 1000}))


def bare_trips(url: str, reader: object, n: int, now: datetime.datetime, times: int = 20_000) -> dict[str, float]:
    """Lookups in turn with PINGs on a bare socket: what the machine takes to wake the server and the client is in both."""
    import numpy as np

    host, _, port = url.removeprefix("redis://").partition("/")[0].partition(":")
    taken: dict[str, list[float]] = {"bare": [], "turn": []}
    with socket.create_connection((host, int(port))) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in np.random.default_rng(2).integers(0, n, times):
            start = time.perf_counter()
            line.sendall(b"PING\r\n")
            line.recv(64)
            middle = time.perf_counter()
            reader.get([{"user_id": int(i)}], now=now)  # type: ignore[attr-defined]
            taken["bare"].append(middle - start)
            taken["turn"].append(time.perf_counter() - middle)
    return {f"{name}_p{at}_ms": float(np.percentile(found, at)) * 1000 for name, found in taken.items() for at in (50, 99)}


def bench_online(share: float) -> None:
    import peers

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_entities(folder, int(ENTITIES * share))
        places = {"sqlite": ""}
        server, process = shutil.which("redis-server"), None
        if server:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            process = subprocess.Popen([server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", temporary], stdout=subprocess.DEVNULL)
            places["redis"] = f"redis://127.0.0.1:{port}/0"
            time.sleep(1)
        try:
            for name, url in places.items():
                done = peers.measured([sys.executable, __file__, "online", folder, url])
                found = json.loads(done.stdout.strip().splitlines()[-1])
                print(f"{name}: {found['entities']:,} entities, lookups p50 {found['p50_ms']:.3f} ms, p99 {found['p99_ms']:.3f} ms, slowest {found['worst_ms']:.1f} ms; "
                      f"100 at once {found['hundred_ms']:.2f} ms; filled in {found['materialise_seconds']:.0f} s, {done.peak_mb:.0f} MB")
                if "bare_p99_ms" in found:
                    print(f"{name}: in turn with PINGs on a bare socket, lookups p50 {found['turn_p50_ms']:.3f} ms, p99 {found['turn_p99_ms']:.3f} ms; "
                          f"PINGs p50 {found['bare_p50_ms']:.3f} ms, p99 {found['bare_p99_ms']:.3f} ms; load {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores")
                peers.row(f"{name}, p99 of lookups among {found['entities']:,}", found["p99_ms"], unit="ms", limit=10)
        finally:
            if process:
                process.terminate()
                process.wait(10)


def make_entities(folder: Path, n: int) -> None:
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    pd.DataFrame({"user_id": rng.permutation(n), "event": np.datetime64("2026-01-01", "us") + rng.integers(0, 90 * 86_400, n).astype("timedelta64[s]"),
                  "score": rng.normal(size=n), "visits": rng.integers(0, 99, n)}).to_parquet(folder / "scores.parquet")


def main(parts: list[str]) -> None:
    share = float(parts[-1]) if parts and parts[-1].replace(".", "").isdigit() else 1.0
    wanted = [part for part in parts if part in ("join", "feast", "online", "pandas_only")] or ["join", "feast", "online"]
    if "join" in wanted or "pandas_only" in wanted:
        bench_join(share, "join" in wanted)
    if "feast" in wanted:
        bench_feast(min(share, 0.01))
    if "online" in wanted:
        bench_online(share)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["make", folder, share]:
            make(Path(folder), float(share))
        case ["ours", folder, known, out]:
            ours(Path(folder), known, out)
        case ["pandas", folder, out]:
            pandas_asof(Path(folder), out)
        case ["feast_join", folder, repository, out]:
            feast_join(Path(folder), repository, out)
        case ["online", folder, url]:
            online(Path(folder), url)
        case rest:
            main(rest)
