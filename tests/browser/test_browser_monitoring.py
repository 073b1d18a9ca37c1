"""The monitoring panel in a real JupyterLab: period, feature and window move what is shown; an alarm is acknowledged; what lands on disk appears."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from retraining_world import make_project

from mlnb.core.project import Project
from mlnb.monitoring.episodes import FILE
from mlnb.monitoring.retrain_runs import Run, read_runs
from mlnb.monitoring.retrain_view import canary_html
from mlnb.monitoring.window_example import example_reference, make_windows
from mlnb.monitoring.windows import FOLDER, save_window
from mlnb.reports.style import shell

pytestmark = pytest.mark.browser
PANEL = "from mlnb.core.project import Project\n\nProject({folder!r}).panel('monitoring')"
TRAP = "<img src=x onerror=alert(1)>"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Thirty days of a model in use; the last is still to come, and one feature's name is HTML."""
    pd.DataFrame({"x": range(9), "y": [0, 1, 0] * 3}).to_csv(tmp_path / "t.csv", index=False)
    made = Project.create(tmp_path / "churn", tmp_path / "t.csv", target="y")
    for w in make_windows()[:-1]:
        save_window(made.path, dataclasses.replace(w, columns={**w.columns, **({TRAP: {"psi": 0.01, "severity": "none", "importance": 0.01}} if w.columns else {})}))
    made.save_result("reference", example_reference().to_dict())
    return made


def picture(book: Any, name: str) -> None:
    if folder := os.environ.get("MLNB_PICTURES"):
        for dark in (False, True):
            book.dark(dark)
            book.page.wait_for_timeout(2000)
            book.page.screenshot(path=str(Path(folder) / f"monitoring-{name}-{'dark' if dark else 'light'}.png"))
        book.dark(False)


def test_what_is_chosen_is_what_is_shown(notebook: Callable, project: Project, wait: Callable) -> None:
    book = notebook(PANEL.format(folder=str(project.path)))
    book.run()
    page = book.output
    page.get_by_text("29 windows, 2026-03-01 to 2026-03-30").first.wait_for()
    assert "payment" in page.get_by_text("is above 0.25 and beyond chance").first.inner_text()
    picture(book, "performance")
    page.get_by_label("Period", exact=True).select_option("7 days")
    page.get_by_text("7 windows, ").first.wait_for()
    page.get_by_label("Period", exact=True).select_option("30 days")

    page.get_by_role("tab", name="Drift").click()
    image = page.get_by_alt_text("in training and in the window of")
    image.first.wait_for()
    before = image.first.get_attribute("src")
    page.get_by_label("Feature", exact=True).select_option("discount")
    page.get_by_text("discount: PSI").first.wait_for()
    wait(lambda: image.first.get_attribute("src") != before)
    page.get_by_label("Seen in", exact=True).select_option("2026-03-13")
    page.get_by_alt_text("discount in training and in the window of 2026-03-13").wait_for()
    page.get_by_label("Feature", exact=True).select_option(TRAP)
    page.get_by_text("The window kept no counts of it").first.wait_for()
    assert page.locator("img[src=x]").count() == 0
    page.get_by_label("Feature", exact=True).select_option("tenure")
    picture(book, "drift")

    for tab, words in (("Predictions", "accepted offers"), ("Service", "Service"), ("Checklist", "MON-CONFIG")):
        page.get_by_role("tab", name=tab).click()
        page.get_by_text(words).first.wait_for()
        picture(book, tab.lower())


def test_who_knows_of_an_alarm_is_kept_and_shown(notebook: Callable, project: Project, wait: Callable) -> None:
    before = {path.name: path.read_bytes() for path in (project.path / FOLDER).iterdir()}
    book = notebook(PANEL.format(folder=str(project.path)))
    book.run()
    page = book.output
    page.get_by_role("tab", name="Alarms").click()
    button = page.get_by_role("button", name="Acknowledge")
    button.click()
    page.get_by_text("Who knows of it? Write a name.").wait_for()
    page.get_by_label("Who knows of it").fill("Ada")
    page.get_by_label("What is known, or done").fill("a new way of paying")
    page.get_by_label("What is known, or done").blur()
    wait(lambda: (button.click(), (project.path / FILE).exists())[1])
    said = json.loads((project.path / FILE).read_text().splitlines()[0])
    assert (said["by"], said["why"]) == ("Ada", "a new way of paying") and "payment" in said["key"]
    page.get_by_text("Ada: a new way of paying").first.wait_for()
    picture(book, "alarms")
    page.get_by_label("Show alarms", exact=True).select_option("critical only")
    wait(lambda: page.get_by_role("row", name="DRIFT-PREDICTION").count() == 0)
    assert {path.name: path.read_bytes() for path in (project.path / FOLDER).iterdir()} == before


def test_what_lands_on_disk_appears_and_what_is_typed_lands_there(notebook: Callable, project: Project, wait: Callable) -> None:
    book = notebook(PANEL.format(folder=str(project.path)))
    book.run()
    page = book.output
    page.get_by_text("29 windows").first.wait_for()
    save_window(project.path, make_windows()[-1])
    page.get_by_text("30 windows, 2026-03-01 to 2026-03-31").first.wait_for()
    page.get_by_role("button", name="Run the monitor").click()
    page.get_by_text("No experiment").or_(page.get_by_text("mlnb run")).first.wait_for()  # nothing is trained here, and that is said
    page.get_by_role("tab", name="Settings").click()
    page.get_by_role("button", name="Concept drift").first.click()
    field = page.get_by_label("Label delay")
    field.fill("7d")
    field.blur()
    path = project.path / "records" / "monitoring.yaml"
    wait(lambda: path.exists() and "ground_truth_delay: 7d" in path.read_text())
    picture(book, "settings")


def test_a_retraining_is_looked_at_begun_and_taken_back(notebook: Callable, tmp_path: Path, wait: Callable) -> None:
    world = make_project(tmp_path, 600)
    book = notebook(PANEL.format(folder=str(world.path)))
    book.run()
    page = book.output
    page.get_by_role("tab", name="Retraining").click()
    page.get_by_text("No retraining so far.").first.wait_for()
    page.get_by_role("button", name="What would happen").click()
    page.get_by_text("Nothing is in the way.").first.wait_for()
    page.get_by_text("it has to win by").first.wait_for()
    assert not (world.path / "retraining").exists()
    page.get_by_role("button", name=re.compile("Retrain$")).click()
    page.get_by_text("gets 5 % of the requests").first.wait_for(timeout=120_000)
    page.get_by_alt_text("gain of the challenger").first.wait_for()
    picture(book, "retraining")
    back = page.get_by_role("button", name="Take it back")
    back.click()
    page.get_by_text("Who decides? Write a name.").wait_for()
    assert read_runs(world.path)[-1].state == "canary"
    page.get_by_label("Who decides").fill("Ana")
    page.get_by_label("Why it is taken back").fill("complaints from the north")
    page.get_by_label("Why it is taken back").blur()
    wait(lambda: (back.click(), read_runs(world.path)[-1].state == "rolled back")[1])
    page.get_by_text("Taken back by Ana: complaints from the north").first.wait_for()
    page.get_by_role("tab", name="Settings").click()
    page.get_by_text("What starts a retraining, and what it has to pass").first.wait_for()


def test_reasons_can_be_read_on_a_phone(browser: Any) -> None:
    why = "EXP-2026-04-28-001 gets 5 % of the requests, and nothing speaks against it so far. " * 2
    step = {"number": 1, "share": 5.0, "since": "2026-04-28T16:00:00+00:00", "state": "running", "why": why,
            "figures": {arm: {"requests": 3416, "errors": 4, "error_rate": 0.001, "p95_ms": 14.5} for arm in ("champion", "challenger")}}
    page = browser.new_page(viewport={"width": 400, "height": 800})
    try:
        page.set_content(shell("A canary", f"<main>{canary_html(Run('RETRAIN-0001', Path('RETRAIN-0001'), '2026-04-28T16:00:00+00:00', steps=(step,)))}</main>"))
        assert page.get_by_role("cell", name="nothing speaks against it").bounding_box()["width"] > 150
        assert page.evaluate("document.documentElement.scrollWidth") <= 400  # the table is moved sideways, not the page
    finally:
        page.close()
