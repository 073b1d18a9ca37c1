"""The machinery of the benchmarks; the benchmarks themselves run with `make bench`."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tests" / "benchmarks"))
import peers
import run


def test_measured_sees_memory_time_and_output() -> None:
    ballast = b"x" * 300_000_000  # of this process: must not be counted as the child's
    child = peers.measured([sys.executable, "-S", "-c", "x = b'x' * 100_000_000; print('done')"])
    assert child.stdout == "done\n"
    assert 95 < child.peak_mb < 200
    assert child.seconds > 0
    assert len(ballast)


def test_a_failing_command_is_told_with_its_words() -> None:
    with pytest.raises(peers.Crashed, match=r"exit 3\n.*out of luck"):
        peers.measured([sys.executable, "-S", "-c", "import sys; print('out of luck', file=sys.stderr); sys.exit(3)"])


def test_a_command_that_never_ends_is_ended(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    code = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    with pytest.raises(peers.Crashed, match="not finished after 2 s"):
        peers.measured([sys.executable, "-S", "-c", code], timeout=2)
    for _ in range(100):  # killed, and gone as soon as the system has collected it
        if not Path("/proc", pid.read_text(), "cwd").exists():
            break
        time.sleep(0.05)
    else:
        pytest.fail("the process is still there")


def test_an_environment_is_made_once_and_repaired(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = peers.python("bare", [], cache=tmp_path / "cache")
    assert subprocess.run([path, "-c", "import numpy"], capture_output=True).returncode == 1
    assert "making cache/bare" in capsys.readouterr().out
    assert peers.python("bare", [], cache=tmp_path / "cache") == path
    assert capsys.readouterr().out == ""
    (tmp_path / "cache" / "bare" / ".made-for").unlink()
    peers.python("bare", [], cache=tmp_path / "cache")
    assert "making cache/bare" in capsys.readouterr().out


def test_table_shows_ratios_and_goals(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bench_drift.py").write_text(
        f"import sys; sys.path.insert(0, {str(ROOT / 'tests' / 'benchmarks')!r})\n"
        "import peers\n"
        "print('reading')\n"
        "peers.row('drift', 2.0, 40.0, unit='s', peer='other', goal=15)\n"
        "peers.row('memory', 100.0, 200.0, unit='MB', peer='other', goal=3)\n"
        "peers.row('import', 0.1, unit='s', limit=0.2)\n"
        "peers.row('power', 90.0, 45.0, unit='%', peer='other', goal=1.5, more=True)\n"
        "peers.row('less power', 30.0, 60.0, unit='%', peer='other', goal=1, more=True)\n"
        "peers.row('coverage', 93.0, unit='%', limit=95, more=True)\n"
        "peers.row('recall', 96.0, 0.0, unit='%', peer='other', limit=95, more=True)\n"
    )
    assert run.main([], tmp_path) == 0
    lines = [" ".join(line.split()) for line in capfd.readouterr().out.splitlines()]
    assert "drift 2 s other 40 s 20.0 x at least 15 x yes" in lines
    assert "memory 100 MB other 200 MB 2.0 x at least 3 x NO" in lines
    assert "import 0.1 s at most 0.2 s yes" in lines
    assert "power 90 % other 45 % 2.0 x at least 1.5 x yes" in lines
    assert "less power 30 % other 60 % 0.5 x at least 1 x NO" in lines
    assert "coverage 93 % at least 95 % NO" in lines and "recall 96 % other 0 % at least 95 % yes" in lines
    assert "reading" in lines and not any(line.startswith(peers.ROW) for line in lines)


def test_only_a_crash_fails(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bench_a.py").write_text("1 / 0")
    (tmp_path / "bench_b.py").write_text("print('still runs')")
    assert run.main([], tmp_path) == 1
    shown = capfd.readouterr().out
    assert "still runs" in shown and "crashed: a" in shown
    assert run.main(["b"], tmp_path) == 0
    assert run.main(["c"], tmp_path) == 2
    assert "there are: a, b" in capfd.readouterr().out
