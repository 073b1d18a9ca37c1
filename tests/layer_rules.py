"""Who may import whom, read from the imports of the package without running it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ORDER = (
    "core",
    "datasets",  # with churn, the example that it offers
    "framing",
    "data",
    "experiments",
    "evaluation",
    "deployment",
    "llm",
    "monitoring",
    "mlops",
    "responsible",
    "cost",
    "rubric",
)
TOP = ("reports", "app", "cli")  # and their parts: cli_output
# Slow to import: seconds each, or they bring such a one with them. Functions import them when they run.
HEAVY = set(
    """
    pandas scipy sklearn xgboost shap optuna mlflow matplotlib ibis duckdb pyarrow polars pydantic ipywidgets IPython
    jinja2 papermill nbconvert nbclient nbformat jupyterlab pandera statsmodels fairlearn skops litellm lancedb
    onnxruntime fastapi requests
    """.split()
)
# What a module is made of cannot be late: (module or its start, package) that may stand at the top all the same.
AT_THE_TOP = {
    ("core.record", "pydantic"),  # records are pydantic models,
    ("core.project_config", "pydantic"),  # and so is what mlnb.yaml holds
    ("data.features_", "sklearn"),  # a feature step is a scikit-learn transformer; nobody imports it who does not want one
    ("panel", "ipywidgets"),  # a panel is widgets; nobody imports it who does not want to see it
    ("app", "ipywidgets"),
}


@dataclass(frozen=True)
class Import:
    module: str  # who imports, without the leading `mlnb.`
    target: str  # what, in full
    line: int
    level: str  # "top", "late" (inside a function) or "typing" (never executed)


def modules(package: Path) -> dict[str, Path]:
    """Every exported module by its name without the leading `mlnb.`."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        if path.name not in ("__init__.py", "_modidx.py") and "__pycache__" not in path.parts:
            found[".".join(path.relative_to(package).with_suffix("").parts)] = path
    return found


def imports(package: Path) -> list[Import]:
    """Every import of every module, relative ones resolved."""
    names = modules(package)
    found = []
    for module, path in names.items():
        for node, level in walk(ast.parse(path.read_text(encoding="utf-8")).body, "top"):
            for target in targets(node, module, names):
                found.append(Import(module, target, node.lineno, level))
    return found


def walk(body: list[ast.stmt], level: str) -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    """The import statements below `body`, with the moment they run at."""
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node, level
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from walk(node.body, "late")
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from walk(node.body, "typing")
            yield from walk(node.orelse, level)
        else:
            for part in ("body", "orelse", "finalbody"):
                yield from walk(getattr(node, part, []), level)
            for handler in [*getattr(node, "handlers", []), *getattr(node, "cases", [])]:
                yield from walk(handler.body, level)


def targets(node: ast.Import | ast.ImportFrom, module: str, names: dict[str, Path]) -> Iterator[str]:
    """The modules that a statement names; `from mlnb.core import checks` names mlnb.core.checks."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = node.module or ""
    if node.level:
        parents = ["mlnb", *module.split(".")][: -node.level]
        base = ".".join([*parents, *filter(None, [node.module])])
    for alias in node.names:
        inner = f"{base}.{alias.name}".removeprefix("mlnb.")
        yield f"mlnb.{inner}" if base.split(".")[0] == "mlnb" and inner in names else base


def is_panel(module: str) -> bool:
    return module.endswith(".panel")


def rank(module: str) -> int:
    """The height of a module's layer; the top three share one."""
    group = module.split(".")[0].replace("churn", "datasets")
    return ORDER.index(group) if group in ORDER else len(ORDER)


def upward(package: Path) -> list[str]:
    """Imports against the direction of the layers, one line each."""
    found = []
    for item in imports(package):
        if item.target.split(".")[0] != "mlnb" or item.target == "mlnb":
            continue
        target = item.target.removeprefix("mlnb.")
        where = f"mlnb/{item.module.replace('.', '/')}.py:{item.line} imports mlnb.{target}"
        if rank(item.module) == len(ORDER) and re.split(r"[._]", item.module)[0] not in TOP:
            found.append(f"{where}: {item.module.split('.')[0]} is no layer; there are {', '.join([*ORDER, *TOP])}")
        elif rank(target) > rank(item.module):
            found.append(f"{where}: a later layer; take its result as an argument, or resolve it by name")
        elif is_panel(target) and not is_panel(item.module) and rank(item.module) < len(ORDER):
            found.append(f"{where}: logic never imports a panel")
    return found


def heavy(package: Path) -> list[str]:
    """Slow libraries imported at the top of a module, and widgets in logic, one line each."""
    found = []
    for item in imports(package):
        library = item.target.split(".")[0]
        where = f"mlnb/{item.module.replace('.', '/')}.py:{item.line} imports {library}"
        numpy_too_early = library == "numpy" and re.split(r"[._]", item.module)[0] in ("core", *TOP)
        if item.level == "top" and (library in HEAVY or numpy_too_early) and not allowed_at_top(item.module, library):
            found.append(f"{where} at its top; import it in the function that needs it")
        if library == "ipywidgets" and not (
            is_panel(item.module) or item.module in ("app", "core.forms", "core.form_keys", "core.checklist")
        ):
            found.append(f"{where}: logic knows no widgets; that is for panels")
    return list(dict.fromkeys(found))


def allowed_at_top(module: str, library: str) -> bool:
    return any(
        name == library and (module.startswith(start) or module.endswith(f".{start}")) for start, name in AT_THE_TOP
    )
