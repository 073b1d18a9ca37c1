"""A small project with a model and batches to watch, for the tests of the monitor."""

from __future__ import annotations

import http.server
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlnb.core.project import Project
from mlnb.core.records_operations import Monitoring
from mlnb.data.holdout import seal
from mlnb.experiments.training import train
from mlnb.monitoring.batch import project_reference
from mlnb.monitoring.project_estimates import project_estimator


def loans(n: int, seed: int, shift: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    income = rng.normal(3000 + shift, 500, n).round()
    y = np.where(rng.random(n) < 1 / (1 + np.exp((2900 - income) / 300)), "good", "bad")
    return pd.DataFrame({"id": np.arange(n) + 10_000 * seed, "income": income, "region": rng.choice(list("abcd"), n), "y": y})


def trained(folder: Path) -> Project:
    loans(600, 0).to_csv(folder / "t.csv", index=False)
    made = Project.create(folder / "p", folder / "t.csv", target="y", exclude=["id"])
    seal(made)
    train(made, "Income tells who repays, by F1 0.7", n_resamples=100)
    _ = project_reference(made), project_estimator(made)  # made once, so that each copy has them
    return made


def copied(project: Project, folder: Path, **record: Any) -> Project:
    "The project in a folder of its own, with a record of what is watched."
    shutil.copy(project.path.parent / "t.csv", folder / "t.csv")
    shutil.copytree(project.path, folder / "p")
    made = Project(folder / "p")
    sources = {"batches": "asked", **record.pop("sources", {})}
    made.save_record("monitoring", Monitoring(sources=sources, **record))
    (made.path / "asked").mkdir()
    return made


def batch(project: Project, name: str, frame: pd.DataFrame) -> Path:
    path = project.path / "asked" / name
    frame.to_csv(path, index=False)
    return path


class Hook:
    "A webhook on loopback that remembers the keys it was sent."

    def __init__(self, status: int = 200, hang: float = 0.0) -> None:
        self.keys: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.status, self.released = status, threading.Event()
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if hang:
                    hook.released.wait(hang)
                    return
                hook.keys.append(self.headers["Idempotency-Key"])
                hook.bodies.append({**json.loads(body), "token": self.headers.get("Authorization", "")})
                self.send_response(hook.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self) -> Hook:
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


# A script: a turn of the monitor in copies of a folder (first word) at a time (second word), killed at its n-th step in the n-th copy, then once more, whole.
WATCH_KILLED = """
import json, pathlib, shutil, sys
import ibis, ibis.backends.duckdb, pandas, pyarrow.parquet, scipy.stats, skops.io, sklearn.pipeline, xgboost  # once, so that a fork costs little
from killed import ended, forked
from mlnb.core.project import Project
from mlnb.monitoring.lens import Lens
from mlnb.monitoring.watch import watch

Lens.estimator = None  # takes most of the time and writes nothing
template, now = sys.argv[1:]
at, going = 0, True
while going:
    folders = [pathlib.Path(f"{template}-{at + i}") for i in (1, 2)]
    for folder in folders:
        shutil.copytree(template, folder)
    works = [lambda folder=folder: watch(Project(folder / "p"), now, wait=20) for folder in folders]
    first = [ended(child) for child in [forked(work, at + i) for i, work in zip((1, 2), works)]]
    second = [ended(child) for child in [forked(work, 0) for work in works]]
    going, at = 0 not in first, at + 2
    for folder, code in zip(folders, first):
        print(json.dumps([str(folder / "p"), code]), flush=True)
"""
