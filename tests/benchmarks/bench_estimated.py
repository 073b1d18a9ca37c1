"""Performance without labels: does the range hold the real value, how far off is the estimate, how long does it take?

Worlds are drawn in which inputs shift between reference and batch and keep their meaning; each world has its own reference (1000
rows) and its own batch (500 rows), whose outcomes are known here and hidden from the tools. mlnb beside NannyML's CBPE
(classification) and DLE (regression), on the same rows. A last world turns its meaning around: no tool can notice, and none does.
`bench_estimated.py [WORLDS]`.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

WORLDS, LARGE = 60, 100_000
NANNYML = ["nannyml>=0.12,<0.14", "statsmodels", "pyarrow"]
CLASSES, NUMBERS = ["roc_auc", "f1", "accuracy", "precision", "recall"], ["mae", "rmse"]


def make(folder: Path, worlds: int) -> None:
    import numpy as np
    import pandas as pd

    def rows(n: int, seed: int, late: bool, turned: bool = False) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        x = rng.normal(0.6 if late else 0, 1.5 if not late else 1.1, n)
        says = 1 / (1 + np.exp(-1.6 * x))  # too bold
        y = (rng.random(n) < 1 / (1 + np.exp(0.5 * x if turned else -x))).astype(int)
        z = rng.uniform(4 if late else 0, 10, n)
        return pd.DataFrame({"p": says, "y_pred": (says >= 0.5).astype(int), "y": y, "z": z, "value": 2 * z, "truth": 2 * z + rng.laplace(0, 0.5 + 0.3 * z)})

    for k in range(worlds):
        rows(1000, 2 * k, False).to_parquet(folder / f"{k}-reference.parquet")
        rows(500, 2 * k + 1, True).to_parquet(folder / f"{k}-batch.parquet")
    rows(2000, 10**6, False).to_parquet(folder / "large-reference.parquet")
    rows(LARGE, 10**6 + 1, True).to_parquet(folder / "large-batch.parquet")
    rows(500, 10**6 + 2, True, turned=True).to_parquet(folder / "turned-batch.parquet")


def ours(folder: Path, worlds: int) -> None:
    import pandas as pd

    from mlnb.monitoring.estimated import Estimator, fit_estimator

    def fitted(reference: pd.DataFrame) -> tuple[Estimator, Estimator]:
        return (
            fit_estimator(reference["y"], reference["p"], task="binary", metrics=CLASSES),
            fit_estimator(reference["truth"], reference["value"], task="regression", features=reference[["z"]], metrics=NUMBERS),
        )

    def estimated(pair: tuple[Estimator, Estimator], batch: pd.DataFrame) -> dict[str, list[float]]:
        found = [pair[0].estimate(batch["p"]), pair[1].estimate(batch["value"], batch[["z"]])]
        return {name: [m["value"], m["low"], m["high"]] for each in found for name, m in each.items()}

    read = lambda name: pd.read_parquet(folder / f"{name}.parquet")  # noqa: E731
    made = {k: estimated(fitted(read(f"{k}-reference")), read(f"{k}-batch")) for k in range(worlds)}
    pair, large = fitted(read("large-reference")), read("large-batch")
    start = time.perf_counter()
    pair[0].estimate(large["p"])
    seconds = time.perf_counter() - start
    print(json.dumps({"worlds": made, "seconds": seconds, "turned": estimated(pair, read("turned-batch"))}))


def nannyml(folder: Path, worlds: int) -> None:
    import warnings

    import pandas as pd

    warnings.simplefilter("ignore")
    import nannyml as nml

    def fitted(reference: pd.DataFrame, size: int) -> tuple[object, object]:
        cbpe = nml.CBPE(y_pred_proba="p", y_pred="y_pred", y_true="y", problem_type="classification_binary", metrics=CLASSES, chunk_size=size)
        dle = nml.DLE(feature_column_names=["z"], y_pred="value", y_true="truth", metrics=NUMBERS, chunk_size=size)
        return cbpe.fit(reference), dle.fit(reference)

    def estimated(pair: tuple[object, object], batch: pd.DataFrame) -> dict[str, list[float]]:
        found = {}
        for tool, names in zip(pair, (CLASSES, NUMBERS), strict=True):
            last = tool.estimate(batch).filter(period="analysis").to_df().iloc[-1]
            for name in names:
                found[name] = [float(last[(name, part)]) for part in ("value", "lower_confidence_boundary", "upper_confidence_boundary")]
        return found

    read = lambda name: pd.read_parquet(folder / f"{name}.parquet")  # noqa: E731
    made = {k: estimated(fitted(read(f"{k}-reference"), 500), read(f"{k}-batch")) for k in range(worlds)}
    pair, large = fitted(read("large-reference"), LARGE), read("large-batch")
    start = time.perf_counter()
    pair[0].estimate(large)
    seconds = time.perf_counter() - start
    print(json.dumps({"worlds": made, "seconds": seconds, "turned": estimated(fitted(read("large-reference"), 500), read("turned-batch"))}))


def realised(folder: Path, name: object) -> dict[str, float]:
    import pandas as pd

    from mlnb.evaluation.measures import METRICS

    b = pd.read_parquet(folder / f"{name}-batch.parquet")
    found = {m: METRICS[m](b["y"], b["p"] if METRICS[m].needs == "score" else b["y_pred"], positive=1, task="binary") for m in CLASSES}
    return found | {m: METRICS[m](b["truth"], b["value"]) for m in NUMBERS}


def main(worlds: int) -> None:
    import numpy as np
    import peers

    python = peers.python("nannyml", NANNYML)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, worlds)
        sides = [peers.measured([who, __file__, what, folder, worlds]) for who, what in ((sys.executable, "ours"), (python, "nannyml"))]
        said = [json.loads(side.stdout.strip().splitlines()[-1]) for side in sides]
        real = {str(k): realised(folder, k) for k in range(worlds)}
        turned = realised(folder, "turned")
    print(f"{worlds} worlds, inputs shifted; share of ranges that hold the real value, their mean width, mean distance of the estimate")
    apart: list[list[float]] = []
    for metric in (*CLASSES, *NUMBERS):
        line = f"{metric:10}"
        for who, words in zip(("mlnb", "nannyml"), said, strict=True):
            got = np.array([words["worlds"][k][metric] for k in real])
            came = np.array([real[k][metric] for k in real])
            inside, off = ((got[:, 1] <= came) & (came <= got[:, 2])).mean(), np.abs(got[:, 0] - came).mean()
            line += f"   {who:8} {inside:5.1%}  width {(got[:, 2] - got[:, 1]).mean():.4f}  off by {off:.4f}"
            apart.append([inside, off])
        print(line)
    blind = [words["turned"]["roc_auc"][0] for words in said]
    print(f"meaning turned around: roc_auc came to {turned['roc_auc']:.3f}; expected by mlnb {blind[0]:.3f}, by nannyml {blind[1]:.3f}")
    worst = min(inside for inside, _ in apart[::2])
    missed = 1 - sum(inside for inside, _ in apart[::2]) / len(apart[::2])
    peers.row("expected performance, ranges that miss, all metrics (95% promised)", 100 * missed, unit="%", limit=10)
    peers.row("expected performance, ranges that miss, the worst metric", 100 * (1 - worst), unit="%")
    peers.row("expected performance, mean distance (sum over metrics)", sum(off for _, off in apart[::2]), sum(off for _, off in apart[1::2]), unit="", peer="nannyml")
    peers.row(f"expected performance of {LARGE:,} rows, with ranges", said[0]["seconds"], said[1]["seconds"], unit="s", peer="nannyml")
    print(json.dumps({"bench": "estimated", "worlds": worlds, "worst_coverage": worst, "seconds": said[0]["seconds"], "peer_seconds": said[1]["seconds"]}))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["ours", folder, worlds]:
            ours(Path(folder), int(worlds))
        case ["nannyml", folder, worlds]:
            nannyml(Path(folder), int(worlds))
        case rest:
            main(int(rest[0]) if rest else WORLDS)
