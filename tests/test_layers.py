"""Imports go one way only, and what is slow to import is imported late."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from layer_rules import HEAVY, heavy, imports, modules, upward

PACKAGE = ROOT / "mlnb"
SLOW = HEAVY | {"numpy"}


def test_no_import_goes_up() -> None:
    assert upward(PACKAGE) == []


def test_nothing_heavy_at_the_top() -> None:
    assert heavy(PACKAGE) == []


def loaded(statement: str) -> list[str]:
    """The slow libraries that a statement loads in a fresh interpreter."""
    code = f"{statement}\nimport sys; print(*sorted(set(sys.modules) & {SLOW!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_import_mlnb_loads_nothing_slow() -> None:
    assert loaded("import mlnb") == []


def test_the_probe_sees_what_is_loaded() -> None:
    assert "numpy" in loaded("import numpy")


def test_command_line_loads_nothing_slow() -> None:
    if "cli" not in modules(PACKAGE):
        pytest.skip("no command line yet")
    assert loaded("import mlnb.cli") == []


def package(folder: Path, **files: str) -> Path:
    """A small package; `core__a` is core/a.py."""
    for name, source in files.items():
        path = folder / "mlnb" / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return folder / "mlnb"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"core__a": "from mlnb.framing.brief import x"}, "a later layer"),
        ({"core__a": "from ..framing.brief import x"}, "a later layer"),
        ({"core__a": "def f():\n    import mlnb.data.quality"}, "a later layer"),
        ({"core__a": "from mlnb.datasets import make_churn"}, "a later layer"),
        (
            {"data__a": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..evaluation.metrics import x"},
            "a later layer",
        ),
        ({"evaluation__a": "try:\n    from ..monitoring import drift\nexcept ImportError:\n    pass"}, "a later layer"),
        ({"rubric__score": "import mlnb.reports"}, "a later layer"),
        ({"framing__panel": "from ..data.quality import x"}, "a later layer"),
        ({"datasets": "from mlnb.framing.brief import x"}, "a later layer"),
        ({"churn": "from mlnb.data.quality import x"}, "a later layer"),
        ({"data__a": "from ..framing.panel import Panel"}, "logic never imports a panel"),
        ({"data__a": "from ..framing import panel", "framing__panel": ""}, "logic never imports a panel"),
        ({"framing__brief": "from .panel import Panel"}, "logic never imports a panel"),
        ({"extra__a": "import mlnb.core.errors"}, "is no layer"),
    ],
)
def test_an_import_that_goes_up_is_caught(files: dict[str, str], message: str, tmp_path: Path) -> None:
    found = upward(package(tmp_path, **files))
    assert len(found) == 1 and message in found[0], found


def test_imports_that_go_down_pass(tmp_path: Path) -> None:
    made = package(
        tmp_path,
        core__a="import json\nfrom .b import x",
        core__b="import mlnb",
        datasets="from .core.a import x\nfrom .churn import y",
        churn="from .core.b import x",
        data__panel="import ipywidgets\nfrom .quality import x\nfrom ..framing.panel import y\nfrom ..core import a",
        data__quality="import numpy as np\nfrom ..framing.brief import x\nfrom ..datasets import y",
        framing__panel="",
        framing__brief="",
        cli="from .reports import x\nfrom .framing.panel import y",
        reports="from .app import x",
    )
    assert upward(made) == []
    assert heavy(made) == []


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"core__a": "import numpy as np"}, "core/a.py:1 imports numpy at its top"),
        ({"core__a": "import json\nfrom pandas.api import types"}, "core/a.py:2 imports pandas at its top"),
        ({"cli": "import numpy"}, "cli.py:1 imports numpy at its top"),
        ({"cli_output": "import numpy"}, "cli_output.py:1 imports numpy at its top"),
        ({"data__quality": "if True:\n    import sklearn.base"}, "imports sklearn at its top"),
        ({"core__a": "class A:\n    import pydantic"}, "imports pydantic at its top"),
        ({"data__quality": "def f():\n    import ipywidgets"}, "logic knows no widgets"),
    ],
)
def test_a_heavy_import_is_caught(files: dict[str, str], message: str, tmp_path: Path) -> None:
    found = heavy(package(tmp_path, **files))
    assert len(found) == 1 and message in found[0], found


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n    import pandas as pd",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas as pd",
        "class A:\n    def f(self):\n        if True:\n            from sklearn.base import clone",
    ],
)
def test_a_late_import_passes(source: str, tmp_path: Path) -> None:
    made = package(tmp_path, core__a=source)
    assert heavy(made) == []
    assert imports(made)


def test_records_are_pydantic_models_and_forms_make_widgets_late(tmp_path: Path) -> None:
    made = package(tmp_path, core__records="import pydantic", core__forms="def f():\n    import ipywidgets")
    assert heavy(made) == []
