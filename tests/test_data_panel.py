"""The data panel without a browser: what the data sets, what a person changes, and what is still there afterwards."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_core_forms import TRAP, buttons, controls, texts

from mlnb.core.findings import Status
from mlnb.core.items_data import DQ_DIMENSIONS
from mlnb.core.project import Project
from mlnb.data.holdout import open_holdout
from mlnb.data.panel import DataPanel
from mlnb.data.panel_state import STEPS, DataState

COLUMNS = ["self", "by", "d.o.t", "a'b", 'q"q', "🎯", TRAP]


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of a small table with a leak and columns of hostile names; every step has run."""
    folder, rng = tmp_path_factory.mktemp("panel"), np.random.default_rng(0)
    frame = pd.DataFrame({name: rng.normal(size=500).round(3) if i % 2 else rng.choice(["u", "v", ""], 500) for i, name in enumerate(COLUMNS)})
    frame["churned"] = rng.choice(["yes", "no"], 500)
    frame["code"] = frame["churned"].map({"yes": "k7", "no": "k2"})
    frame.to_csv(folder / "churn.csv", index=False)
    project = Project.create(folder / "churn", folder / "churn.csv", target="churned", name=f"churn {TRAP}")
    state = DataState(project)
    state.run()
    assert state.doing == f"All {len(STEPS)} steps are done." and not state.running and state.progress == 1
    return folder


@pytest.fixture
def project(computed: Path, tmp_path: Path) -> Project:
    """A copy of it."""
    shutil.copytree(computed, tmp_path / "x")
    return Project(tmp_path / "x" / "churn")


@pytest.fixture
def fresh(computed: Path, tmp_path: Path) -> Project:
    """A project of the same table in which nothing was computed."""
    return Project.create(tmp_path / "new", computed / "churn.csv", target="churned")


def wait(said: Callable[[], Any]) -> None:
    for _ in range(400):
        if said():
            return
        time.sleep(0.025)
    raise AssertionError("it did not come")


def test_before_anything_is_computed(fresh: Project) -> None:
    panel = fresh.panel("data")
    assert isinstance(panel, DataPanel)
    shown = texts(panel.widget)
    assert "Nothing is measured yet; 18 of 30 points are needed." in shown and "Nothing is sealed yet" in shown and "The columns appear here after a run" in shown
    assert all(panel.state.points(name) is None for name in DQ_DIMENSIONS) and "Nothing is measured yet" in panel._repr_html_()


def test_the_data_sets_the_sliders(project: Project) -> None:
    panel, record = DataPanel(project), project.record("data_quality")
    named = controls(panel.widget)
    for name in DQ_DIMENSIONS:
        score = getattr(record.dimensions, name).score
        assert panel.state.computed(name) == score
        assert named[name.capitalize()].value == pytest.approx(score or 0.0, abs=0.051)
    found = project.findings()
    assert found.get("DQ-COMPLETENESS").value == pytest.approx(record.dimensions.completeness.score, abs=0.01)
    assert panel.state.total == pytest.approx(sum(getattr(record.dimensions, n).score or 0 for n in DQ_DIMENSIONS)) and "Not measured: timeliness" in panel.state.gate
    assert "random split" in texts(panel.widget) or "stratified split" in texts(panel.widget)
    assert "Nobody has looked at it." in texts(panel.widget)
    assert found.get("LEAK04").status is Status.FAIL and found.get("LEAK04").columns == ("code",)


def test_a_score_is_adjusted_with_a_reason_and_a_name_or_not_at_all(project: Project) -> None:
    panel = DataPanel(project, pause=0.0)
    named, state = controls(panel.widget), panel.state
    before = state.computed("volume")
    total = state.total
    named["Volume"].value = before + 1.0
    wait(lambda: state.wanted)
    assert "Not saved: volume needs a reason and a name." in texts(panel.widget) and set(state.lacks("volume")) == {"reason", "by"}
    assert project.record("data_quality").dimensions.volume.adjusted is None, "nothing is kept without a reason"
    named["Reason for volume"].value = f"twice as many in May {TRAP}"
    assert project.record("data_quality").dimensions.volume.adjusted is None and set(state.lacks("volume")) == {"by"}
    named["Who adjusts volume"].value = "Ada"
    kept = project.record("data_quality").dimensions.volume
    assert (kept.score, kept.by, kept.reason) == (before, "Ada", f"twice as many in May {TRAP}") and kept.adjusted == pytest.approx(before + 1.0, abs=0.051)
    assert state.total == pytest.approx(total + kept.adjusted - before) and f"computed {before:.1f} · adjusted {kept.adjusted:.1f}" in texts(panel.widget)
    noted = project.findings().get("DQ-VOLUME")
    assert noted.value == pytest.approx(kept.adjusted) and f"Adjusted from {before:.2f}"[:17] in noted.message and noted.evidence["computed"] == pytest.approx(before, abs=0.01)
    assert project.result("quality")["total"] == pytest.approx(state.total, abs=0.05)
    assert TRAP not in texts(panel.widget) + panel._repr_html_()
    buttons(panel.widget)["Back to computed volume"].click()
    assert project.record("data_quality").dimensions.volume.adjusted is None and "Adjusted" not in project.findings().get("DQ-VOLUME").message
    assert state.total == pytest.approx(total)


def test_a_slider_on_the_computed_score_is_no_adjustment(project: Project) -> None:
    state = DataState(project)
    assert not state.adjust("accuracy", 1.0, by="Ada") and state.wanted
    assert state.adjust("accuracy", state.computed("accuracy")) and not state.wanted
    assert project.record("data_quality").dimensions.accuracy.adjusted is None
    with pytest.raises(Exception, match="no dimension 'acuracy'"):
        state.want("acuracy", 1.0)


def test_a_leak_is_accepted_with_a_reason_and_opens_again(project: Project) -> None:
    panel = DataPanel(project)
    buttons(panel.widget)["Accept LEAK04"].click()
    buttons(panel.widget)["Sign LEAK04"].click()
    assert project.findings().get("LEAK04").status is Status.FAIL and "Who signs?" in texts(panel.widget), "nothing is signed without a name"
    named = controls(panel.leaks.widget)
    named["Name"].value, named["Reason"].value = f"Ada {TRAP}", "goes with the next extract"
    buttons(panel.widget)["Sign LEAK04"].click()
    signed = project.findings().get("LEAK04")
    assert signed.status is Status.ATTESTED and signed.evidence["attestation"] == {"by": f"Ada {TRAP}", "why": "goes with the next extract", "until": None, "waiver": True}
    assert "Accepted by Ada" in texts(panel.widget) and TRAP not in texts(panel.widget) + panel._repr_html_()
    assert "Accepted by Ada" in texts(Project(project.path).panel("data").widget), "a new panel knows it"
    data = project.path.parent / "churn.csv"
    frame = pd.read_csv(data)
    frame.iloc[:-1].to_csv(data, index=False)
    assert Project(project.path).findings().get("LEAK04").status is not Status.PASS, "other data is another leak"


def test_an_accepted_leak_opens_again_after_its_day(project: Project) -> None:
    project.attest("LEAK04", "Ada", "for March", until="2020-03-31", waive=True)
    assert project.findings().get("LEAK04").status is Status.FAIL
    panel = DataPanel(project)
    assert "Accept LEAK04" in buttons(panel.widget) and project.findings().get("LEAK04").evidence["attestation"]["expired"]


def test_a_new_panel_knows_what_the_last_one_saved_and_what_others_wrote(project: Project) -> None:
    assert DataState(project).adjust("relevance", 2.5, "seen in the pilot", "Grace")
    again = DataPanel(Project(project.path))
    assert controls(again.widget)["Relevance"].value == 2.5 and controls(again.widget)["Reason for relevance"].value == "seen in the pilot"
    record = project.record("data_quality")
    record.dimensions.accuracy.reason, record.dimensions.accuracy.by, record.dimensions.accuracy.adjusted = "a new meter", "Alan", 4.0
    project.save_record("data_quality", record)
    open_holdout(project).rows(why=f"final {TRAP}", by="Grace")
    again.look()
    assert controls(again.widget)["Accuracy"].value == 4.0
    assert "final " in texts(again.widget) and TRAP not in texts(again.widget)


def test_columns_of_any_name_are_found_and_nothing_becomes_html(project: Project) -> None:
    panel = DataPanel(project)
    assert {card.name for card in panel.state.cards} == {*COLUMNS, "churned", "code"}
    shown = panel._repr_html_()
    assert TRAP not in texts(panel.widget) + shown and "<script" not in shown and "<style" not in shown
    panel.state.search = "img src"
    assert "onerror" in panel.cards() and "<img src=x" not in panel.cards() and "d.o.t" not in panel.cards()
    panel.state.search = "no such column"
    assert "No column matches" in panel.cards()


def test_a_run_can_be_cancelled_and_a_broken_step_hides_no_other(fresh: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    state, done = DataState(fresh), []

    def first(state: DataState) -> None:
        done.append("a")
        state.cancel()

    def broken(state: DataState) -> None:
        raise ZeroDivisionError(TRAP)

    monkeypatch.setattr("mlnb.data.panel_state.STEPS", (("a", "Doing a", first), ("b", "Doing b", lambda s: done.append("b"))))
    state.run()
    assert done == ["a"] and state.doing == "1 of 2 steps are done." and not state.running
    monkeypatch.setattr("mlnb.data.panel_state.STEPS", (("b", "Doing b", broken), ("c", "Doing c", lambda s: done.append("c"))))
    panel = DataPanel(fresh)
    shown = panel.widget
    panel.start().join()
    assert done == ["a", "c"] and "Doing b broke off: ZeroDivisionError" in texts(shown) and TRAP not in texts(shown)


def test_a_project_whose_data_is_gone_says_so_in_each_step(fresh: Project, tmp_path: Path) -> None:
    lost = Project.create(tmp_path / "lost", _copy(fresh, tmp_path / "t.csv"), target="churned")
    (tmp_path / "t.csv").unlink()
    panel = DataPanel(lost)
    panel.start().join()
    assert panel.state.doing.count("There is no file") >= 3 and "Nothing is measured yet" in panel._repr_html_()


def _copy(project: Project, to: Path) -> Path:
    project.table().frame().head(60).to_csv(to, index=False)
    return to


def test_a_broken_record_is_shown_and_kept(project: Project) -> None:
    path = project.path / "records" / "data_quality.yaml"
    path.write_text(path.read_text().replace("dimensions:", "dimension:"))
    before, panel = path.read_text(), DataPanel(project)
    assert panel.state.problem and "dimension" in panel._repr_html_()
    panel.state.adjust("volume", 5.0, "why not", "Ada")
    assert path.read_text() == before
