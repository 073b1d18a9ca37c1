"""Reports: parameters, the run and all the ways it can end, the page, the index, several runs at once.

Notebooks of two cells stand in for the templates where a kernel is needed, so that each run costs a second.
"""

from __future__ import annotations

import datetime
import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from mlnb.core.checks import finding
from mlnb.core.errors import ConfigError, InputError, MissingError
from mlnb.core.findings import Findings
from mlnb.reports import batch, execution, runner
from mlnb.reports.batch import ready, run_all
from mlnb.reports.execution import Kernels, execute
from mlnb.reports.index import index_page, reports_in, write_index
from mlnb.reports.page import ReportInfo, findings_of, report_page, verdict
from mlnb.reports.runner import plan, produce, run_report
from mlnb.reports.style import shell
from mlnb.reports.templates import REPORTS, check_parameters, parameters, template, templates

NOON = datetime.datetime(2026, 3, 1, 12, 0, 0)
EVIL = "<script>alert(1)</script>"


def written(path: Path, *sources: str, defaults: str = "n: int = 1  # how many") -> Path:
    """A notebook with a cell of parameters, a title, a heading and code."""
    cells = [
        new_code_cell(defaults, metadata={"tags": ["parameters"]}),
        new_markdown_cell("# A report\n> About something."),
        new_markdown_cell("## The only part"),
        *map(new_code_cell, sources),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(new_notebook(cells=cells)))
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "a project {with} braces"
    folder.mkdir()
    (folder / "mlnb.yaml").write_text("name: Sums\ndata: data.csv\n")
    return folder


# Parameters


def test_every_template_declares_typed_parameters_with_help() -> None:
    assert list(templates()) == list(REPORTS)
    for name, path in templates().items():
        declared = parameters(path)
        assert "project" in declared, name
        for each in declared.values():
            assert each.type != "any" and each.help, (name, each)
            assert check_parameters(name, declared, {each.name: each.default}) == {each.name: each.default}


@pytest.mark.parametrize("name", ["", "absent", "absent.ipynb", "../framing", "Framing"])
def test_an_unknown_report_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="There is no report"):
        template(name)


@pytest.mark.parametrize(
    ("defaults", "given", "expected"),
    [
        ("x: int = 1", "7", 7),
        ("x: float = 1.0", "2.5e3", 2500.0),
        ("x: float = 1.0", 3, 3),
        ("x: bool = False", "No", False),
        ("x: str = ''", "true", "true"),
        ("x: list[str] = []", "a, b", ["a", "b"]),
        ("x: list[str] = []", '["a, b"]', ["a, b"]),
        ("x: list[int] = []", (1, 2), [1, 2]),
        ("x: dict[str, int] = {}", '{"a": 1}', {"a": 1}),
        ("x: str | None = None", None, None),
        ("x = 3", "4", 4),
        ("x: 'int' = 3", "4", "4"),
    ],
)
def test_values_become_json_types(tmp_path: Path, defaults: str, given: object, expected: object) -> None:
    declared = parameters(written(tmp_path / "t.ipynb", defaults=defaults))
    assert check_parameters("t", declared, {"x": given}) == {"x": expected}


def test_numbers_of_numpy_and_dates_become_json_types(tmp_path: Path) -> None:
    import numpy as np

    declared = parameters(written(tmp_path / "t.ipynb", defaults="n: int = 1\nday: str = ''\npath: str = ''"))
    told = check_parameters("t", declared, {"n": np.int64(3), "day": datetime.date(2026, 3, 1), "path": Path("a/b")})
    assert told == {"n": 3, "day": "2026-03-01", "path": "a/b"}
    assert json.loads(json.dumps(told)) == told


@pytest.mark.parametrize(
    ("defaults", "given"),
    [
        ("x: int = 1", "1.5"),
        ("x: int = 1", True),
        ("x: int = 1", None),
        ("x: bool = False", "maybe"),
        ("x: bool = False", 1),
        ("x: list[str] = []", "[1"),
        ("x: dict[str, int] = {}", "a=1"),
        ("x: str = ''", 3),
        ("x: str = ''", b"bytes"),
    ],
)
def test_values_of_another_type_are_refused(tmp_path: Path, defaults: str, given: object) -> None:
    declared = parameters(written(tmp_path / "t.ipynb", defaults=defaults))
    with pytest.raises(ConfigError, match="It takes"):
        check_parameters("t", declared, {"x": given})


def test_a_notebook_without_parameters_or_no_notebook_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text(json.dumps(new_notebook(cells=[new_code_cell("1")])))
    (tmp_path / "b.ipynb").write_text("no notebook")
    for name, message in (("a", "0 cells tagged"), ("b", "no notebook")):
        with pytest.raises(InputError, match=message):
            parameters(tmp_path / f"{name}.ipynb")


# A plan is checked before a kernel starts


def test_a_plan_refuses_before_anything_is_written(project: Path) -> None:
    own = str(written(project / "own.ipynb", "n"))
    with pytest.raises(ConfigError, match="Did you mean 'n'"):
        run_report(own, project, {"nn": 1})
    with pytest.raises(MissingError, match="is no project"):
        run_report(own, project / "absent")
    assert not (project / "reports").exists()


def test_a_file_is_understood_from_where_the_person_is(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = written(project / "own.ipynb", "current", defaults="current: str = ''  # file of a later batch\nname: str = ''  # a word")
    (project.parent / "may.csv").write_text("a\n1\n")
    monkeypatch.chdir(project.parent)
    told = plan(str(own), project, {"current": "may.csv", "name": "may.csv"}).parameters
    assert told == {"current": os.path.join("..", "may.csv"), "name": "may.csv"}
    assert plan(str(own), project, {"current": "june.csv"}).parameters == {"current": "june.csv"}  # the report says what is wrong


def test_reports_elsewhere_name_their_project(project: Path, tmp_path: Path) -> None:
    own = str(written(project / "own.ipynb", "1", defaults="project: str = ''  # folder"))
    assert plan(own, project, out=tmp_path / "elsewhere").parameters == {"project": str(project)}
    assert plan(own, project).parameters == {}


# The run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[runner.ReportResult, runner.ReportResult]:
    """A report that works and one that stops, side by side in one folder, in the same second."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "mlnb.yaml").write_text("name: Sums\ndata: data.csv\n")
    show = (
        "import sys, warnings\nfrom mlnb.core.checks import finding\nfrom mlnb.core.findings import Findings\n"
        "print('said aloud'); print('aside', file=sys.stderr); warnings.warn('careful')\n"
        f"Findings([finding('LEAK04', 'fail', {EVIL!r}, columns=({EVIL!r},)), finding('LEAK07', 'pass', 'n is ' + str(n))])"
    )
    stop = "from mlnb.core.errors import InputError\nprint('before')\nraise InputError('The target has one class only.')"
    good = written(folder / "sums.ipynb", show)
    bad = written(folder / "bad.ipynb", show, stop, "print('after')")
    results = [run_report(str(path), folder, {"n": 5}, now=NOON) for path in (good, bad)]
    return results[0], results[1]


def test_a_report_leaves_notebook_page_and_index(finished: tuple[runner.ReportResult, ...]) -> None:
    good, bad = finished
    assert good.ok and good.error == "" and good.html.name == "sums-20260301T120000.html"
    assert [f.code for f in good.findings] == ["LEAK04", "LEAK07"] and good.findings.get("LEAK07").message == "n is 5"
    assert json.loads(good.ipynb.read_text())["cells"][-1]["outputs"]
    index = (good.html.parent / "index.html").read_text()
    assert good.html.name in index and bad.html.name in index and good.ipynb.name in index


def test_the_page_shows_results_and_no_code(finished: tuple[runner.ReportResult, ...]) -> None:
    page = finished[0].html.read_text()
    assert "<h1>A report</h1>" in page and "About something." in page and "said aloud" in page
    assert "import sys" not in page and "aside" not in page and "careful" not in page
    assert "1 check failed, 1 passed" in page
    assert EVIL not in page and "<script" not in page
    outside = [url for url in re.findall(r'(?:src|href)="([^"]*)"', page) if not url.startswith(("data:", "#"))]
    assert outside == ["index.html"]


def test_a_failing_cell_is_named_and_leaves_what_there_is(finished: tuple[runner.ReportResult, ...]) -> None:
    bad = finished[1]
    assert not bad.ok and bad.error == "Cell [4] (“The only part”) failed. The target has one class only."
    cells = json.loads(bad.ipynb.read_text())["cells"]
    assert any("before" in str(cell.get("outputs")) for cell in cells) and "Traceback" in str(cells)
    page = bad.html.read_text()
    assert "Incomplete. 1 check failed" in page and "one class only" in page and "before" in page
    assert "Traceback" not in page and "papermill" not in page


def test_a_defect_is_told_from_an_answer_to_the_input(tmp_path: Path) -> None:
    done = execute(written(tmp_path / "t.ipynb", "{}['absent']"), tmp_path / "out.ipynb", {}, tmp_path)
    assert done.error.startswith("Cell [2] (“The only part”) failed. KeyError: 'absent'. This is a defect")


def test_a_kernel_is_this_interpreter_in_the_given_folder(tmp_path: Path) -> None:
    source = "import os, sys; [sys.executable, os.getcwd(), os.environ['MLNB_NOTEBOOK'], sys.path[0]]"
    done = execute(written(tmp_path / "t.ipynb", source), tmp_path / "out.ipynb", {}, tmp_path)
    shown = eval(done.notebook.cells[-1].outputs[0].data["text/plain"])
    assert shown[:3] == [sys.executable, str(tmp_path.resolve()), "out.ipynb"] and shown[3] not in ("", str(tmp_path))


def test_a_dying_kernel_is_reported_with_its_last_words(tmp_path: Path) -> None:
    source = "import os; os.write(2, b'terminate called: out of buckets\\n'); os._exit(3)"
    done = execute(written(tmp_path / "t.ipynb", "1", source), tmp_path / "out.ipynb", {}, tmp_path)
    assert done.error.startswith("Cell [3] (“The only part”) did not finish. The kernel ended with code 3.")
    assert "out of buckets" in done.error
    assert json.loads((tmp_path / "out.ipynb").read_text())["cells"][-2]["outputs"][0]["data"]["text/plain"] == ["1"]


def test_a_second_run_in_the_same_second_gets_a_number(project: Path) -> None:
    own = written(project / "own.ipynb")
    places = [runner._reserve(plan(str(own), project, now=NOON)) for _ in range(3)]
    assert [p.name for p in places] == ["own-20260301T120000.ipynb", "own-20260301T120000-2.ipynb", "own-20260301T120000-3.ipynb"]


# Places that take no file


def test_an_unwritable_folder_is_an_error_and_nothing_is_left(project: Path, tmp_path: Path) -> None:
    own = str(written(project / "own.ipynb", "1"))
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file" / "reports", Path("/proc/mlnb/reports")):
        with pytest.raises(InputError, match="Cannot write"):
            run_report(own, project, out=out)


def test_a_full_disk_loses_no_earlier_report(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = str(written(project / "own.ipynb", "n"))
    first = run_report(own, project, now=NOON)
    before = {path.name: path.read_bytes() for path in first.html.parent.glob("*.*")}

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    import papermill.iorw

    for place, name in ((papermill.iorw.LocalHandler, "write"), (os, "fsync")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, full)
            with pytest.raises(InputError, match="No space left on device"):
                run_report(own, project, now=NOON)
    after = {path.name: path.read_bytes() for path in first.html.parent.glob("*.*")}
    assert {name: after[name] for name in before} == before
    assert all(json.loads(path.read_bytes()) for path in first.html.parent.glob("*.ipynb"))  # no torn notebook


# Several reports


def test_what_waits_for_what() -> None:
    assert ready(["training", "data", "framing"], ["training", "data", "framing"]) == ["data", "framing"]
    assert ready(["monitoring"], ["monitoring"]) == ["monitoring"]  # nothing it needs was asked for
    assert ready(["scorecard"], ["scorecard", "framing"]) == []


def replaced(monkeypatch: pytest.MonkeyPatch, run: object) -> None:
    monkeypatch.setattr(batch, "produce", run)


def test_reports_run_side_by_side_and_in_order(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running, most, order = set(), [0], []
    lock = threading.Lock()

    def run(wanted: runner.Plan, kernels: Kernels) -> runner.ReportResult:
        with lock:
            running.add(wanted.name)
            most[0] = max(most[0], len(running))
            order.append(wanted.name)
        time.sleep(0.02)
        running.remove(wanted.name)
        return runner.ReportResult(wanted.name, None, None)

    replaced(monkeypatch, run)
    results = run_all(project, jobs=2)
    assert [r.name for r in results] == list(REPORTS) and most == [2]
    assert order[0] == "data" and order[-1] == "scorecard" and order.index("training") < order.index("evaluation")


def test_what_needs_a_broken_report_is_skipped_and_the_rest_runs(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, bool | None]] = []

    def run(wanted: runner.Plan, kernels: Kernels) -> runner.ReportResult:
        if wanted.name == "training":
            raise InputError("Cannot write it.")
        return runner.ReportResult(wanted.name, None, None)

    replaced(monkeypatch, run)
    results = {r.name: r for r in run_all(project, tell=lambda name, result: told.append((name, result and result.ok)))}
    assert results["training"].error == "Cannot write it."
    assert results["evaluation"].error == "Skipped, since training did not finish."
    assert results["error_analysis"].error == "Skipped, since evaluation did not finish."
    assert results["scorecard"].ok and results["framing"].ok
    assert ("training", None) in told and ("training", False) in told and ("evaluation", None) not in told


def test_two_runs_in_one_project_at_once(project: Path) -> None:
    source = "from mlnb.core.project import Project\nfrom mlnb.core.checks import finding\nfrom mlnb.core.findings import Findings\nimport os\n"
    source += "p = Project('.')\nfor i in range(20): p.ledger.append([finding('LEAK04', 'pass', str(os.getpid()))], 'run')\n"
    own = str(written(project / "own.ipynb", source))
    results: list[runner.ReportResult] = []
    threads = [threading.Thread(target=lambda: results.append(run_report(own, project, now=NOON))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    from mlnb.core.ledger import Ledger

    ledger = Ledger(project / "ledger.jsonl")
    assert all(result.ok for result in results) and len({result.html for result in results}) == 2
    assert len(ledger.entries()) == 40 and ledger.problems() == []
    index = (project / "reports" / "index.html").read_text()
    assert len(reports_in(project / "reports")) == 2 and all(result.html.name in index for result in results)


def test_stopping_kernels_leaves_a_partial_notebook(project: Path) -> None:
    own = written(project / "own.ipynb", "'done'", "open('started', 'w').close()\nimport time; time.sleep(60)")
    kernels, results = Kernels(), []
    thread = threading.Thread(target=lambda: results.append(produce(plan(str(own), project, now=NOON), kernels)))
    thread.start()
    waited(project / "started")
    kernels.stop()
    thread.join(20)
    (result,) = results
    assert not result.ok and result.error == "Cell [3] (“The only part”) did not finish. It was interrupted."
    assert json.loads(result.ipynb.read_text())["cells"][-2]["outputs"] and "interrupted" in result.html.read_text()


def waited(path: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path.name} did not appear"
        time.sleep(0.05)


@pytest.mark.e2e
def test_ctrl_c_ends_the_kernel_keeps_the_notebook_and_says_so(project: Path) -> None:
    own = written(project / "own.ipynb", "'done'", "import os, time; open('started', 'w').write(str(os.getpid())); time.sleep(60)")
    command = [sys.executable, "-c", "from mlnb.cli import main; main()", "run", str(own), "--project", str(project), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    waited(project / "started")
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=180)
    kernel = int((project / "started").read_text())
    assert process.returncode == 130 and "Interrupted" in err and "Traceback" not in err
    assert json.loads(out) == {"error": "interrupted", "exit_code": 130}
    with pytest.raises(ProcessLookupError):
        os.kill(kernel, 0)
    (notebook,) = (project / "reports").glob("*.ipynb")
    assert json.loads(notebook.read_text())["cells"][-2]["outputs"] and (project / "reports" / "index.html").exists()


# The page


def output(findings: Findings) -> dict:
    return new_output("display_data", data=findings._repr_mimebundle_())


def test_the_last_word_on_a_check_counts() -> None:
    first = Findings([finding("LEAK04", "fail", "a"), finding("LEAK04", "warn", "b")])
    book = new_notebook(cells=[new_code_cell("", outputs=[output(first), output(Findings([finding("LEAK07", "pass", "c")]))])])
    assert [f.message for f in findings_of(book)] == ["a", "b", "c"]
    book.cells.append(new_code_cell("", outputs=[output(Findings([finding("LEAK04", "pass", "d")]))]))
    assert [f.message for f in findings_of(book)] == ["d", "c"]


def test_the_verdict_puts_failures_first_and_stops_at_five() -> None:
    codes = ["DQ-TIMELINESS", "DQ-RELEVANCE", "DQ-VOLUME", "DQ-ACCURACY", "DQ-CONSISTENCY", "LEAK07"]
    found = Findings([*(finding(code, "warn", "w") for code in codes), finding("LEAK04", "fail", f"{EVIL} in `data.csv`")])
    html = verdict(found)
    steps = re.findall(r"<li><b>([^<]*)</b>", html)
    assert steps[0] == "LEAK04" and len(steps) == 5 and "1 check failed, 6 warnings" in html
    assert EVIL not in html and "<code>data.csv</code>" in html
    assert "All checks passed" in verdict(Findings([finding("LEAK04", "pass", "")]))
    assert "holds no checks" in verdict(Findings())


def test_nothing_in_a_page_breaks_out(tmp_path: Path) -> None:
    evil = f'"\'>{EVIL}'
    book = new_notebook(
        cells=[
            new_markdown_cell(f"# {evil}\n> {evil}\n\ntext {evil}\n\n## {evil}\n\n## Two"),
            new_code_cell("", outputs=[new_output("stream", name="stdout", text=evil)]),
            new_code_cell("", outputs=[new_output("display_data", data={"text/plain": evil})]),
        ]
    )
    info = ReportInfo(evil, evil, "2026-03-01T12:00:00", error=evil, title=evil)
    page = report_page(book, info)
    assert "<script" not in page and ReportInfo.from_page(page) == info
    (tmp_path / "a.html").write_text(page)
    assert "<script" not in index_page(reports_in(tmp_path))
    assert "script-src" not in page and "default-src 'none'" in page


def test_headings_become_contents_with_ids_of_their_own() -> None:
    book = new_notebook(cells=[new_markdown_cell("# T\n\n## Same\n\n## Same\n\n### Deeper")])
    page = report_page(book, ReportInfo("t", "p", "2026-03-01T12:00:00"))
    assert re.findall(r'<a href="#(part-\d)">Same</a>', page) == ["part-1", "part-2"] and page.count('id="part-') == 2


def test_a_page_is_one_file_in_two_schemes() -> None:
    page = shell("t", "")
    assert "prefers-color-scheme: dark" in page and "@media print" in page and 'lang="en"' in page
    assert not re.search(r"https?://|@import|url\(", page)


# The index


def test_the_index_knows_what_is_there_and_nothing_else(tmp_path: Path) -> None:
    for day in range(1, 4):
        info = ReportInfo("data", "P", f"2026-03-0{day}T12:00:00", summary={"pass": day})
        (tmp_path / f"data-{day}.html").write_text(shell("t", "", info.to_meta()))
    (tmp_path / "other.html").write_text("<html>")
    (tmp_path / "broken.html").write_bytes(b'\xff<meta name="mlnb-report" content="{">')
    page = write_index(tmp_path).read_text()
    assert re.findall(r'href="(data-\d)\.html"', page) == ["data-3", "data-2", "data-1"] and "other.html" not in page
    (tmp_path / "data-3.html").unlink()
    assert "data-3" not in write_index(tmp_path).read_text()
    assert "no reports yet" in index_page([])


def test_the_slow_grammar_stays_out() -> None:
    code = "import sys\nfrom mlnb.reports.execution import _load\n_load()\n"
    code += "print('rfc3987_syntax' in sys.modules, 'papermill' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_a_kernel_that_starts_after_the_stop_ends_at_once() -> None:
    kernels = Kernels()
    kernels.stop()
    late = subprocess.Popen(["sleep", "30"], start_new_session=True)
    kernels.add(late)
    assert late.wait(5) == -signal.SIGKILL and execution.Kernels is Kernels


@pytest.mark.browser
def test_the_pages_run_nothing_and_ask_for_nothing(chromium: str, finished: tuple[runner.ReportResult, ...]) -> None:
    from playwright.sync_api import sync_playwright

    seen: list[str] = []

    def dismissed(dialog: object) -> None:
        seen.append(f"dialog {dialog.message}")
        dialog.dismiss()

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for scheme, paper in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 24, 30)")):
            page = browser.new_page(color_scheme=scheme)
            page.on("dialog", dismissed)
            page.on("request", lambda request: seen.append(request.url))
            page.on("console", lambda message: seen.append(f"console {message.text}"))
            for result in finished:
                page.goto(result.html.as_uri())
                assert page.locator("h1").count() == 1
                assert page.evaluate("getComputedStyle(document.body).backgroundColor") == paper
            page.click("text=All reports")
            assert page.locator("table a").count() == 4
        browser.close()
    assert [url for url in seen if not url.startswith(("file:", "data:"))] == []


# The comparison


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one finished run and one that was killed."""
    import numpy as np
    import pandas as pd

    from mlnb.core.project import Project
    from mlnb.data.holdout import seal
    from mlnb.experiments.files import amend_experiment
    from mlnb.experiments.training import train

    folder, rng = tmp_path_factory.mktemp("compared"), np.random.default_rng(1)
    people = pd.DataFrame({"months": rng.integers(1, 72, 400), "plan": rng.choice(["a", "b"], 400)})
    people["left"] = (rng.random(400) < 1 / (1 + np.exp(0.09 * people["months"] - 2.5))).astype(int)
    people.to_csv(folder / "people.csv", index=False)
    project = Project.create(folder / "small", folder / "people.csv", "left", protected=("plan",))
    seal(project)
    train(project, "Boosted trees beat the constant", folds=3, n_resamples=60, now=1.77e9)
    amend_experiment(project, "EXP-2026-02-01-001", status="killed", hypothesis="It never ended", error="Its process ended before it was finished.")
    return project.path


def test_the_comparison_says_what_to_do_with_one_run_and_compares_two(compared: Path) -> None:
    alone = run_report("comparison", compared, now=NOON)
    page = alone.html.read_text()
    assert alone.ok and "is the only finished run of left" in page and "mlnb run comparison -p other model.skops" in page
    assert [f.status for f in alone.findings if f.code == "EVAL05"] == ["not_checked"] and "<img" not in page.split("Every threshold</h2>")[1].split("<h2")[0]

    from mlnb.core.project import Project
    from mlnb.experiments.training import train

    train(Project(compared), "Another seed changes nothing", folds=3, n_resamples=60, random_state=1, now=1.77e9)
    both = run_report("comparison", compared, now=NOON)
    page = both.html.read_text()
    assert both.ok and {f.code: f.status for f in both.findings}["EVAL05"] in ("pass", "warn")
    for part in ("DeLong", "neither had seen", "plan: a", "Another seed changes nothing", "killed"):
        assert part in page, part
    assert page.count("<img") >= 4 and "comparison-" in (both.html.parent / "index.html").read_text()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"second": "EXP-2026-02-01-001"}, "is killed, so it has no scores to compare"),
        ({"first": "EXP-2020-01-01-001"}, "There is no experiment"),
        ({"other": "absent.skops"}, "absent.skops"),
    ],
)
def test_what_cannot_be_compared_leaves_a_page_that_says_why(compared: Path, given: dict[str, str], said: str) -> None:
    broken = run_report("comparison", compared, given, now=NOON)
    assert not broken.ok and said in broken.error and "defect" not in broken.error and "Incomplete" in broken.html.read_text()


def test_a_choice_of_features_does_not_go_out_of_date_with_another_record() -> None:
    from mlnb.core.project import needed_inputs

    now = {f"record:{name}": "1" for name in ("feature_plan", "experiment", "model_card")} | {"data": "1", "holdout": "1", "config": "1"}
    assert set(needed_inputs("FE-NUM", now)) == {"record:feature_plan", "data", "holdout", "config"}
    assert {"record:experiment", "record:model_card"} <= set(needed_inputs("COST", now))
