"""The whole loop on the bundled example: seconds, memory of the largest process, size of the reports."""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))


def watch(stop: threading.Event, most: list[float]) -> None:
    """The memory of this process's descendants together, ten times a second."""
    import psutil

    here = psutil.Process()
    while not stop.is_set():
        total = 0
        for process in here.children(recursive=True):
            try:
                total += process.memory_info().rss
            except psutil.Error:
                continue
        most[0] = max(most[0], total / 2**20)
        time.sleep(0.1)


def main() -> None:
    import peers

    with tempfile.TemporaryDirectory() as folder:
        stop, most = threading.Event(), [0.0]
        watcher = threading.Thread(target=watch, args=(stop, most))
        watcher.start()
        try:
            made = peers.measured([sys.executable, "-c", "from mlnb.cli import main; main()", "demo", "--out", f"{folder}/demo", "--json"])
        finally:
            stop.set()
            watcher.join()
        pages = {path.name: path.stat().st_size / 2**20 for path in Path(folder, "demo", "reports").glob("*-*.html")}
        truths = json.loads(made.stdout)["truths"]
    largest = max(pages.values())
    peers.row("mlnb demo", made.seconds, unit="s", limit=120)
    peers.row("mlnb demo, memory of all its processes", most[0], unit="MB", limit=2048)
    peers.row("largest of its reports", largest, unit="MB", limit=5)
    print(f"{len(pages)} reports; {sum(t['found'] is True for t in truths)} of {len(truths)} planted faults found")
    print(json.dumps({"bench": "demo", "seconds": made.seconds, "memory_mb": most[0], "largest_report_mb": largest}))


if __name__ == "__main__":
    main()
