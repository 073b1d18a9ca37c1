"""The machinery behind `make` finds what it is for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from conftest import ROOT
from stages import chromium, clean, sync, tree, venv


@pytest.fixture(scope="module")
def in_order(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small nbdev project with one exported, clean notebook."""
    root = tmp_path_factory.mktemp("small") / "project"
    (root / "nbs").mkdir(parents=True)
    (root / "mlnb").mkdir()
    shutil.copy2(ROOT / "settings.ini", root)
    (root / "mlnb" / "__init__.py").write_text('__version__ = "0.1.0"\n')
    notebook(root, "00a_core.one", "#| default_exp core.one", "#| export\nONE = 1")
    for command in ("nbdev_export", "nbdev_clean"):
        assert tree.nbdev(command, cwd=root).returncode == 0
    return root


@pytest.fixture
def project(in_order: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may spoil."""
    return Path(shutil.copytree(in_order, tmp_path / "project"))


def notebook(root: Path, name: str, *cells: str) -> Path:
    path = root / "nbs" / f"{name}.ipynb"
    made = [
        {"cell_type": "code", "execution_count": None, "id": f"c{n}", "metadata": {}, "outputs": [], "source": source}
        for n, source in enumerate(cells)
    ]
    metadata = {"kernelspec": {"display_name": "python3", "language": "python", "name": "python3"}}
    path.write_text(json.dumps({"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}))
    return path


def test_a_project_in_order_passes(project: Path) -> None:
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    assert sync.problems(project) == []
    assert clean.problems(project) == []
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before


def test_a_module_edited_by_hand_is_found(project: Path) -> None:
    module = project / "mlnb" / "core" / "one.py"
    module.write_text(module.read_text().replace("ONE = 1", "ONE = 2"))
    found = sync.problems(project)
    assert len(found) == 1 and "mlnb/core/one.py: not what the notebooks export" in found[0] and "-ONE = 2" in found[0]


def test_a_notebook_that_was_not_exported_is_found(project: Path) -> None:
    notebook(project, "00b_core.two", "#| default_exp core.two", "#| export\nTWO = 2")
    found = sync.problems(project)
    assert [line.partition(":")[0] for line in found] == ["mlnb/_modidx.py", "mlnb/core/two.py"]


def test_a_module_whose_notebook_is_gone_is_found(project: Path) -> None:
    notebook(project, "00b_core.two", "#| default_exp core.two", "#| export\nTWO = 2")
    assert tree.nbdev("nbdev_export", cwd=project).returncode == 0
    assert sync.problems(project) == []
    (project / "nbs" / "00b_core.two.ipynb").unlink()
    assert "mlnb/core/two.py: no notebook exports this" in sync.problems(project)[-1]


def test_a_notebook_that_was_not_cleaned_is_found(project: Path) -> None:
    path = project / "nbs" / "00a_core.one.ipynb"
    path.write_text(path.read_text().replace('"execution_count": null', '"execution_count": 7', 1))
    assert clean.problems(project) == ["nbs/00a_core.one.ipynb: not clean; run `make export`"]


def test_templates_are_cleaned_too_and_keep_their_tags(project: Path) -> None:
    (project / "templates").mkdir()
    path = notebook(project, "report", "n = 3")
    raw = json.loads(path.read_text())
    raw["cells"][0]["metadata"] = {"tags": ["parameters"], "scrolled": True}
    (project / "templates" / "report.ipynb").write_text(json.dumps(raw))
    path.unlink()
    assert clean.problems(project) == ["templates/report.ipynb: not clean; run `make export`"]
    assert tree.nbdev("nbdev_clean", "--fname", "templates", cwd=project).returncode == 0
    assert clean.problems(project) == []
    assert json.loads((project / "templates" / "report.ipynb").read_text())["cells"][0]["metadata"] == {
        "tags": ["parameters"]
    }


class Recorder:
    """Stands in for running commands: notes them, and makes the environment that a real one would make."""

    def __init__(self, root: Path) -> None:
        self.root, self.commands, self.fail = root, [], False

    def __call__(self, command: list[str]) -> None:
        self.commands.append(" ".join(command[:3] if "venv" in command else command))
        if self.fail:
            sys.exit("no network")
        if "venv" in command:
            (self.root / ".venv" / "bin").mkdir(parents=True)
            (self.root / ".venv" / "bin" / "python").write_text("#!/bin/sh\nexit 0\n")
            (self.root / ".venv" / "bin" / "python").chmod(0o755)


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """A project without an environment, and a machine with uv."""
    (tmp_path / "settings.ini").write_text("[DEFAULT]\n")
    (tmp_path / "setup.py").write_text("")
    recorder = Recorder(tmp_path)
    monkeypatch.setattr(venv, "run", recorder)
    monkeypatch.setattr(venv.shutil, "which", lambda name: f"/bin/{name}")
    return recorder


def kinds(recorder: Recorder) -> list[str]:
    """What the commands since the last look were for."""
    found = ["make" if " venv" in command else "install" for command in recorder.commands]
    recorder.commands.clear()
    return found


def test_the_environment_is_made_once(fresh: Recorder) -> None:
    venv.main([], fresh.root)
    assert kinds(fresh) == ["make", "install"]
    venv.main([], fresh.root)
    assert kinds(fresh) == []


def test_extras_add_up(fresh: Recorder) -> None:
    venv.main([], fresh.root)
    venv.main(["dev"], fresh.root)
    assert fresh.commands[-1].endswith("[dev]")
    assert kinds(fresh) == ["make", "install", "install"]
    venv.main([], fresh.root)
    assert kinds(fresh) == []
    (fresh.root / "settings.ini").write_text("[DEFAULT]\nversion = 2\n")
    venv.main([], fresh.root)
    assert fresh.commands[-1].endswith("[dev]")
    assert kinds(fresh) == ["install"]


def test_an_installation_that_was_cut_off_is_done_again_from_the_start(fresh: Recorder) -> None:
    venv.main([], fresh.root)
    (fresh.root / "setup.py").write_text("# changed\n")
    fresh.fail = True
    with pytest.raises(SystemExit):
        venv.main([], fresh.root)
    fresh.fail = False
    kinds(fresh)
    venv.main([], fresh.root)
    assert kinds(fresh) == ["make", "install"]


@pytest.mark.parametrize("damage", ["no python", "python does not start", "moved"])
def test_a_damaged_environment_is_made_anew(fresh: Recorder, damage: str) -> None:
    venv.main([], fresh.root)
    python, stamp = fresh.root / ".venv" / "bin" / "python", fresh.root / ".venv" / ".mlnb-installed"
    (fresh.root / "settings.ini").write_text("[DEFAULT]\nversion = 2\n")
    if damage == "no python":
        python.unlink()
    elif damage == "python does not start":
        python.write_text("#!/bin/sh\nexit 1\n")
    else:
        stamp.write_text(stamp.read_text().replace(str(fresh.root), "/elsewhere"))
    kinds(fresh)
    venv.main([], fresh.root)
    assert kinds(fresh) == ["make", "install"]


def test_pip_works_where_there_is_no_uv(fresh: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(venv.shutil, "which", lambda name: None)
    venv.main([], fresh.root)
    assert "-m venv" in fresh.commands[0] and "-m pip install" in fresh.commands[1]


def test_two_at_once_install_once(fresh: Recorder) -> None:
    threads = [threading.Thread(target=venv.main, args=([], fresh.root)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kinds(fresh) == ["make", "install"]


def find_python(folder: Path, pick: str = "", **pythons: str) -> subprocess.CompletedProcess:
    """Run find_python.sh where the PATH holds these commands only; a value is a version, or "broken", or "3.12 bare"."""
    for name, what in pythons.items():
        version, _, bare = what.partition(" ")
        minor = int(version.split(".")[1]) if "." in version else 0
        lines = ["#!/bin/sh", 'case "$2" in']
        lines += [
            f"*import\\ venv*) exit {int(bool(bare))};;",
            f"*sys.exit*) exit {int(minor < 11)};;",
            f"*print*) echo {version};;",
            "esac",
        ]
        (folder / name).write_text("#!/bin/sh\nexit 127\n" if what == "broken" else "\n".join(lines) + "\n")
        (folder / name).chmod(0o755)
    return subprocess.run(
        ["/bin/sh", str(ROOT / "tests" / "stages" / "find_python.sh")],
        cwd=folder,
        env={"PATH": str(folder), "PYTHON": pick},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("pythons", "found"),
    [
        ({"python3": "3.11"}, "python3"),
        ({"python3": "3.9", "python3.12": "3.12"}, "python3.12"),
        ({"python3.13": "broken", "python3": "3.12"}, "python3"),
        ({"python3.13": "3.13 bare", "python3.11": "3.11"}, "python3.11"),
        ({"python3.13": "3.13 bare", "uv": "3.13"}, "python3.13"),
    ],
)
def test_a_suitable_python_is_found(pythons: dict[str, str], found: str, tmp_path: Path) -> None:
    done = find_python(tmp_path, **pythons)
    assert done.stdout.strip() == str(tmp_path / found), done.stderr


def test_a_python_that_is_named_is_taken_or_refused(tmp_path: Path) -> None:
    pythons = {"python3.13": "3.13", "mine": "3.11", "old": "3.8"}
    assert find_python(tmp_path, pick="mine", **pythons).stdout.strip() == str(tmp_path / "mine")
    assert find_python(tmp_path, pick="old", **pythons).returncode == 1


@pytest.mark.parametrize(
    ("pythons", "words"),
    [
        ({}, "needs Python 3.11 or newer, and none was found."),
        ({"python3": "3.9"}, "python3 is Python 3.9"),
        ({"python3.12": "3.12 bare"}, "apt install python3.12-venv"),
    ],
)
def test_no_suitable_python_says_what_to_do(pythons: dict[str, str], words: str, tmp_path: Path) -> None:
    done = find_python(tmp_path, **pythons)
    assert done.returncode == 1 and done.stdout == ""
    assert words in done.stderr and "make demo PYTHON=" in done.stderr


def test_without_a_browser_the_command_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLNB_CHROMIUM", raising=False)
    monkeypatch.setattr(chromium.shutil, "which", lambda name: None)
    assert "apt-get install chromium" in chromium.provide()
    monkeypatch.setenv("MLNB_CHROMIUM", "/opt/chrome")
    assert chromium.provide() == "browser: /opt/chrome"


@pytest.mark.parametrize("target", ["demo", "test", "export", "lint", "docs", "bench", "clean"])
def test_make_alone_lists_the_targets(target: str) -> None:
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"  make {target} " in done.stdout


def test_continuous_integration_runs_the_command_of_the_readme() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "make test" in script.read_text() and "make test" in (ROOT / "README.md").read_text()
