"""The evaluation dashboard in a real JupyterLab: the slider moves counts, rates, costs and groups; the other pages show what was kept."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlnb.core.project import Project
from mlnb.data.holdout import seal
from mlnb.datasets import load_example
from mlnb.evaluation.evaluate import Evaluation, project_evaluation
from mlnb.evaluation.model_checks import inspect_model
from mlnb.evaluation.panel_state import decide, decide_groups
from mlnb.evaluation.skew import skew
from mlnb.experiments.tracking import current_experiment
from mlnb.experiments.training import load_model, train

pytestmark = pytest.mark.browser
PANEL = "from mlnb.core.project import Project\n\nProject({folder!r}).panel('evaluation')"
TRAP = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled example, small: trained twice, evaluated, its model examined and compared with an online path that rounds; a group's name is HTML."""
    from sklearn.base import clone

    folder = tmp_path_factory.mktemp("evaluation")
    frame = load_example("churn", n=1500).data
    frame["region"] = [("north", TRAP, "south")[i % 3] for i in range(len(frame))]
    frame.to_csv(folder / "churn.csv", index=False)
    project = Project.create(folder / "churn", folder / "churn.csv", target="churned", protected=["region"])
    seal(project)
    train(project, "Boosted trees beat the rule", n_resamples=100)
    model = load_model(project)
    small = clone(model)
    getattr(small[-1], "estimator", small[-1]).set_params(max_depth=1, n_estimators=3)
    train(project, "Three stumps are as good as that", pipeline=small, n_resamples=100)
    project_evaluation(project)
    rows, target = project.train().frame(), current_experiment(project).target
    found = inspect_model(model, rows[:700], rows[700:], target, only=("MODEL04", "MODEL05"))
    project.save_result("model_checks", found.to_dict())
    number = next(name for name in rows.columns if rows[name].dtype.kind == "f")

    def online(asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"probability": 0.5, "features": {number: round(float(row[number] or 0), -1)}} for row in asked]

    project.save_result("skew", skew(rows[:200], online, model, target=target, rows=100).to_dict())
    return folder


@pytest.fixture
def project(evaluated: Path, tmp_path: Path) -> Project:
    """A copy of it."""
    shutil.copytree(evaluated, tmp_path / "x")
    return Project(tmp_path / "x" / "churn")


def numbers(text: str) -> list[int]:
    """The counts of the confusion matrix, in the order they are shown."""
    return [int(n.replace(",", "")) for n in re.findall(r"^([\d,]+)$", text, re.MULTILINE)][:4]


def picture(book: Any, name: str) -> None:
    if folder := os.environ.get("MLNB_PICTURES"):
        for dark in (False, True):
            book.dark(dark)
            book.page.wait_for_timeout(2500)
            book.page.screenshot(path=str(Path(folder) / f"evaluation-{name}-{'dark' if dark else 'light'}.png"))
        book.dark(False)


def test_the_threshold_moves_everything_it_should(notebook: Callable, project: Project, wait: Callable) -> None:
    e = Evaluation.from_dict(project.result("evaluation"))
    book = notebook(PANEL.format(folder=str(project.path)))
    book.run()
    page = book.output
    box = page.locator(".widget-readout, .jupyter-widgets .widget-readout").first
    box.wait_for()
    wait(lambda: abs(float(box.inner_text()) - e.facts["threshold"]) < 0.002)  # it starts where the model decides

    def move(to: float) -> None:
        box.fill(f"{to:.3f}")
        box.press("Enter")
        page.get_by_text(re.compile(f"^Flagged from {to:g}")).first.wait_for()

    middle = sorted(e.points["threshold"])[len(e.points["threshold"]) // 2]
    for to in (round(middle, 3), round(middle * 0.6, 3)):
        move(to)
        said, matrix = decide(e.points, to), page.get_by_text("left alone", exact=True).first.locator("xpath=..")
        wait(lambda said=said, matrix=matrix: numbers(matrix.inner_text()) == [said.tp, said.fn, said.fp, said.tn])
        value, low, high = said.rates["recall"]
        row = page.get_by_role("row", name=re.compile("^recall")).first
        assert f"{value:.3f}" in row.inner_text() and f"{low:.3f} to {high:.3f}" in row.inner_text()
        assert f"{said.f1_range[0]:.3f} to {said.f1_range[1]:.3f}" in page.get_by_role("row", name=re.compile("^F1")).first.inner_text()
    cost = page.get_by_label("A miss costs")
    cost.fill("9")
    cost.press("Enter")
    page.get_by_role("button", name="Lowest cost").click()
    wait(lambda: "Mean cost a row" in page.inner_text() and f"Flagged from {to:g}" not in page.inner_text())
    picture(book, "threshold")

    page.get_by_role("tab", name="Groups").click()
    page.get_by_text("Groups, flagged from").first.wait_for()
    box.fill(f"{middle * 0.9:.3f}")
    box.press("Enter")
    said = decide_groups(e.points, round(middle * 0.9, 3))["region"]["south"]
    row = page.get_by_role("row", name=re.compile("^south")).first
    wait(lambda: f"{said.rates['flagged'][0]:.3f}" in row.inner_text())
    assert f"{said.rows:,.0f}" in row.inner_text() and page.locator("img[src=x]").count() == 0 and page.get_by_text(TRAP).count() >= 1
    picture(book, "groups")
    page.get_by_role("button", name="As the model decides").click()
    wait(lambda: abs(float(box.inner_text()) - e.facts["threshold"]) < 0.002)


def test_the_other_pages_show_what_was_kept(notebook: Callable, project: Project, wait: Callable) -> None:
    book = notebook(PANEL.format(folder=str(project.path)))
    book.run()
    page = book.output
    page.get_by_role("tab", name="Calibration").click()
    page.get_by_text("Would a correction help?").first.wait_for()
    page.get_by_text("Each row was corrected by a fit to other rows").first.wait_for()
    picture(book, "calibration")
    page.get_by_role("tab", name="Comparison").click()
    runs = [box.input_value() for box in (page.get_by_label("Run", exact=True), page.get_by_label("against", exact=True))]
    assert len(set(runs)) == 2
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_text("Row by row on the same").first.wait_for()
    picture(book, "comparison")
    page.get_by_role("tab", name="Model checks").click()
    page.get_by_text("MODEL04").first.wait_for()
    picture(book, "model")
    page.get_by_role("tab", name="Offline and online").click()
    page.get_by_text("rows that differ").first.wait_for()
    picture(book, "online")
    kept = project.result("skew")
    project.save_result("skew", {**kept, "gaps": [], "rows": 777})
    page.get_by_text("777 rows replayed").first.wait_for()
