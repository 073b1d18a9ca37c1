"""The experiments browser in a real JupyterLab: filters, comparisons, verdicts and reruns, and what happens on disk meanwhile."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mlnb.core.project import Project
from mlnb.data.holdout import seal
from mlnb.datasets import load_example
from mlnb.experiments.files import amend_experiment, folder_of, read_experiment
from mlnb.experiments.identity import next_id
from mlnb.experiments.training import load_model, train

pytestmark = pytest.mark.browser
TRAP = "<img src=x onerror=alert(1)><script>alert(2)</script>"
PANEL = "from mlnb.core.project import Project\n\nProject({folder!r}).panel('experiments')"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled example, small, with two trainings and one that was killed."""
    from sklearn.base import clone

    folder = tmp_path_factory.mktemp("experiments")
    load_example("churn", n=800).data.to_csv(folder / "churn.csv", index=False)
    made = Project.create(folder / "churn", folder / "churn.csv", target="churned", name=f"churn {TRAP}")
    seal(made)
    train(made, f"Boosted trees beat the rule by F1 {TRAP}", n_resamples=100)
    small = clone(load_model(made))
    getattr(small[-1], "estimator", small[-1]).set_params(max_depth=1, n_estimators=3)
    train(made, "Three stumps are as good as that", pipeline=small, n_resamples=100)
    amend_experiment(made, next_id(folder_of(made), "2026-03-01"), status="running", hypothesis="Nobody waits for this one")
    return folder


@pytest.fixture
def project(trained: Path, tmp_path: Path) -> Project:
    """A copy of it."""
    shutil.copytree(trained, tmp_path / "x")
    return Project(tmp_path / "x" / "churn")


def ids(project: Project) -> list[str]:
    return sorted((path.stem for path in folder_of(project).glob("EXP-*.json")), key=lambda key: read_experiment(project, key).number)


def test_runs_are_found_and_told_apart(notebook: Callable, project: Project, wait: Callable) -> None:
    first, second, killed = ids(project)
    book = notebook(PANEL.format(folder=str(project.path)))
    book.run()
    page = book.output
    page.get_by_text("3 of 3 experiments · 1 killed").wait_for()
    page.get_by_text("No candidates were compared and no settings were searched").wait_for()
    rows = page.locator("td").filter(has_text=killed)
    assert rows.count() == 1 and page.locator("img[src=x]").count() == 0
    query = page.get_by_label("Filter", exact=True)
    query.fill("max_depth>1 status=finished")
    query.press("Enter")
    page.get_by_text("1 of 3 experiments").wait_for()
    query.fill("max_deth>1")
    query.press("Enter")
    page.get_by_role("alert").filter(has_text="Did you mean 'max_depth'?").wait_for()
    query.fill("")
    query.press("Enter")
    page.get_by_text("3 of 3 experiments").wait_for()
    page.get_by_label("Sort by", exact=True).select_option("pr_auc")
    best = max((first, second), key=lambda key: read_experiment(project, key).metrics["secondary"]["pr_auc"])  # F1 is the same for both
    wait(lambda: page.locator("td").filter(has_text="EXP-").first.inner_text().startswith(best))
    page.get_by_label("Experiment", exact=True).select_option(first)
    page.get_by_label("Compare with", exact=True).select_option(second)
    page.get_by_text("Row by row on the same").wait_for(timeout=60_000)
    page.locator("td").filter(has_text="n_estimators").first.wait_for()
    assert book.page.locator(".jp-Notebook .jp-Cell").count() == 1


def test_a_verdict_needs_a_name_and_a_reason_and_reaches_the_disk(notebook: Callable, project: Project, wait: Callable) -> None:
    first, second, _ = ids(project)
    book = notebook(PANEL.format(folder=str(project.path)))
    book.run()
    page = book.output
    page.get_by_label("Experiment", exact=True).select_option(second)
    page.get_by_label("Verdict", exact=True).select_option("archived")
    page.get_by_role("button", name="Keep verdict").click()
    page.get_by_role("alert").filter(has_text="Who decides?").wait_for()
    assert not read_experiment(project, second).verdict_by
    page.get_by_label("Who decides", exact=True).fill("Ada")
    page.get_by_label("Reason for the verdict", exact=True).fill("stumps <b>do not</b> last")
    page.get_by_role("button", name="Keep verdict").click()
    wait(lambda: read_experiment(project, second).verdict_by == "Ada")
    page.get_by_text("archived, overruled by Ada: stumps <b>do not</b> last").first.wait_for()
    amend_experiment(project, first, notes="written by somebody else", hypothesis="A question that was put better")
    page.get_by_text("A question that was put better").first.wait_for()
    book.save()
    book.open()
    page.get_by_text("archived, overruled by Ada").first.wait_for()


def test_a_rerun_can_be_stopped_and_says_what_came_of_it(notebook: Callable, project: Project, wait: Callable) -> None:
    first = ids(project)[0]
    book = notebook(PANEL.format(folder=str(project.path)))
    book.run()
    page = book.output
    page.get_by_label("Experiment", exact=True).select_option(first)
    page.get_by_role("button", name="Run it again").click()
    page.get_by_text(f"Running {first} again").wait_for()
    page.get_by_role("button", name="Cancel").first.click()
    page.get_by_text("The rerun was stopped; nothing of it is kept.").wait_for()
    assert not (folder_of(project, first) / "reproductions.json").exists()
    page.get_by_role("button", name="Run it again").click()
    page.get_by_text(f"{first} was reproduced: every metric and answer is the same").first.wait_for(timeout=180_000)
    assert (folder_of(project, first) / "reproductions.json").exists()


