"""From an empty folder to eight reports: the example with its planted faults, installed elsewhere, and real data of every task."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from test_packaging import tree, wheel  # noqa: F401 - fixtures

pytestmark = pytest.mark.e2e
REPORTS = ("framing", "data", "training", "comparison", "evaluation", "error_analysis", "monitoring", "retraining", "scorecard")


def mlnb(*words: object, cwd: Path, path: Path | None = None) -> tuple[int, str, str]:
    """Run the command line in a process of its own, with another package folder first when one is named."""
    env = {**os.environ, **({"PYTHONPATH": str(path)} if path else {})}
    command = [sys.executable, "-P", "-c", "from mlnb.cli import main; main()", *map(str, words)]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def demo(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path]:  # noqa: F811
    """`mlnb demo --json` of an unpacked wheel in an empty folder."""
    base = tmp_path_factory.mktemp("elsewhere")
    zipfile.ZipFile(wheel).extractall(base / "site")
    (base / "empty").mkdir()
    code, out, err = mlnb("demo", "--json", cwd=base / "empty", path=base / "site")
    assert code == 0, err
    return json.loads(out), base / "empty" / "mlnb-demo"


def test_the_wheel_runs_from_an_empty_folder(demo: tuple[dict, Path]) -> None:
    _, folder = demo
    pages = {path.name.rsplit("-", 1)[0]: path for path in (folder / "reports").glob("*-*.html")}
    assert set(pages) == set(REPORTS) and all(path.stat().st_size < 5_000_000 for path in pages.values())
    index = (folder / "reports" / "index.html").read_text()
    assert all(path.name in index for path in pages.values())
    assert not any("http://" in page or "src=\"http" in page for page in (p.read_text() for p in pages.values()))


def test_every_planted_fault_is_found(demo: tuple[dict, Path]) -> None:
    found, _ = demo
    assert {truth["what"]: truth["found"] for truth in found["truths"]} == dict.fromkeys(
        (truth["what"] for truth in found["truths"]), True) and len(found["truths"]) == 5  # fmt: skip


REAL = {
    "telco_churn/Telco-Customer-Churn.csv": ["--target", "Churn", "--entity", "customerID", "--protected", "gender"],
    "bike_sharing/day.csv": ["--target", "cnt", "--time", "dteday"],
    "adult/adult-test.csv": ["--target", "income", "--protected", "sex", "--columns", "age,workclass,fnlwgt,education,education-num,"
                             "marital-status,occupation,relationship,race,sex,capital-gain,capital-loss,hours-per-week,native-country,income"],
}  # fmt: skip


EXAMPLES = ("breast_cancer", "wine")


@pytest.fixture(scope="module")
def loops(tmp_path_factory: pytest.TempPathFactory, shared_data: Callable[[str], Path]) -> dict[str, tuple[int, str, str, Path]]:
    """The whole loop on real data, two at a time: name -> exit code, answer, words, folder."""
    base, there = tmp_path_factory.mktemp("loops"), []
    for name in REAL:
        with contextlib.suppress(pytest.skip.Exception):
            shared_data(name)
            there.append(name)

    def example(name: str) -> tuple[int, str, str, Path]:
        return (*mlnb("demo", "--example", name, "--out", name, "--json", cwd=base), base / name)

    def real(name: str) -> tuple[int, str, str, Path]:
        folder = base / Path(name).stem
        code, out, err = mlnb("init", folder, "--data", shared_data(name), *REAL[name], cwd=base)
        return (*mlnb("run", "all", "--json", cwd=folder), folder) if code == 0 else (code, out, err, folder)

    with ThreadPoolExecutor(2) as pool:
        jobs = {name: pool.submit(example if name in EXAMPLES else real, name) for name in (*EXAMPLES, *there)}
    return {name: job.result() for name, job in jobs.items()}


@pytest.mark.parametrize("name", [*EXAMPLES, *REAL])
def test_real_data_of_every_task_go_through_every_report(loops: dict, name: str, shared_data: Callable[[str], Path]) -> None:
    if name in REAL:
        shared_data(name)
    code, _, err, folder = loops[name]
    assert code == 0, err
    assert {path.name.rsplit("-", 1)[0] for path in (folder / "reports").glob("*-*.html")} == set(REPORTS)


def test_the_demo_can_be_run_again_in_its_folder(loops: dict) -> None:
    folder = loops["wine"][3]
    code, _, err = mlnb("demo", "--example", "wine", "--out", folder, cwd=folder.parent)
    assert code == 0, err
    assert len(list((folder / "reports").glob("data-*.html"))) == 2


@pytest.mark.parametrize("name", REAL)
def test_what_is_known_of_real_data_is_found(loops: dict, name: str, shared_data: Callable[[str], Path]) -> None:
    """Rides are registered + casual; the others hold no leak."""
    shared_data(name)
    found = {f["code"]: f for f in json.loads(loops[name][1])["findings"]}
    leaks = found["LEAK04"]
    assert (leaks["status"] == "fail") == name.startswith("bike") and set(leaks["columns"]) <= {"registered", "casual"}
    assert found["EVAL08"]["status"] == "pass"


def test_the_command_is_installed_beside_python() -> None:
    assert (Path(sysconfig.get_path("scripts")) / "mlnb").is_file()
