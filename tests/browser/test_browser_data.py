"""The data panel in a real JupyterLab: sliders and signatures reach the disk, what others write is shown, and slow work can be watched."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from mlnb.core.project import Project
from mlnb.data.holdout import open_holdout
from mlnb.data.leakage import project_leakage
from mlnb.data.quality import project_quality
from mlnb.datasets import load_example

pytestmark = pytest.mark.browser
TRAP = "<img src=x onerror=alert(1)><script>alert(2)</script>"
PANEL = "from mlnb.core.project import Project\n\nProject({folder!r}).panel('data')"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The bundled example, small, with a column whose name is HTML; nothing computed yet."""
    frame = load_example("churn", n=1500).data.rename(columns={"region": TRAP})
    data = tmp_path / "churn.csv"
    frame.to_csv(data, index=False)
    return Project.create(tmp_path / "churn", data, target="churned", time="snapshot_date", entity="customer_id", name=f"churn {TRAP}")


@pytest.fixture
def assessed(project: Project) -> Project:
    """The same with scores and leaks."""
    project_quality(project)
    project_leakage(project)
    return project


def dimension(project: Project, name: str) -> dict[str, Any]:
    """A dimension as the record's file has it."""
    path = project.path / "records" / "data_quality.yaml"
    return next(iter(YAML(typ="safe").load(path.read_text()).values()))["dimensions"][name]


def lines(project: Project) -> list[dict[str, Any]]:
    """The ledger as it lies on disk."""
    path = project.path / "ledger.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_slider_asks_why_and_who_and_keeps_both_values(notebook: Callable, assessed: Project, wait: Callable) -> None:
    before = dimension(assessed, "accuracy")
    book = notebook(PANEL.format(folder=str(assessed.path)))
    book.run()
    page = book.output
    handle = page.get_by_role("slider").nth(1)
    handle.wait_for()
    assert float(handle.get_attribute("aria-valuenow")) == pytest.approx(before["score"], abs=0.051), "the data has set it"
    handle.focus()
    for _ in range(8):
        book.page.keyboard.press("ArrowLeft")
    page.get_by_text("Not saved: accuracy needs a reason and a name.").wait_for()
    assert dimension(assessed, "accuracy")["adjusted"] is None, "nothing is saved without a reason"
    reason = page.get_by_label("Reason for accuracy", exact=True)
    reason.fill("the meter was replaced <b>twice</b>")
    reason.press("Enter")
    who = page.get_by_label("Who adjusts accuracy", exact=True)
    who.fill("Ada")
    who.press("Enter")
    wait(lambda: dimension(assessed, "accuracy")["adjusted"] is not None)
    found = dimension(assessed, "accuracy")
    assert found["adjusted"] == pytest.approx(before["score"] - 0.8, abs=0.06) and found["score"] == before["score"]
    assert (found["reason"], found["by"]) == ("the meter was replaced <b>twice</b>", "Ada")
    page.get_by_text(f"computed {before['score']:.1f} · adjusted {found['adjusted']:.1f}").wait_for()
    wait(lambda: any(line["body"].get("code") == "DQ-ACCURACY" and "Adjusted from" in line["body"]["message"] for line in lines(assessed)))
    assert book.page.locator(".jp-Notebook .jp-Cell").count() == 1, "a key went to the notebook instead of the slider"
    page.get_by_role("button", name="Back to computed accuracy").click()
    wait(lambda: dimension(assessed, "accuracy")["adjusted"] is None)


def test_a_leak_is_accepted_with_a_reason_until_a_day(notebook: Callable, assessed: Project, wait: Callable) -> None:
    book = notebook(PANEL.format(folder=str(assessed.path)))
    book.run()
    page = book.output
    page.get_by_role("button", name="Accept LEAK04").first.click()
    page.get_by_role("button", name="Sign LEAK04").click()
    page.get_by_role("alert").filter(has_text="Who signs?").wait_for()
    page.get_by_label("Name", exact=True).fill("Ada")
    page.get_by_label("Reason", exact=True).fill("goes with the next extract")
    page.get_by_label("Until").fill("2099-12-31")
    page.get_by_role("button", name="Sign LEAK04").click()
    page.get_by_text("Accepted by Ada until 2099-12-31").first.wait_for()
    signed = wait(lambda: [line["body"] for line in lines(assessed) if line["kind"] == "attestation"])
    assert signed == [{"code": "LEAK04", "by": "Ada", "why": "goes with the next extract", "until": "2099-12-31", "waive": True}]
    assert Project(assessed.path).findings().get("LEAK04").status.value == "attested"


def test_a_run_shows_its_progress_and_fills_the_panel(notebook: Callable, project: Project, wait: Callable) -> None:
    book = notebook(PANEL.format(folder=str(project.path)))
    book.run()
    page = book.output
    page.get_by_text("Nothing is sealed yet").wait_for()
    assert page.get_by_text("Nothing is measured yet").is_visible()
    page.get_by_role("button", name="Run all steps").click()
    page.get_by_text("Sealing the holdout").or_(page.get_by_text("Scoring the quality")).first.wait_for()
    page.get_by_text("All 5 steps are done.").wait_for(timeout=180_000)
    page.get_by_text("Nobody has looked at it.").wait_for()
    assert {"LEAK04", "LEAK06", "DQ-VOLUME"} <= {line["body"].get("code") for line in lines(project)}
    search = page.get_by_label("Search columns", exact=True)
    search.fill("tenure")
    wait(lambda: page.locator("img[alt^='tenure_months: from']").count() == 1 and page.locator("img[alt^='age']").count() == 0)
    search.fill("no such column")
    page.get_by_text("No column matches.").wait_for()
    search.fill("script")
    page.get_by_text(TRAP[:20]).first.wait_for()
    assert page.locator("img[src=x]").count() == 0


def test_what_others_write_is_shown_and_survives_reload_and_restart(notebook: Callable, assessed: Project, wait: Callable) -> None:
    book = notebook(PANEL.format(folder=str(assessed.path)))
    book.run()
    page = book.output
    record = assessed.record("data_quality")
    record.dimensions.volume.reason, record.dimensions.volume.by, record.dimensions.volume.adjusted = "more rows in May", "Grace", 3.5
    assessed.save_record("data_quality", record)
    volume = page.get_by_role("slider").nth(5)
    wait(lambda: float(volume.get_attribute("aria-valuenow")) == 3.5)
    assert page.get_by_label("Reason for volume", exact=True).input_value() == "more rows in May"
    from mlnb.data.holdout import seal

    seal(assessed)
    page.get_by_text("Nobody has looked at it.").wait_for()
    open_holdout(assessed).rows(why=f"final evaluation {TRAP}", by="Grace")
    page.get_by_text("final evaluation").wait_for()
    assessed.attest("LEAK05", "Grace", "checked by hand")
    page.get_by_text("checked by hand").first.wait_for()
    book.save()
    book.open()  # the page again, the kernel goes on
    wait(lambda: float(page.get_by_role("slider").nth(5).get_attribute("aria-valuenow")) == 3.5)
    book.restart()
    book.run()
    wait(lambda: float(page.get_by_role("slider").nth(5).get_attribute("aria-valuenow")) == 3.5)
    assert page.get_by_text("final evaluation").first.is_visible()
