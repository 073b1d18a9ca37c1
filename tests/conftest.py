"""What every test shares: the data beside the checkout, and an environment that is the same on every machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]

# Before anything heavy is imported: no window system, two threads, no calls home.
os.environ["MPLBACKEND"] = "Agg"
os.environ.pop("IN_TEST", None)
for name, value in {
    "OMP_NUM_THREADS": "2",
    "JUPYTER_PLATFORM_DIRS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
    "NO_COLOR": "1",
    "COLUMNS": "120",
}.items():
    os.environ.setdefault(name, value)
for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID", "FORCE_COLOR"):
    os.environ.pop(name, None)

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """`shared_data("telco_churn")` is a folder or file of the real data; the test skips where it is absent."""
    base = Path(os.environ.get("MLNB_TEST_DATA") or ROOT.parent / "shared" / "data")

    def path(name: str = ".") -> Path:
        found = base / name
        if not found.exists():
            pytest.skip(f"no {name} in {base}; MLNB_TEST_DATA names the folder of the real data")
        return found

    return path


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser; the test skips with the way to get one where it is absent."""
    from stages.chromium import find

    return find() or pytest.skip("no Chromium; `make test` says how to get one")
