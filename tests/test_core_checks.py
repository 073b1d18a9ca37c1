"""A check never raises, names what is missing, and one broken check hides no other."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlnb.core import catalog, checks
from mlnb.core.checks import Context, MissingPart, Provider, finding
from mlnb.core.errors import ConfigError, MissingError, MlnbError, did_you_mean, nearest
from mlnb.core.files import write_atomic
from mlnb.core.findings import Finding, Findings, Status, plain
from mlnb.core.fingerprint import fingerprint
from mlnb.core.project import Project


def test_every_check_of_the_methodology_answers_without_any_input() -> None:
    found = checks.run(None, Context())
    assert [f.code for f in found] == list(catalog.ITEMS)
    assert {f.status for f in found} == {Status.NOT_CHECKED}
    assert all(f.message and f.title and f.fix for f in found)


def test_phases_by_number_and_key_and_codes_in_any_case() -> None:
    assert checks.select("data") == checks.select(2) == checks.select("2")
    assert [c.code for c in checks.select(["leak04", "LEAK04", "KILL1"])] == ["LEAK04", "KILL1"]
    with pytest.raises(MlnbError, match="LEAK04"):
        checks.select("LEAK4")


def test_an_exception_in_one_check_is_an_outcome_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(context: Context) -> Finding:
        raise ZeroDivisionError("oops")

    monkeypatch.setitem(checks._VERIFIERS, "RUBRIC", broken)
    monkeypatch.setattr(checks, "resolve", lambda ref: None)
    found = checks.run(["RUBRIC", "QUICK"], Context(ledger=Findings([])))
    assert [f.code for f in found] == ["RUBRIC", "QUICK"]
    assert found[0].status is Status.NOT_CHECKED and "ZeroDivisionError: oops" in found[0].message


def test_providers_run_once_and_only_when_asked() -> None:
    calls: list[int] = []
    context = Context(data=Provider(lambda: calls.append(1) or 7))
    assert not calls
    assert (context["data"], context["data"], calls) == (7, 7, [1])

    def absent() -> object:
        raise MissingError("Run: mlnb run data")

    context = Context(train=Provider(absent))
    assert not context.has("train")
    with pytest.raises(MissingPart, match="mlnb run data"):
        context["train"]


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4), max_leaves=12))
def test_plain_is_json_and_idempotent(value: object) -> None:
    import json

    text = json.dumps(plain(value), allow_nan=False)
    assert plain(plain(value)) == plain(value)
    assert plain(json.loads(text)) == plain(value)


def test_plain_takes_what_evidence_is_made_of() -> None:
    assert plain({"a": np.int64(3), "b": np.array([1.5, np.nan]), "c": pd.Timestamp("2025-01-02"), "d": pd.NaT, 4: {2, 1}}) == {
        "a": 3, "b": [1.5, None], "c": "2025-01-02T00:00:00", "d": None, "4": [1, 2]}
    assert plain(pd.Series([1, 2])) == [1, 2]
    assert plain(pd.NA) is None


@given(st.sampled_from(list(Status)), st.floats(allow_nan=False, allow_infinity=False) | st.none(), st.text(max_size=30))
def test_a_finding_survives_its_json(status: Status, value: float | None, message: str) -> None:
    found = finding("LEAK04", status, message, value=value, columns=("a",), evidence={"x": [1, {"y": None}]})
    assert Finding.from_dict(found.to_dict()) == found


def test_findings_of_a_later_version_are_read() -> None:
    assert Finding.from_dict({"code": "X", "status": "pass", "colour": "blue"}).code == "X"


def test_nothing_from_data_reaches_html_unescaped() -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    html = Findings([Finding("A", "fail", title=evil, message=evil, columns=(evil,), fix=evil, evidence={evil: [evil, {evil: evil}]})])._repr_html_()
    assert "<script" not in html and "<img" not in html


def test_nearest_names() -> None:
    assert nearest("Chrun", ["churn", "fee"]) == ["churn"]
    assert did_you_mean("zzz", ["churn"]) == ""


def test_fingerprints_follow_content_only(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", None]})
    assert fingerprint(frame) == fingerprint(frame.copy())
    for other in (frame.iloc[::-1].reset_index(drop=True), frame.rename(columns={"a": "c"}), frame.assign(a=[1.0, 2.5])):
        assert fingerprint(frame) != fingerprint(other)
    assert fingerprint(np.array([1, 2])) != fingerprint(np.array([1.0, 2.0]))
    assert fingerprint(np.array(["a", None], dtype=object)) == fingerprint(np.array(["a", None], dtype=object))
    path = tmp_path / "f"
    path.write_text("one")
    first = fingerprint(path)
    write_atomic(path, "two")
    assert fingerprint(path) != first
    write_atomic(path, "one")
    assert fingerprint(path) == first
    stat = path.stat()
    path.write_text("six")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # the same size, and the old time set back
    assert fingerprint(path) != first


@pytest.fixture
def project(tmp_path: Path) -> Project:
    data = tmp_path / "d.csv"
    data.write_text("x,y\n" + "".join(f"{i},{i % 2}\n" for i in range(30)))
    return Project.create(tmp_path / "p", data, target="y")


def test_a_project_lists_every_check_from_the_first_day(project: Project) -> None:
    assert [f.code for f in project.findings()] == list(catalog.ITEMS)
    project.attest("DOCKER", by="A. Person", why="image built elsewhere")
    assert project.findings().get("DOCKER").status is Status.ATTESTED


def test_results_go_stale_with_their_inputs(project: Project) -> None:
    project.save_result("quality", {"total": 21}, inputs=["data"])
    assert project.result("quality", fresh=True) == {"total": 21}
    (project.path.parent / "d.csv").write_text("x,y\n1,2\n")
    assert project.result("quality", fresh=True) is None
    assert project.result("quality") == {"total": 21}


def test_a_project_is_made_once_and_says_what_is_wrong(project: Project, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a project already"):
        Project.create(project.path, tmp_path / "d.csv", target="y")
    with pytest.raises(ConfigError, match=r"Did you mean 'target'|has no option"):
        Project.create(tmp_path / "q", tmp_path / "d.csv", target="y", tragets="x")
    with pytest.raises(MlnbError, match=r"has no column 'Y'.*Did you mean 'y'"):
        Project.create(tmp_path / "q", tmp_path / "d.csv", target="Y")
    assert not (tmp_path / "q").exists()
    with pytest.raises(MissingError, match="mlnb init"):
        Project(tmp_path)


def test_a_project_moves_with_its_folder(project: Project, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (tmp_path / "d.csv").rename(moved / "d.csv")
    project.path.rename(moved / "p")
    assert Project(moved / "p").table().rows == 30
