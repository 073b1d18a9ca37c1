"""The labelling panel in a real JupyterLab: a choice and a note reach the disk, buttons walk the cases, other people's labels appear."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mlnb.core.project import Project
from mlnb.evaluation.error_labels import error_labels, label_error

pytestmark = pytest.mark.browser
TRAP = "<img src=x onerror=alert(1)>"
PANEL = "from mlnb.core.project import Project\nfrom mlnb.evaluation.labelling import LabellingPanel\n\nLabellingPanel(Project({folder!r}), by='Ada')"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose analysis lists three cases; one value is HTML."""
    (tmp_path / "t.csv").write_text("a,y\n1,0\n2,1\n")
    project = Project.create(tmp_path / "p", tmp_path / "t.csv", target="y")
    cases = [{"row": i, "truth": 1, "predicted": 0, "probability": 0.02, "loss": 3.9, "reasons": [["plan", TRAP, 1.5], ["age", "31", -0.4]], "name": f"row-{i}",
              "neighbours": [{"row": 4, "label": 0, "distance": 0.1}]} for i in (7, 11, 20)]  # fmt: skip
    project.save_result("errors", {"cases": cases})
    return project


def test_a_label_and_its_note_reach_the_disk(notebook: Callable, project: Project, wait: Callable) -> None:
    book = notebook(PANEL.format(folder=str(project.path)))
    book.run()
    page = book.output
    page.get_by_text("Case 1 of 3, row 7").wait_for()
    label, note = page.get_by_label("Label", exact=True), page.get_by_label("Note", exact=True)
    label.select_option(label="other: none of these; the note says what")
    page.get_by_text("needs a note").wait_for()
    assert not error_labels(project.path)
    note.fill("two accounts")
    note.press("Enter")
    wait(lambda: error_labels(project.path).get("row-7") is not None)
    said = error_labels(project.path)["row-7"]
    assert (said.label, said.note, said.by) == ("other", "two accounts", "Ada")
    page.get_by_text("1 of 3 are labelled").wait_for()
    page.get_by_role("button", name="Next case").click()
    page.get_by_text("Case 2 of 3, row 11").wait_for()
    label_error(project.path, "row-20", "rare case", by="Bob")
    page.get_by_text("2 of 3 are labelled").wait_for()
    if folder := os.environ.get("MLNB_PICTURES"):
        for dark in (False, True):
            book.dark(dark)
            book.page.screenshot(path=str(Path(folder) / f"labelling-{'dark' if dark else 'light'}.png"))
    assert book.page.locator(".jp-Notebook .jp-Cell").count() == 1
