"""The panels in a real JupyterLab: what is typed is in the file, what is in the file is shown, and nothing else happens."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from mlnb.core.project import Project

pytestmark = pytest.mark.browser
TRAP = "<img src=x onerror=alert(1)><script>alert(2)</script>"
PANEL = "from mlnb.core.project import Project\n\nProject({folder!r}).panel()"
FORM = """from mlnb.core.form_state import FormState
from mlnb.core.forms import Form
from mlnb.core.records import record_model

Form(FormState(record_model("data_quality"), {path!r}), "Data quality")"""


def read(path: Path) -> dict[str, Any]:
    """The fields of a record's file."""
    return next(iter(YAML(typ="safe").load(path.read_text()).values())) if path.exists() else {}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A churn project with enough labels for a model."""
    data = tmp_path / "churn.csv"
    rows = (f"{i % 70},{i % 9},{'yes' if i % 4 == 0 else 'no'}\n" for i in range(1200))
    data.write_text(f"months,{TRAP},churned\n" + "".join(rows))
    return Project.create(tmp_path / "churn", data, target="churned", name=f"churn {TRAP}")


def test_typing_and_choosing_reach_the_file(notebook: Callable, project: Project, wait: Callable) -> None:
    brief = project.path / "records" / "problem_brief.yaml"
    book = notebook(PANEL.format(folder=str(project.path)))
    book.run()
    page = book.output
    page.get_by_label("Success metric", exact=True).fill("a lot less churn")
    hint = page.get_by_text("It holds no number")
    hint.wait_for()
    page.get_by_label("Success metric", exact=True).fill("churn down from 5 % to 4 %")
    hint.wait_for(state="detached")
    page.get_by_label("Latency", exact=True).select_option("batch")
    for label, answer in {"Fewer than 10 rules": "no", "Too complex for people": "yes", "Fully auditable": "no"}.items():
        page.get_by_label(label, exact=True).select_option(answer)
    page.get_by_text("Train a model, and keep a simple rule").wait_for()
    page.get_by_role("button", name="Add to kill criteria").click()
    first = page.get_by_label("Kill criteria 1", exact=True)
    first.evaluate("field => { window.first = field; }")
    page.get_by_label("Kill criteria 4", exact=True).fill("Legal does not agree by May")
    wait(lambda: read(brief).get("kill_criteria", [""])[-1] == "Legal does not agree by May")
    assert first.evaluate("field => field === window.first"), "a list that grows leaves what is there alone"
    page.get_by_role("button", name="Remove Kill criteria 1").click()
    wait(lambda: read(brief)["kill_criteria"][-1] == "Legal does not agree by May" and len(read(brief)["kill_criteria"]) == 3)
    assert page.get_by_label("Kill criteria 3", exact=True).input_value() == "Legal does not agree by May"
    found = read(brief)
    assert found["success_metric"] == "churn down from 5 % to 4 %" and found["latency_requirement"] == "batch"
    assert found["signals"]["rules_under_10"] is False and found["signals"]["too_complex"] is True
    assert found["signals"]["changes_fast"] is None
    assert "#" in brief.read_text(), "a new file explains its fields"


def test_the_file_reaches_the_panel_after_edits_reload_and_restart(notebook: Callable, project: Project, wait: Callable) -> None:
    brief = project.path / "records" / "problem_brief.yaml"
    record = project.record("problem_brief")
    record.business_objective = "Fewer customers leave"
    project.save_record("problem_brief", record)
    brief.write_text(brief.read_text().replace("Fewer customers leave", "Fewer customers leave  # agreed with sales"))
    book = notebook(PANEL.format(folder=str(project.path)))
    book.run()
    page = book.output

    def shows(label: str, text: str) -> object:
        return wait(lambda: page.get_by_label(label, exact=True).input_value() == text)

    shows("Business objective", "Fewer customers leave")
    brief.write_text(brief.read_text().replace("Fewer customers leave", "Fewer returns"))
    shows("Business objective", "Fewer returns")  # while the panel is open
    page.get_by_label("Data gaps", exact=True).fill("why they leave")
    wait(lambda: read(brief)["data_gaps"] == "why they leave")
    assert "# agreed with sales" in brief.read_text()
    book.save()
    brief.write_text(brief.read_text().replace("Fewer returns", "Fewer complaints"))
    book.open()  # the page again, the kernel goes on
    shows("Business objective", "Fewer complaints")
    shows("Data gaps", "why they leave")
    book.restart()
    brief.write_text(brief.read_text().replace("Fewer complaints", "Fewer calls"))
    book.run()
    shows("Business objective", "Fewer calls")
    shows("Data gaps", "why they leave")


def test_invalid_input_is_shown_where_it_is_and_never_saved(notebook: Callable, tmp_path: Path, wait: Callable) -> None:
    path = tmp_path / "data_quality.yaml"
    book = notebook(FORM.format(path=str(path)))
    book.run()
    page = book.output
    page.get_by_label("Source", exact=True).fill("warehouse")
    wait(lambda: read(path).get("source") == "warehouse")
    score = page.get_by_label("Score", exact=True).first
    score.fill("seven")
    page.get_by_role("alert").filter(has_text="'seven' is not a number").wait_for()
    page.get_by_label("Source", exact=True).fill("lake")
    wait(lambda: read(path)["source"] == "lake")
    assert read(path)["dimensions"]["completeness"]["score"] is None
    score.fill("7")
    page.get_by_role("alert").filter(has_text="at most 5").wait_for()
    score.fill("4.5")
    wait(lambda: read(path)["dimensions"]["completeness"]["score"] == 4.5)
    assert page.get_by_role("alert").count() == 0
    page.get_by_label("Adjusted", exact=True).first.fill("5")
    page.get_by_role("alert").filter(has_text="needs a reason").wait_for()  # two fields that do not fit together
    page.get_by_label("Reason", exact=True).first.fill("checked by hand")
    wait(lambda: read(path)["dimensions"]["completeness"]["adjusted"] == 5)


def test_text_stays_text(notebook: Callable, project: Project, wait: Callable) -> None:
    brief = project.path / "records" / "problem_brief.yaml"
    record = project.record("problem_brief")
    record.business_objective, record.kill_criteria = TRAP, [TRAP]
    project.save_record("problem_brief", record)
    project.attest("KILL2", TRAP, TRAP)
    book = notebook(PANEL.format(folder=str(project.path)))
    book.run()
    page = book.output
    page.get_by_label("Success metric", exact=True).fill(f"{TRAP} 5")
    wait(lambda: read(brief)["success_metric"] == f"{TRAP} 5")
    page.get_by_role("button", name="Run checks").click()
    page.get_by_text("All 5 checks were run.").wait_for()
    assert page.get_by_label("Business objective", exact=True).input_value() == TRAP
    assert page.get_by_text("<script>alert(2)</script>").count() > 0
    assert page.locator("img[src=x]").count() == 0
    # the fixture asserts that no box opened and nothing outside was asked


def test_signing_lands_in_the_ledger(notebook: Callable, project: Project, wait: Callable) -> None:
    book = notebook(PANEL.format(folder=str(project.path)))
    book.run()
    page = book.output

    def lines() -> list[dict[str, Any]]:
        path = project.path / "ledger.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    page.get_by_role("button", name="Attest KILL2").click()
    page.get_by_label("Name", exact=True).fill("  ")
    page.get_by_role("button", name="Sign KILL2").click()
    page.get_by_role("alert").filter(has_text="Who signs?").wait_for()
    page.get_by_role("alert").filter(has_text="Write the reason").wait_for()
    assert not lines()
    page.get_by_label("Name", exact=True).fill("Ada")
    page.get_by_label("Reason", exact=True).fill("cleaned at the source")
    page.get_by_label("Until").fill("2099-12-31")
    page.get_by_role("button", name="Sign KILL2").click()
    page.get_by_text("Attested by Ada until 2099-12-31").wait_for()
    signed = [line["body"] for line in wait(lines) if line["kind"] == "attestation"]
    assert signed == [{"code": "KILL2", "by": "Ada", "why": "cleaned at the source", "until": "2099-12-31", "waive": False}]
    page.get_by_role("button", name="Run checks").click()
    page.get_by_text("All 5 checks were run.").wait_for()
    assert {line["body"]["code"] for line in lines()} >= {"FRAME-BRIEF", "KILL2"}
    page.get_by_role("button", name="Waive FRAME-BRIEF").click()
    page.get_by_label("Reason", exact=True).fill("a trial, ends in May")
    page.get_by_role("button", name="Sign FRAME-BRIEF").click()
    page.get_by_text("Accepted by Ada").wait_for()
    assert wait(lambda: lines()[-1]["body"].get("waive")) is True


def test_the_keyboard_is_enough(notebook: Callable, project: Project, wait: Callable) -> None:
    brief = project.path / "records" / "problem_brief.yaml"
    book = notebook(PANEL.format(folder=str(project.path)))
    book.run()
    page = book.output

    def focus() -> str:
        return book.page.evaluate("() => { const at = document.activeElement; return at === document.body ? '' : at.labels?.[0]?.innerText ?? at.innerText ?? ''; }")

    def walk(label: str, steps: int = 40) -> None:
        for _ in range(steps):
            if label in focus():
                return
            book.page.keyboard.press("Tab")
        raise AssertionError(f"Tab never came to {label!r}; it ended at {focus()!r}")

    page.get_by_label("Business objective", exact=True).focus()
    book.page.keyboard.type("Fewer customers leave")
    book.page.keyboard.press("Tab")
    assert "Success metric" in focus()
    book.page.keyboard.type("churn down 15 %")
    walk("Latency")
    book.page.keyboard.press("b")
    walk("Has to adapt")
    book.page.keyboard.press("ArrowDown")  # not known -> yes
    walk("Kill criteria 3")
    walk("Add to kill criteria")
    book.page.keyboard.press("Enter")
    wait(lambda: len(read(brief).get("kill_criteria", [])) == 4)
    found = read(brief)
    assert (found["business_objective"], found["success_metric"]) == ("Fewer customers leave", "churn down 15 %")
    assert found["latency_requirement"] == "batch" and found["signals"]["adapts"] is True
    assert book.page.locator(".jp-Notebook .jp-Cell").count() == 1, "a key went to the notebook instead of the panel"


def test_an_exported_page_shows_the_panel_without_widgets(notebook: Callable, project: Project, lab: Any, browser: Any) -> None:
    from nbconvert import HTMLExporter

    record = project.record("problem_brief")
    record.business_objective = "Fewer customers leave each month"
    project.save_record("problem_brief", record)
    book = notebook(PANEL.format(folder=str(project.path)))
    book.run()
    book.save()
    html, _ = HTMLExporter(template_name="lab").from_filename(str(lab.folder / book.name))
    page = browser.new_page()
    page.route(re.compile("^https?:"), lambda route: route.abort())
    page.set_content(html, wait_until="domcontentloaded")
    assert page.get_by_text("Fewer customers leave each month").is_visible()
    assert page.get_by_text("Rules or a model: rules first").is_visible()
    assert page.locator("img[src=x]").count() == 0
    page.close()
