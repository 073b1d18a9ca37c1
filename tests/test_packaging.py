"""What users install holds the whole package, the templates with it, and nothing else."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from configparser import ConfigParser
from email.parser import Parser
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.e2e
SOURCES = ("settings.ini", "setup.py", "MANIFEST.in", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE")


def build(source: Path, kind: str, to: Path) -> Path:
    """Build without a network: in this environment, with the setuptools that is there."""
    command = [sys.executable, "-m", "build", "--no-isolation", f"--{kind}", "--outdir", str(to), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(to.iterdir())


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what packaging reads; a template stands in where there is none yet."""
    copy = tmp_path_factory.mktemp("tree") / "source"
    copy.mkdir()
    for name in SOURCES:
        shutil.copy2(ROOT / name, copy)
    for name in ("mlnb", "templates", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    if not any((copy / "templates").glob("*.ipynb")):
        (copy / "templates" / "stand_in.ipynb").write_text("{}")
    return copy


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tree, "wheel", tmp_path_factory.mktemp("wheel"))


def files(wheel: Path) -> set[str]:
    return {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}


def expected(tree: Path) -> set[str]:
    modules = {path.relative_to(tree).as_posix() for path in (tree / "mlnb").rglob("*.py")}
    return modules | {f"mlnb/templates/{path.name}" for path in (tree / "templates").glob("*.ipynb")}


def test_wheel_holds_the_package_and_the_templates(tree: Path, wheel: Path) -> None:
    assert files(wheel) == expected(tree)
    assert wheel.name.endswith("-py3-none-any.whl")


def test_a_wheel_made_from_the_source_archive_is_the_same(tree: Path, wheel: Path, tmp_path: Path) -> None:
    archive = build(tree, "sdist", tmp_path / "sdist")
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    unpacked = next((tmp_path / "unpacked").iterdir())
    assert all((unpacked / name).is_file() for name in SOURCES)
    assert files(build(unpacked, "wheel", tmp_path / "wheel")) == files(wheel)


def test_metadata_comes_from_settings(wheel: Path) -> None:
    settings = ConfigParser(interpolation=None)
    settings.read(ROOT / "settings.ini")
    archive = zipfile.ZipFile(wheel)
    info = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA")).rpartition("/")[0]
    metadata = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
    assert metadata["Version"] == settings["DEFAULT"]["version"]
    assert metadata["Requires-Python"] == ">=3.11"
    assert {"serve", "llm", "spark", "redis", "feast", "monitoring", "app", "dask", "dev"} == set(metadata.get_all("Provides-Extra"))
    for version in ("3.11", "3.12", "3.13"):
        assert f"Programming Language :: Python :: {version}" in metadata.get_all("Classifier")
    assert not [
        name for name in metadata.get_all("Requires-Dist") if "nbdev" in name and "dev" not in name.split(";")[-1]
    ]
    assert f"{info}/licenses/LICENSE" in archive.namelist()
    points = archive.read(f"{info}/entry_points.txt").decode()
    assert "mlnb = mlnb.cli:main" in points and "mlnb = mlnb._modidx:d" in points


def imported(*places: str) -> dict[str, set[str]]:
    """The packages that the modules of these folders import, with the modules that do."""
    found: dict[str, set[str]] = {}
    for path in (path for place in places for path in (ROOT / place).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            for name in names:
                found.setdefault(name.split(".")[0], set()).add(path.name)
    return found


def brought(*keys: str) -> set[str]:
    """Every distribution that the requirements in these lines of the settings install, by its canonical name."""
    settings = ConfigParser(interpolation=None)
    settings.read(ROOT / "settings.ini")
    todo = [Requirement(item) for key in keys for item in settings["DEFAULT"][key].split()]
    found: set[tuple[str, str]] = set()
    while todo:
        requirement = todo.pop()
        for extra in ["", *requirement.extras]:
            node = (canonicalize_name(requirement.name), extra)
            if node in found:
                continue
            found.add(node)
            try:
                needed = map(Requirement, requires(requirement.name) or ())
            except PackageNotFoundError:  # of an extra that is not installed here
                continue
            todo += [item for item in needed if item.marker is None or item.marker.evaluate({"extra": extra})]
    return {name for name, _ in found}


def not_brought(found: dict[str, set[str]], *keys: str) -> dict[str, set[str]]:
    """Installed packages that modules import although nothing in the settings installs them."""
    declared, distributions = brought(*keys), packages_distributions()
    return {
        name: modules
        for name, modules in found.items()
        if name in distributions and not {canonicalize_name(item) for item in distributions[name]} & {*declared, "mlnb"}
    }


EXTRAS = [f"{name}_requirements" for name in ("serve", "llm", "spark", "redis", "feast", "monitoring", "app")]


def test_what_the_library_imports_is_required() -> None:
    assert not_brought(imported("mlnb"), "requirements", *EXTRAS) == {}


def test_what_the_tests_import_is_required() -> None:
    assert not_brought(imported("tests"), "requirements", "dev_requirements") == {}


def test_an_import_that_nothing_brings_is_found() -> None:
    assert not_brought({"pytest": {"x.py"}, "pandas": {"x.py"}}, "requirements") == {"pytest": {"x.py"}}


def test_the_package_has_the_version_of_the_settings() -> None:
    settings = ConfigParser(interpolation=None)
    settings.read(ROOT / "settings.ini")
    code = "import mlnb; print(mlnb.__version__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == settings["DEFAULT"]["version"]


def test_templates_are_found_where_it_is_installed(tree: Path, wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "import json, mlnb; from importlib.resources import files;"
        "print(json.dumps([mlnb.__file__, sorted(p.name for p in files('mlnb.templates').iterdir())]))"
    )
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    where, templates = json.loads(done.stdout)
    assert where.startswith(str(tmp_path / "site"))
    assert templates == sorted(path.name for path in (tree / "templates").glob("*.ipynb"))
