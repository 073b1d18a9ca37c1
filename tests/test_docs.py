"""The documentation can be built: every page processes, is in the sidebar, and its links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from page_links import anchors, broken, identifier
from stages import docs, sidebar

NBS = ROOT / "nbs"
NOTEBOOKS = sorted(path.name for path in NBS.glob("*.ipynb"))


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return docs.process(ROOT, tmp_path_factory.mktemp("docs") / "site")


@pytest.fixture(scope="module")
def site() -> str:
    settings = ConfigParser(interpolation=None)
    settings.read(ROOT / "settings.ini")
    return settings["DEFAULT"]["doc_host"] + settings["DEFAULT"]["doc_baseurl"]


@pytest.mark.e2e
def test_every_notebook_becomes_a_page(pages: Path) -> None:
    assert {page.name for page in pages.glob("*.ipynb")} == {
        path.name for path in (pages.parent / "nbs").glob("*.ipynb")
    }
    for name in ("_quarto.yml", "nbdev.yml", "sidebar.yml", "styles.css", "favicon.svg"):
        assert (pages / name).is_file(), name
    assert (pages / "_quarto.yml").read_text() == (ROOT / "_quarto.yml").read_text()


@pytest.mark.e2e
def test_links_lead_somewhere(pages: Path, site: str) -> None:
    if found := broken(pages, site):
        pytest.fail("\n".join(found), pytrace=False)


@pytest.mark.e2e
def test_what_a_notebook_says_first_is_on_its_page(pages: Path) -> None:
    for name in sorted(page.name for page in pages.glob("*.ipynb")):
        first = "".join(json.loads((NBS / name).read_text(encoding="utf-8"))["cells"][0]["source"])
        words = re.findall(r"\w+", first.partition("\n\n")[2])[:8]
        page = " ".join(
            re.findall(
                r"\w+", re.sub(r"\]\([^)]*\)", "]", (pages / name).read_text(encoding="utf-8").replace("\\n", " "))
            )
        )
        assert " ".join(words) in page, name


def test_sidebar_is_up_to_date() -> None:
    assert (NBS / "sidebar.yml").read_text(encoding="utf-8") == sidebar.sidebar(NBS), "run `make export`"


def listed(contents: list) -> list[str]:
    """Every page that a sidebar names, in any depth."""
    names: list[str] = []
    for item in contents:
        names += [item] if isinstance(item, str) else [item["href"]] if "href" in item else listed(item["contents"])
    return names


def test_every_notebook_is_in_the_sidebar_once() -> None:
    contents = yaml.safe_load((NBS / "sidebar.yml").read_text(encoding="utf-8"))["website"]["sidebar"]["contents"]
    assert sorted(listed(contents)) == NOTEBOOKS


def test_nbdev_and_quarto_read_one_configuration() -> None:
    link = NBS / "_quarto.yml"
    assert link.is_symlink() and os.readlink(link) == "../_quarto.yml"
    config = yaml.safe_load(link.read_text(encoding="utf-8"))
    assert config["metadata-files"] == ["nbdev.yml", "sidebar.yml"]
    assert set(config["format"]["html"]["theme"]) == {"light", "dark"}
    assert config["execute"] == {"enabled": False}  # pages show the outputs that are committed


def test_building_without_quarto_says_what_to_do() -> None:
    done = subprocess.run(
        [sys.executable, "tests/stages/docs.py"], cwd=ROOT, env={"PATH": ""}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "not installed" in done.stderr and "make docs" in done.stderr
    assert "Traceback" not in done.stderr and "://" not in done.stderr


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_files_that_the_texts_link_to_exist(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", text) if "://" not in target]
    assert [target for target in targets if not (ROOT / target).exists()] == []


def page(folder: Path, name: str, *cells: str) -> Path:
    path = folder / name
    front = {
        "cell_type": "raw",
        "source": f"---\ntitle: x\noutput-file: {name.partition('_')[2].removesuffix('.ipynb')}.html\n---",
    }
    path.write_text(
        json.dumps({"cells": [front, *({"cell_type": "markdown", "source": cell} for cell in cells)]}), encoding="utf-8"
    )
    return path


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("[x](00z_core.none.ipynb)", "no such page"),
        ("[x](https://site.test/lib/core.none.html#x)", "no such page"),
        ("![plot](missing.png)", "no such page"),
        ("<a href='gone.html'>x</a>", "no such page"),
        ("[x](00b_core.b.ipynb#nowhere)", "no such place"),
        ("[x](https://site.test/lib/core.b.html#nowhere)", "no such place"),
        ("[x](#nowhere)", "no such place"),
    ],
)
def test_a_broken_link_is_caught(source: str, message: str, tmp_path: Path) -> None:
    page(tmp_path, "00a_core.a.ipynb", source)
    page(tmp_path, "00b_core.b.ipynb", "## Here")
    found = broken(tmp_path, "https://site.test/lib")
    assert len(found) == 1 and message in found[0] and found[0].startswith("00a_core.a.ipynb"), found


def test_good_links_pass(tmp_path: Path) -> None:
    (tmp_path / "plot.png").touch()
    page(
        tmp_path,
        "00a_core.a.ipynb",
        "## Over here\n[x](#over-here) [y](00b_core.b.ipynb) [y](./00b_core.b.ipynb#findings.frame) [z](core.b.html#findings)",
        "[x](https://site.test/lib/core.b.html#findings-1) [out](https://elsewhere.test/none) ![p](plot.png) `[no](link)`",
        "```python\nx = '[no](link)'\n# no heading\n```\n[m](mailto:x@y.z)",
    )
    page(
        tmp_path,
        "00b_core.b.ipynb",
        "## [`Findings`](https://site.test/lib/core.b.html#findings)\n### Findings\n### `Findings.frame`",
    )
    assert broken(tmp_path, "https://site.test/lib") == []
    assert "no-heading" not in anchors(tmp_path / "00a_core.a.ipynb")


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        ("Status and severity", "status-and-severity"),
        ("`Findings.to_dict`", "findings.to_dict"),
        ("3 · What, *really*?", "what-really"),
        ("[`require`](https://site.test/x#y)", "require"),
        ("PSI & KS", "psi-ks"),
        ("42", "section"),
    ],
)
def test_identifiers_are_pandocs(heading: str, expected: str) -> None:
    assert identifier(heading) == expected
