"""Every notebook follows the rules, and every rule catches a notebook that breaks it."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from conftest import ROOT
from notebook_rules import RULES, Cell, Notebook, violations

NOTEBOOKS = sorted((ROOT / "nbs").glob("*.ipynb"))
TEMPLATES = sorted((ROOT / "templates").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_rules(path: Path) -> None:
    if found := violations(path):
        pytest.fail("\n".join(found), pytrace=False)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_template_has_one_cell_of_parameters_and_no_outputs(path: Path) -> None:
    cells = [Cell(number, cell) for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"], 1)]
    assert [str(cell) for cell in cells if cell.outputs] == []
    assert sum("parameters" in cell.raw["metadata"].get("tags", ()) for cell in cells) == 1


FUNCTION = """#| export
def mean(
    values: list[float],  # numbers, at least one
    *,
    weights: list[float]
    | None = None,  # as many as values
) -> float:  # in the unit of the values
    "The weighted mean."
    return sum(values) / len(values)"""


def markdown(source: str) -> dict:
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def code(source: str, *outputs: dict, **metadata: object) -> dict:
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": metadata,
        "outputs": list(outputs),
        "source": source,
    }


def shown(value: str, kind: str = "text/plain") -> dict:
    return {"output_type": "execute_result", "execution_count": None, "metadata": {}, "data": {kind: value}}


GOOD = [
    markdown("# Mean\n> One number for many.\n\nIts limits are well known."),
    code("#| default_exp core.mean"),
    code("#| export\nfrom __future__ import annotations"),
    markdown("## The mean\nPeople want one number."),
    code(FUNCTION),
    code("mean([1.0, 2.0])", shown("1.5")),
    code("assert mean([1.0, 3.0]) == 2.0"),
]


def written(folder: Path, cells: list[dict], name: str = "00a_core.mean", **metadata: object) -> Path:
    cells = [{**cell, "id": f"{number:08x}"} for number, cell in enumerate(copy.deepcopy(cells))]
    path = folder / f"{name}.ipynb"
    notebook = {
        "cells": cells,
        "metadata": {"kernelspec": {"name": "python3"}, **metadata},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


def test_a_good_notebook_breaks_nothing(tmp_path: Path) -> None:
    assert violations(written(tmp_path, GOOD)) == []


def with_cell(position: int, cell: dict) -> list[dict]:
    return [*GOOD[:position], cell, *GOOD[position + 1 :]]


def with_function(old: str, new: str) -> list[dict]:
    assert old in FUNCTION
    return with_cell(4, code(FUNCTION.replace(old, new)))


ASSIGNMENTS = "\n".join(f"x{number} = {number}" for number in range(46))
BAD = {
    "default_exp of another module": (
        with_cell(1, code("#| default_exp core.median")),
        "exactly one `#| default_exp core.mean`",
    ),
    "no default_exp": (with_cell(1, code("1")), "exactly one"),
    "two default_exp": ([*GOOD, code("#| default_exp core.mean")], "exactly one"),
    "no title": (with_cell(0, markdown("Mean")), "starts with `# Title`"),
    "no subtitle": (with_cell(0, markdown("# Mean\nIt is good.")), "subtitle"),
    "settings in the title": (with_cell(0, markdown("# Mean\n> One.\n\n- mean: the sum")), "`- key: value` list"),
    "a large cell": ([*GOOD, code("#| export\n" + ASSIGNMENTS)], "46 lines"),
    "too many lines": ([*GOOD, *[code("#| exporti\n" + ASSIGNMENTS[:-9])] * 6], "exported lines; at most 250"),
    "too many cells": ([*GOOD, *[code("1")] * 54], "61 cells"),
    "too many functions": (
        [
            *GOOD,
            markdown("More."),
            code("#| export\n" + "\n".join(f'def f{n}() -> None:\n    "Do it."' for n in range(5))),
        ],
        "6 public functions (mean, f0,",
    ),
    "star import": ([*GOOD, code("#| export\nfrom math import *")], "star import from math"),
    "nbdev in a function": (
        [*GOOD, code("#| export\ndef _f():\n    from nbdev.showdoc import show_doc")],
        "imports nbdev.showdoc",
    ),
    "fastcore": ([*GOOD, code("#|export\nimport fastcore.basics as b")], "imports fastcore.basics"),
    "patch": ([*GOOD, code("#| export\n@patch\ndef _f(self: int): ...")], "@patch"),
    "patch_to": ([*GOOD, code("#| export\n@fastcore.patch_to(int)\ndef _f(self): ...")], "@patch_to"),
    "no docstring": (with_function('    "The weighted mean."\n', ""), "mean has no docstring"),
    "class without docstring": (
        [*GOOD, markdown("Why."), code("#| export\nclass Mean:\n    pass")],
        "Mean has no docstring",
    ),
    "parameter without comment": (with_function("  # numbers, at least one", ""), "parameter values has no comment"),
    "later line without comment": (with_function("  # as many as values", ""), "parameter weights has no comment"),
    "parameter without type": (with_function("values: list[float],", "values,"), "parameter values has no type"),
    "two on one line": (with_function("values: list[float],", "values: list[float], n: int,"), "shares its line"),
    "return without type": (with_function(" -> float:", ":"), "return value has no type"),
    "return without comment": (with_function("  # in the unit of the values", ""), "return value has no comment"),
    "second symbol unexplained": ([*GOOD, code('#| export\nclass Mean:\n    "A mean."')], "no markdown above"),
    "no assertion": (GOOD[:-1], "no cell asserts"),
    "nothing to look at": (with_cell(5, code("mean([1.0, 2.0])")), "no cell has an output"),
    "error output": (
        [*GOOD, code("1 / 0", {"output_type": "error", "ename": "ZeroDivisionError", "evalue": "", "traceback": []})],
        "ZeroDivisionError",
    ),
    "path in source": ([*GOOD, code("open('/home/ada/data.csv')")], "source holds the path of one machine"),
    "path in output": ([*GOOD, code("1", shown("wrote /tmp/x/report.html"))], "output holds the path"),
    "path in stream": (
        [*GOOD, code("1", {"output_type": "stream", "name": "stdout", "text": ["a\n", "/root/x"]})],
        "output holds the path",
    ),
    "path in html": ([*GOOD, code("1", shown("<b>/work/x</b>", "text/html"))], "output holds the path"),
    "address": ([*GOOD, code("1", shown("<object object at 0x7f0012345678>"))], "memory address"),
    "cell metadata": ([*GOOD, code("1", collapsed=True)], "cell metadata holds 'collapsed'"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_notebook_is_caught(case: str, tmp_path: Path) -> None:
    cells, message = BAD[case]
    found = violations(written(tmp_path, cells))
    assert any(message in line for line in found), found
    assert all(line.startswith("00a_core.mean.ipynb: ") for line in found)


def test_every_rule_has_a_bad_notebook(tmp_path: Path) -> None:
    books = [Notebook.read(written(tmp_path, cells)) for cells, _ in BAD.values()]
    assert [check.__name__ for check in RULES if not any(list(check(book)) for book in books)] == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a_core.mean", "the name is not"),
        ("00_core.mean", "the name is not"),
        ("00a_core.Mean", "the name is not"),
        ("02a_core.mean", "core does not belong to phase 02"),
        ("13a_more.mean", "more does not belong to phase 13"),
        ("01b_framing.panel", "letter z"),
        ("01z_framing.brief", "letter z"),
    ],
)
def test_a_bad_name_is_caught(name: str, message: str, tmp_path: Path) -> None:
    module = name.partition("_")[2]
    found = violations(written(tmp_path, with_cell(1, code(f"#| default_exp {module}")), name))
    assert any(message in line for line in found), found


@pytest.mark.parametrize(
    "name", ["01z_framing.panel", "12a_reports", "00y_datasets", "00ga_core.items_framing", "00z_core.last"]
)
def test_a_good_name_passes(name: str, tmp_path: Path) -> None:
    module = name.partition("_")[2]
    assert violations(written(tmp_path, with_cell(1, code(f"#| default_exp {module}")), name)) == []


@pytest.mark.parametrize("name", ["index", "90_tutorial_churn", "91_tutorial_more"])
def test_a_page_exports_nothing(name: str, tmp_path: Path) -> None:
    assert violations(written(tmp_path, [GOOD[0], GOOD[3]], name)) == []
    assert any("exports nothing" in line for line in violations(written(tmp_path, GOOD, name)))


def test_pictures_may_hold_any_letters(tmp_path: Path) -> None:
    picture = shown("iVBOR/tmp/w0KGgo=", "image/png")
    embedded = shown('<img alt="" src="data:image/png;base64,iVBOR/work/Ggo=">', "text/html")
    assert violations(written(tmp_path, [*GOOD, code("1", picture, embedded)])) == []


def test_data_alone_needs_no_assertion(tmp_path: Path) -> None:
    assert violations(written(tmp_path, [*GOOD[:4], code("#| export\nUNITS = ('day', 'month')")])) == []


def test_commands_carry_their_help_in_the_annotation(tmp_path: Path) -> None:
    commands = [
        code(f'#| export\n@app.command()\ndef f{n}(x: Annotated[int, Option(help="n")]) -> None:\n    "Do."')
        for n in range(6)
    ]
    cells = [cell for command in commands for cell in (markdown("Why."), command)]
    assert violations(written(tmp_path, [*GOOD, *cells])) == []
