"""The catalog: every item and table is there, is complete, and says things in its own words."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mlnb.core import catalog, items_cost, items_data, items_deployment, items_framing, items_monitoring, items_rubric
from mlnb.core.checks import _VERIFIERS, PARTS
from mlnb.core.errors import InputError
from mlnb.core.items import DecisionTable, Item


def _numbered(stem: str, last: int, width: int = 2) -> list[str]:
    return [f"{stem}{number:0{width}}" for number in range(1, last + 1)]


IDS = {
    1: ["FRAME-BRIEF", "FRAME-RULES", *_numbered("KILL", 3, 1)],
    2: [*(f"DQ-{name}" for name in ("COMPLETENESS", "ACCURACY", "CONSISTENCY", "TIMELINESS", "RELEVANCE", "VOLUME")),
        "FE-NUM", "FE-CAT", "FE-TIME", "FE-TEXT", "FE-INTER", "FS-OFFLINE", "FS-ONLINE", "FS-REGISTRY", *_numbered("LEAK", 8),
        *_numbered("DATA", 16)],
    3: ["EXP-RECORD", "EXP-SELECT", "TUNE"],
    4: ["METRIC", *_numbered("EVAL", 10), *_numbered("SKEW", 4, 1), *_numbered("MODEL", 21)],
    5: ["DEPLOY-TREE", "SERVE-CONFIG", "SERVE-RELIABILITY", "DOCKER", "ABTEST"],
    6: ["LLM-ARCH", "LLM-SELECT", "RAG", *_numbered("RAG", 9), "LLM-COST"],
    7: ["MON-CONFIG", "DRIFT-FEATURE", "DRIFT-CONCEPT", "DRIFT-LABEL", "DRIFT-PREDICTION", "RETRAIN"],
    8: ["PLATFORM", "CICD", "REGISTRY"],
    9: [*_numbered("BIAS", 8), "CARD"],
    10: ["GPU", "INFER", "COST"],
    11: ["RUBRIC", *_numbered("MIST", 10), "QUICK"],
}
ROWS = {
    "rules_or_ml": 6, "dq_anchors": 6, "feature_patterns": 17, "store_docs": 6, "leakage": 8, "integrity": 16, "model_selection": 9,
    "tuning_strategy": 4, "search_spaces": 4, "metrics": 7, "skew": 4, "model": 21, "deploy_tree": 4, "serving": 7, "ab_decision": 3,
    "llm_architecture": 4, "llm_selection": 6, "rag_checklist": 9, "llm_cost": 7, "drift_playbook": 5, "retraining": 5,
    "platform": 8, "cicd": 3, "registry": 3, "bias": 8, "gpu": 5, "inference": 9, "cost": 4, "rubric": 8, "bands": 4,
    "mistakes": 10, "quick_commands": 12,
}
LOGIC = {
    "FRAME-BRIEF": "framing.brief", "FRAME-RULES": "framing.rules", "KILL1": "framing.kill", "KILL2": "framing.kill",
    "KILL3": "framing.kill", "LEAK02": "data.leak_preparation", "LEAK03": "data.leak_preparation", "LEAK08": "data.leak_preparation",
    "LEAK01": "data.leakage", "LEAK04": "data.leakage", "LEAK05": "data.leakage", "LEAK06": "data.holdout",
    "LEAK07": "data.leakage", "EXP-RECORD": "experiments.tracking", "EXP-SELECT": "experiments.selection", "TUNE": "experiments.tuned",
    "METRIC": "evaluation.metrics", "EVAL01": "data.holdout", "EVAL09": "evaluation.errors", "RUBRIC": "rubric.score",
    **{f"FE-{name}": "data.features_checks" for name in ("NUM", "CAT", "TIME", "TEXT", "INTER")},
    **{f"DQ-{name.upper()}": "data.quality" for name in items_data.DQ_DIMENSIONS},
    **{f"DATA{number:02}": "data.integrity" for number in range(1, 17)},
    **{f"EVAL{number:02}": "evaluation.evaluate" for number in (2, 3, 4, 5, 6, 7, 8, 10)},
    **{f"MODEL{number:02}": "evaluation.model_checks" for number in range(1, 22)},
    **{f"SKEW{number}": "evaluation.skew" for number in range(1, 5)},
    **dict.fromkeys(("FS-OFFLINE", "FS-ONLINE", "FS-REGISTRY"), "data.store_checks"),
    "MON-CONFIG": "monitoring.watch_plan", "RETRAIN": "monitoring.retraining",
    **{f"DRIFT-{name}": "monitoring.drift" for name in ("FEATURE", "CONCEPT", "LABEL", "PREDICTION")},
}
ITEMS = list(catalog.ITEMS.values())
TABLES = list(catalog.TABLES.values())


def _words(text: str) -> list[str]:
    "The words of a text; names of parameters and steps are no words."
    return [word for word in re.findall(r"[a-z0-9_]+", text.lower()) if "_" not in word]


def _texts(item: Item) -> dict[str, str]:
    return {name: getattr(item, name) for name in ("title", "why", "fix", "how", "missing")}


def test_every_item_is_there_in_order_and_phase() -> None:
    assert list(catalog.ITEMS) == [id for phase in IDS.values() for id in phase]
    for number, ids in IDS.items():
        assert [item.id for item in catalog.items(number)] == ids


def test_the_written_list_names_the_same_items(shared_data) -> None:
    text = shared_data("../methodology.md").read_text()
    found: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or cells[0] in ("id", "") or set(cells[0]) <= {"-", ":"}:
            continue
        stem = ""
        for word in re.sub(r"\([^)]*\)", "", cells[0]).split(","):
            word = word.strip()
            word = f"{stem}{word}" if word.startswith("-") else word
            stem = word.split("-")[0]
            span = re.fullmatch(r"([A-Z]+)(\d+)[–-](\d+)", word)
            numbers = range(int(span[2]), int(span[3]) + 1) if span else ()
            found += [f"{span[1]}{number:0{len(span[2])}}" for number in numbers] or [word]
    beyond = {*_numbered("DATA", 16), *_numbered("MODEL", 21)}  # mlnb's own codes, which the written methodology does not list
    assert sorted(found) == sorted(set(catalog.ITEMS) - beyond) and beyond <= set(catalog.ITEMS)


def test_every_table_is_there_with_its_rows() -> None:
    assert {table.id: len(table.rows) for table in TABLES} == ROWS


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.id)
def test_an_item_is_complete(item: Item) -> None:
    for name, text in _texts(item).items():
        assert len(text) >= 15 and text == text.strip(), name
    assert not item.title.endswith(".")
    for name in ("why", "fix", "how", "missing"):
        assert getattr(item, name).endswith("."), name
    assert item.kind in ("auto", "auto+attest", "attest")
    assert item.severity in ("info", "low", "medium", "high", "critical")
    assert set(item.needs) <= set(PARTS)
    assert item.logic == LOGIC.get(item.id, "")


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.id)
def test_a_table_is_complete(table: DecisionTable) -> None:
    assert table.columns[0] == "id" and 1 <= table.phase <= 11 and table.title
    assert all(len(row) == len(table.columns) and all(cell.strip() for cell in row) for row in table.rows)
    assert len({row[0] for row in table.rows}) == len(table.rows)
    assert table.frame().shape == (len(table.rows), len(table.columns))
    assert table.to_dict()["rows"] == table.records() and table.title in table._repr_html_()


def test_rows_have_ids_of_their_own() -> None:
    checklists = {"leakage", "integrity", "model", "rag_checklist", "bias", "skew", "mistakes", "dq_anchors"}  # rows are items
    own = [row[0] for table in TABLES if table.id not in checklists for row in table.rows]
    assert len(own) == len(set(own)) and not set(own) & set(catalog.ITEMS)
    assert {row[0] for name in checklists for row in catalog.table(name).rows} <= set(catalog.ITEMS)
    assert {"FE-NUM1", "METRIC3", "GPU2", "INFER7", "RUBRIC5", "QUICK12", "PLATFORM4"} <= set(own)


def test_logic_modules_have_their_verifiers(root: Path) -> None:
    phases = {phase.key for phase in catalog.PHASES}
    for item in ITEMS:
        group, _, module = item.logic.partition(".")
        if item.logic and (root / "mlnb" / group / f"{module}.py").exists():
            importlib.import_module(f"mlnb.{item.logic}")
            assert group in phases and item.id in _VERIFIERS, f"{item.logic} has no verifier of {item.id}"


def test_anchors_lead_to_a_heading_of_a_page(root: Path) -> None:
    import nbformat

    headings: dict[str, set[str]] = {}
    for path in root.glob("nbs/00g*_core.items_*.ipynb"):
        cells = nbformat.read(path, 4).cells
        texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
        shown = [output.data for cell in cells for output in cell.get("outputs", []) if "data" in output]
        texts += ["".join(data.get("text/markdown", "")) for data in shown]
        page = path.stem.split("_", 1)[1]
        headings[f"{page}.html"] = {match.strip().lower() for text in texts for match in re.findall(r"^#+ (.+)$", text, re.M)}
    for entry in (*ITEMS, *TABLES):
        page, _, heading = entry.anchor.partition("#")
        assert heading in headings[page], entry.anchor


def test_weights_bands_and_limits() -> None:
    weights = list(items_rubric.RUBRIC_WEIGHTS.values())
    assert weights == [15, 15, 15, 15, 10, 15, 5, 10] and sum(weights) == 100
    assert [low for low, _ in items_rubric.BANDS] == [80, 60, 40, 0]
    assert items_data.DQ_GATE == 18 and items_data.DQ_MAX * len(items_data.DQ_DIMENSIONS) == 30
    assert dict(items_framing.KILL_LIMITS) == {"KILL1": 0.90, "KILL2": 14, "KILL3": 0.10}
    limits = items_monitoring.DRIFT_LIMITS
    assert (limits["psi_warning"], limits["psi_alert"], limits["psi_critical"]) == (0.1, 0.2, 0.25)
    assert limits["performance_drop"] == 0.05 and limits["kl_prediction"] == 0.1
    assert [row["vram_gb"] for row in items_cost.GPUS.values()] == [24, 80, 16, 40, 80]
    assert items_deployment.AB_MIN_DAYS == 7 and items_monitoring.CANARY_STEPS == (5, 25, 50, 100)


def test_the_playbook_says_the_same_in_words_and_numbers() -> None:
    for row, words in zip(items_monitoring.PLAYBOOK, catalog.table("drift_playbook").records(), strict=True):
        limit = row.get("above", row.get("below"))
        assert row["id"] == words["id"] and row["severity"] == words["severity"] and row["item"] in catalog.ITEMS
        assert f"{limit:g}" in words["detected by"] or f"{limit * 100:g} %" in words["detected by"]


def test_the_deploy_tree_reaches_each_leaf_of_its_table() -> None:
    def leaves(node) -> list[str]:
        return [node["leaf"]] if "leaf" in node else leaves(node["yes"]) + leaves(node["no"])

    assert leaves(items_deployment.DEPLOY_TREE) == [row[0] for row in catalog.table("deploy_tree").rows]


def test_quick_commands_name_things_that_exist() -> None:
    reports = {"framing", "data", "training", "comparison", "evaluation", "error_analysis", "monitoring", "scorecard", "all"}
    topics = set(catalog.TABLES) | {id.lower() for id in catalog.ITEMS} | {phase.key for phase in catalog.PHASES}
    texts = [command for command, _ in items_rubric.QUICK_COMMANDS.values()]
    texts += [text for item in ITEMS for text in _texts(item).values()]
    for text in texts:
        for kind, words in re.findall(r"mlnb (run|guide|check) ([A-Za-z0-9_\- ]+?)(?=[`.,;:]|$)", text):
            for word in words.split():
                known = reports if kind == "run" else topics
                assert word.lower() in known, text


def test_every_command_belongs_to_the_command_line() -> None:
    known = {"demo", "init", "run", "check", "score", "attest", "guide", "do", "store", "select", "tune", "evaluate", "errors", "skew"}
    for item in ITEMS:
        for text in _texts(item).values():
            assert set(re.findall(r"`mlnb ([a-z]+)", text)) <= known, text


@pytest.mark.parametrize("which", ["leak04", " LEAK04 "])
def test_an_item_is_found_in_either_case(which: str) -> None:
    assert catalog.item(which).id == "LEAK04"


def test_a_wrong_name_offers_the_nearest() -> None:
    with pytest.raises(InputError, match="'LEAK04'"):
        catalog.item("LEEK04")
    with pytest.raises(InputError, match="'drift_playbook'"):
        catalog.table("drift_playbok")
    with pytest.raises(InputError, match="'monitoring'"):
        catalog.phase("monitring")
    with pytest.raises(InputError, match="1 to 11"):
        catalog.items(12)


def test_the_words_are_our_own(shared_data) -> None:
    source = _words(shared_data("../seed.md").read_text())
    runs = {tuple(source[i:i + 8]) for i in range(len(source) - 7)}
    texts = [(item.id, text) for item in ITEMS for text in _texts(item).values()]
    texts += [(row[0], cell) for table in TABLES for row in table.rows for cell in row]
    texts += [(table.id, f"{table.title} {table.note}") for table in TABLES]
    for id, text in texts:
        words = _words(text)
        shared = [words[i:i + 8] for i in range(len(words) - 7) if tuple(words[i:i + 8]) in runs]
        assert not shared, (id, " ".join(shared[0]))


def test_the_catalog_loads_nothing_but_the_standard_library() -> None:
    script = ("import sys; before = set(sys.modules); import mlnb.core.catalog; "
              "print([m for m in set(sys.modules) - before if m.split('.')[0] not in sys.stdlib_module_names | {'mlnb'}])")
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout.strip() == "[]"
