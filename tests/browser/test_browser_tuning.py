"""The tuning panel in a real JupyterLab: a search that is watched, cancelled, killed, and gone on with."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlnb.core.project import Project
from mlnb.data.holdout import seal
from mlnb.experiments.studies import place_of
from mlnb.experiments.study_reading import StudyNow, studies_now

pytestmark = pytest.mark.browser
TRAP = "<img src=x onerror=alert(1)>"
ASK = """async () => (await window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel
  .requestExecute({code: '21 * 2'}).done).content.status"""
PANEL = "from mlnb.core.project import Project\n\nProject({folder!r}).panel('tuning')"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A small table, sealed."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(200, 3)), columns=list("abc"))
    frame["y"] = np.where(frame["a"] * frame["b"] + rng.normal(0, 0.5, 200) > 0, "yes", "no")
    frame.to_csv(tmp_path / "rows.csv", index=False)
    made = Project.create(tmp_path / "p", tmp_path / "rows.csv", target="y", name=f"search {TRAP}")
    seal(made)
    return made


def now(project: Project) -> StudyNow:
    return studies_now(place_of(project.path / "results" / "tuning.db"))[0]


def workers() -> list[int]:
    """Processes that tune, of any kernel of this test."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"experiments.tuning_job" in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def test_search_is_watched_cancelled_killed_and_gone_on_with(notebook: Callable, project: Project, wait: Callable) -> None:
    strangers = set(workers())
    book = notebook(PANEL.format(folder=str(project.path)))
    book.run()
    page = book.output
    page.get_by_label("Model", exact=True).select_option("random_forest")
    page.get_by_label("min_samples_leaf", exact=True).wait_for()  # the other model has n_estimators too
    page.get_by_label("n_estimators", exact=True).fill("deep")
    page.get_by_role("button", name="Start").click()
    page.get_by_role("alert").filter(has_text="'deep' is no range of n_estimators").wait_for()
    assert not (project.path / "results" / "tuning.db").exists() and set(workers()) == strangers
    page.get_by_label("n_estimators", exact=True).fill("10 to 30")
    page.get_by_label("Trials", exact=True).fill("5000")
    page.get_by_label("Ends without gain after", exact=True).fill("0")
    page.get_by_role("button", name="Start").click()
    page.get_by_text("of 5000 trials").wait_for(timeout=60_000)
    page.get_by_alt_text("score of each trial so far").wait_for(timeout=60_000)
    assert book.page.evaluate(ASK) == "ok"  # the kernel answers meanwhile
    wait(page.get_by_label("Trials", exact=True).is_disabled)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("trials are kept, and Start goes on with them").wait_for(timeout=60_000)
    kept = now(project)
    assert kept.done >= 1 and kept.budget["ended"] == "cancelled" and kept.left
    wait(lambda: set(workers()) == strangers)  # it has said so, and takes a moment to end

    page.get_by_role("button", name="Go on").click()
    wait(lambda: now(project).done > kept.done, 60)
    for process in set(workers()) - strangers:
        os.kill(process, signal.SIGKILL)
    page.get_by_role("alert").filter(has_text="ended from outside (signal 9").wait_for(timeout=60_000)
    page.get_by_text("It was left before its budget was used").wait_for()
    killed = now(project)
    assert killed.done > kept.done

    page.get_by_role("button", name="Go on").click()
    wait(lambda: now(project).done > killed.done, 60)
    book.save()
    book.restart()  # the kernel goes, and with it the search
    wait(lambda: set(workers()) == strangers, 60)
    left = now(project)
    book.open()
    book.run()
    page.get_by_text("It was left before its budget was used").wait_for(timeout=60_000)
    assert page.get_by_label("Trials", exact=True).input_value() == "5000"
    assert page.get_by_label("n_estimators", exact=True).input_value() == "10 to 30"
    page.get_by_label("Trials", exact=True).fill(str(left.done + 2))
    page.get_by_role("button", name="Go on").click()
    page.get_by_text(f"{left.done + 2} of {left.done + 2} trials").wait_for(timeout=60_000)
    page.get_by_text("importance").first.wait_for(timeout=60_000)
    assert now(project).done == left.done + 2 and page.locator("img[src=x]").count() == 0
    if folder := os.environ.get("MLNB_PICTURES"):
        page.screenshot(path=f"{folder}/tuning-light.png")
        book.dark()
        page.screenshot(path=f"{folder}/tuning-dark.png")
        book.dark(False)
