"""The checklist of any phase: state, run, cancel, sign, and the widgets without a browser."""

from __future__ import annotations

import asyncio
import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from test_core_forms import TRAP, buttons, controls, texts

from mlnb.core import catalog
from mlnb.core.checklist import ChecklistPanel, finding_html
from mlnb.core.checklist_state import ChecklistState, signature_errors
from mlnb.core.checks import finding
from mlnb.core.errors import InputError
from mlnb.core.findings import Status
from mlnb.core.project import Project

TODAY = datetime.date(2026, 3, 1)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    data = tmp_path / "loans.csv"
    data.write_text("income,repaid\n" + "".join(f"{1000 + i},{'yes' if i % 3 else 'no'}\n" for i in range(60)))
    return Project.create(tmp_path / "loans", data, target="repaid", name=TRAP)


def lines(project: Project) -> list[dict[str, Any]]:
    path = project.path / "ledger.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize("phase", [phase.key for phase in catalog.PHASES])
def test_every_phase_has_a_checklist(project: Project, phase: str) -> None:
    panel = ChecklistPanel(project, phase)
    codes = [item.id for item in catalog.items(phase)]
    assert [found.code for found in panel.state.findings] == codes
    html = panel._repr_html_()
    assert all(code in html for code in codes) and "<script" not in html
    assert len(buttons(panel.widget)) >= len(codes)


def test_a_phase_by_number_and_an_unknown_one(project: Project) -> None:
    assert ChecklistState(project, 2).phase.key == "data"
    with pytest.raises(InputError, match="Did you mean 'framing'"):
        ChecklistState(project, "frameing")


def test_running_notes_findings_one_by_one(project: Project) -> None:
    state = ChecklistState(project, "framing")
    seen = []
    state.observe(lambda change: seen.append(change["new"]), "progress")
    state.run()
    assert seen[-1] == 1.0 and len(seen) == 5 and not state.running
    assert {line["body"]["code"] for line in lines(project)} == {"FRAME-BRIEF"}, "not checked is not noted"
    rules = state.findings.get("FRAME-RULES")
    assert rules.status is Status.NOT_CHECKED and "signals" in rules.message, "the reason stays in the panel"


def test_running_some(project: Project) -> None:
    state = ChecklistState(project, "framing")
    state.run(["KILL2"])
    assert state.status == "All 1 checks were run." and not lines(project)


def test_cancel_stops_before_the_next_check(project: Project) -> None:
    state = ChecklistState(project, "framing")
    state.observe(lambda change: state.cancel(), "progress")
    state.run()
    assert state.status == "1 of 5 checks were run." and not state.running and 0 < state.progress < 1


def test_a_broken_ledger_folder_is_said(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    state = ChecklistState(project, "framing")

    def full(*_: object, **__: object) -> None:
        raise InputError("Cannot write the ledger: the disk is full.")

    monkeypatch.setattr(project, "note", full)
    state.run()
    assert "disk is full" in state.status and not state.running


@pytest.mark.parametrize(("by", "why", "until", "wrong"), [
    ("", "x", None, {"by"}), ("  \n", "x", None, {"by"}), ("Ada", " ", "", {"why"}), ("", "", "soon", {"by", "why", "until"}),
    ("Ada", "x", "2026-02-28", {"until"}), ("Ada", "x", "2026-03-01", set()), ("Ada", "x", datetime.date(2027, 1, 1), set()),
    ("Ada", "x", "2026-13-01", {"until"}),
])  # fmt: skip
def test_what_a_signature_needs(by: str, why: str, until: Any, wrong: set[str]) -> None:
    assert set(signature_errors(by, why, until, TODAY)) == wrong


def test_attest_and_waive(project: Project) -> None:
    state = ChecklistState(project, "framing")
    state.run()
    assert state.act(state.findings.get("FRAME-BRIEF")) == "waive" and state.act(state.findings.get("KILL2")) == "attest"
    assert set(state.sign("KILL2", "", "", today=TODAY)) == {"by", "why"} and len(lines(project)) == 1
    assert state.sign("KILL2", "Ada", "see ticket 17", datetime.date(2099, 1, 1), today=TODAY) == {}
    assert state.sign("FRAME-BRIEF", "Ada", "a trial", today=TODAY) == {}
    bodies = [line["body"] for line in lines(project) if line["kind"] == "attestation"]
    assert [(body["code"], body["waive"], body["until"]) for body in bodies] == [("KILL2", False, "2099-01-01"), ("FRAME-BRIEF", True, None)]
    brief = state.findings.get("FRAME-BRIEF")
    assert brief.status is Status.ATTESTED and "fail" in brief.message, "the failure stays visible"
    assert state.sign("FRAME-BRIEF", "Bea", "one month more", today=TODAY) == {} and lines(project)[-1]["body"]["waive"] is True


def test_a_row_escapes_everything() -> None:
    found = finding("KILL1", "fail", TRAP, evidence={TRAP: [TRAP], "list": list(range(500))}, fix=f"do {TRAP}")
    assert TRAP not in finding_html(found) and "…" in finding_html(found)


def test_widgets_sign_and_follow(project: Project) -> None:
    panel = ChecklistPanel(project, "framing")
    widget = panel.widget
    buttons(widget)["Attest KILL2"].click()
    buttons(widget)["Sign KILL2"].click()
    assert "Who signs?" in texts(widget) and "Write the reason" in texts(widget) and not lines(project)
    controls(widget)["Name"].value = TRAP
    controls(widget)["Reason"].value = TRAP
    buttons(widget)["Sign KILL2"].click()
    assert lines(project)[-1]["body"]["by"] == TRAP and TRAP not in texts(widget) and "Sign KILL2" not in buttons(widget)
    buttons(widget)["Attest KILL1"].click()
    assert controls(widget)["Name"].value == TRAP and controls(widget)["Reason"].value == "", "the name is kept"
    buttons(widget)["Close"].click()
    project.attest("KILL3", "Bea", "on the command line")
    panel.look()
    assert "on the command line" in texts(widget)


def test_the_run_button_works_in_a_thread(project: Project) -> None:
    async def session() -> None:
        panel = ChecklistPanel(project, "framing")
        widget = panel.widget
        buttons(widget)["Run checks"].click()
        for _ in range(200):
            await asyncio.sleep(0.05)
            if "All 5 checks were run." in texts(widget):
                break
        assert "0 of 11" in texts(widget) or "1 of 11" in texts(widget)
        assert not buttons(widget)["Run checks"].disabled and buttons(widget)["Cancel"].disabled

    asyncio.run(session())


def test_the_twin_travels_with_the_widget(project: Project) -> None:
    bundle = project.panel("data")._repr_mimebundle_()
    assert "DQ-COMPLETENESS" in bundle["text/html"] and "application/vnd.jupyter.widget-view+json" in bundle
