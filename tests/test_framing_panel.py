"""The framing panel without a browser, and the framing of a project."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_core_forms import TRAP, buttons, controls, texts

from mlnb.core.findings import Status
from mlnb.core.project import Project
from mlnb.framing.framing import project_framing
from mlnb.framing.panel import FramingPanel


@pytest.fixture
def project(tmp_path: Path) -> Project:
    data = tmp_path / "churn.csv"
    data.write_text(f"months,{TRAP},churned\n" + "".join(f"{i % 70},{i % 9},{'yes' if i % 4 == 0 else 'no'}\n" for i in range(1200)))
    return Project.create(tmp_path / "churn", data, target="churned", name=TRAP)


def test_widgets_to_file_and_file_to_widgets(project: Project) -> None:
    panel = project.panel()
    assert isinstance(panel, FramingPanel)
    named = controls(panel.widget)
    named["Success metric"].value = "a lot less churn"
    assert "It holds no number" in texts(panel.widget)
    named["Success metric"].value = "churn down from 5 % to 4 %"
    assert "It holds no number" not in texts(panel.widget)
    for label, answer in {"Fewer than 10 rules": False, "Too complex for people": True, "Fully auditable": False}.items():
        named[label].value = answer
    brief = project.record("problem_brief")
    assert brief.success_metric == "churn down from 5 % to 4 %" and brief.signals.too_complex is True and brief.signals.adapts is None
    assert "Train a model" in texts(panel.widget) and "1,200 labelled rows" in texts(panel.widget)
    brief.business_objective, brief.signals.must_be_auditable = "Fewer customers leave", True
    project.save_record("problem_brief", brief)
    panel.look()
    assert named["Business objective"].value == "Fewer customers leave" and named["Fully auditable"].value is True
    assert "Write rules. A model is not worth its costs" in texts(panel.widget)


def test_a_new_panel_knows_what_the_last_one_saved(project: Project) -> None:
    controls(project.panel().widget)["Data gaps"].value = "reasons"
    assert controls(Project(project.path).panel().widget)["Data gaps"].value == "reasons"


def test_the_task_is_held_against_the_data(project: Project) -> None:
    panel = FramingPanel(project)
    controls(panel.widget)["Task"].value = "regression"
    assert "looks like classification" in texts(panel.widget)


def test_nothing_becomes_html(project: Project) -> None:
    panel = FramingPanel(project)
    named = controls(panel.widget)
    for label in ("Business objective", "Success metric", "Kill criteria 1"):
        named[label].value = f"{TRAP} 5"
    project.attest("KILL2", TRAP, TRAP)
    panel.look()
    assert TRAP not in texts(panel.widget) and TRAP not in panel._repr_html_()
    assert "<script" not in panel._repr_html_() and "<style" not in panel._repr_html_()


def test_a_broken_file_is_shown_and_kept(project: Project) -> None:
    panel = FramingPanel(project)
    named = controls(panel.widget)
    named["Data gaps"].value = "reasons"
    path = project.path / "records" / "problem_brief.yaml"
    path.write_text(path.read_text().replace("data_gaps", "data_gap"))
    before = path.read_text()
    named["Baseline"].value = "none"
    assert path.read_text() == before and "Not saved." in texts(panel.widget) and "data_gap" in panel._repr_html_()
    assert FramingPanel(project).state.problem, "a new panel opens all the same"


def test_a_project_whose_data_is_gone_still_has_its_panel(project: Project) -> None:
    (project.path.parent / "churn.csv").unlink()
    panel = Project(project.path).panel()
    controls(panel.widget)["Data gaps"].value = "all of it"
    assert Project(project.path).record("problem_brief").data_gaps == "all of it" and "Problem brief" in panel._repr_html_()


def test_signing_and_running_from_the_panel(project: Project) -> None:
    panel = FramingPanel(project)
    panel.checklist.start().join()
    assert panel.checklist.state.findings.get("FRAME-BRIEF").status is Status.FAIL
    buttons(panel.widget)["Attest KILL2"].click()
    named = controls(panel.widget)
    named["Name"].value, named["Reason"].value = "Ada", "cleaned at the source"
    buttons(panel.widget)["Sign KILL2"].click()
    assert project.findings().get("KILL2").status is Status.ATTESTED


def test_framing_of_a_project_is_noted_and_goes_stale(project: Project) -> None:
    framing = project_framing(project)
    assert [found.code for found in framing.findings] == ["FRAME-BRIEF", "FRAME-RULES", "KILL1", "KILL2", "KILL3"]
    assert project.findings().get("FRAME-BRIEF").status is Status.FAIL and project.result("framing", fresh=True)
    brief = project.record("problem_brief")
    brief.data_gaps = "reasons"
    project.save_record("problem_brief", brief)
    assert project.findings().get("FRAME-BRIEF").status is Status.STALE and project.result("framing", fresh=True) is None
    assert all(part._repr_html_() for part in (framing.brief, framing.decision, framing.kill, framing))
