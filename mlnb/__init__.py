"""ML engineering in Jupyter where a tick is a predicate: checks computed from the real data, model and code."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mlnb.core.findings import Finding, Findings, Severity, Status
    from mlnb.core.ledger import Ledger
    from mlnb.core.project import Project
    from mlnb.core.tables import Table, open_table

_LAZY = {  # public name -> module; loaded on first use, so that `import mlnb` costs nothing
    "Finding": "core.findings", "Findings": "core.findings", "Severity": "core.findings", "Status": "core.findings",
    "Ledger": "core.ledger", "Project": "core.project", "Table": "core.tables", "open_table": "core.tables",
}
_MODULES = ("app", "catalog", "cli", "core", "data", "datasets", "evaluation", "experiments", "framing", "monitoring", "reports", "rubric")
__all__ = ["Finding", "Findings", "Ledger", "Project", "Severity", "Status", "Table", "__version__", "open_table"]


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(importlib.import_module(f"mlnb.{_LAZY[name]}"), name)
    if name in _MODULES:
        return importlib.import_module("mlnb.core.catalog" if name == "catalog" else f"mlnb.{name}")
    raise AttributeError(f"module 'mlnb' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_MODULES})
