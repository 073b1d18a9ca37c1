"""How long a person waits before anything happens: `import mlnb` and `mlnb --help`, best of five new processes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
HEAVY = ("pandas", "numpy", "sklearn", "xgboost", "shap", "mlflow", "matplotlib", "ibis", "duckdb", "pyarrow", "ipywidgets", "papermill")
HELP = "import sys; sys.argv = ['mlnb', '--help']; from mlnb.cli import main; main()"


def main() -> None:
    import peers

    loaded = f"import sys, mlnb; print([name for name in {HEAVY} if name in sys.modules])"
    found = {}
    for name, code, limit in (("import mlnb", "import mlnb", 0.2), ("mlnb --help", HELP, 0.5), ("python alone", "pass", None)):
        found[name] = min(peers.measured([sys.executable, "-c", code]).seconds for _ in range(5))
        peers.row(name, found[name], unit="s", limit=limit)
    heavy = peers.measured([sys.executable, "-c", loaded]).stdout.strip()
    print(f"heavy libraries that come with the import: {heavy}")
    print(json.dumps({"bench": "start", "seconds": found, "heavy": heavy}))


if __name__ == "__main__":
    main()
