"""Cells that rules read off dirty data flag, against what is known to be wrong: precision and recall by family.

Hospital and beers come with a clean twin; what differs between the twins is wrong. In hospital a missing value is the word
`empty` on both sides; in beers one column is written differently in every row. The same is done for faults planted into
tables without errors, so that the figures do not rest on two data sets. `bench_dirty.py [all]`; reads MLNB_TEST_DATA.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

DATA = Path(os.environ.get("MLNB_TEST_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")


def wrong_cells(dirty: Path, clean: Path) -> tuple[set[tuple[int, str]], int]:
    """The cells that differ between the twins, as text, and the number of cells."""
    import pandas as pd

    sides = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in (dirty, clean)]
    differ = sides[0].to_numpy() != sides[1].to_numpy()
    return {(row, sides[0].columns[column]) for row, column in zip(*differ.nonzero(), strict=True)}, differ.size


def flagged(path: Path) -> tuple[dict[tuple[int, str], str], dict[str, float | None]]:
    """Cells with the rule they break, and the six scores."""
    from mlnb.core.tables import open_table
    from mlnb.data.quality import assess
    from mlnb.data.rules import infer_rules
    from mlnb.data.violations import flag_cells

    table = open_table(path)
    cells = flag_cells(table, infer_rules(table))
    found = {(int(row), column): rule for row, column, rule in cells[["row", "column", "rule"]].itertuples(index=False)}
    return found, {name: d.score for name, d in assess(table).dimensions.items()}


def report(name: str, found: dict[tuple[int, str], str], wrong: set[tuple[int, str]]) -> tuple[float, float]:
    """Print precision and recall by family; overall ones are returned."""
    print(f"{name}: {len(wrong):,} wrong cells, {len(found):,} flagged")
    print(f"  {'rule':12} {'flagged':>8} {'right':>8} {'precision':>10} {'of all wrong':>13}")
    for rule in sorted(set(found.values())):
        cells = {cell for cell, each in found.items() if each == rule}
        right = len(cells & wrong)
        print(f"  {rule:12} {len(cells):8,} {right:8,} {right / len(cells):10.3f} {right / max(len(wrong), 1):13.3f}")
    right = len(found.keys() & wrong)
    precision, recall = right / max(len(found), 1), right / max(len(wrong), 1)
    print(f"  {'all':12} {len(found):8,} {right:8,} {precision:10.3f} {recall:13.3f}")
    return precision, recall


def planted(name: str, path: Path, **options: object) -> tuple[float, float]:
    """Faults of six kinds in 1 % of the cells of each column of a table; what is flagged before is taken as it is."""
    import numpy as np
    import pandas as pd

    from mlnb.core.tables import open_table
    from mlnb.data.rules import infer_rules
    from mlnb.data.violations import flag_cells

    frame = pd.read_csv(path, skipinitialspace=True, **options)  # type: ignore[call-overload]
    frame.columns = [str(column) for column in frame.columns]
    frame = frame.head(5000)
    table = open_table(frame)
    before = set(flag_cells(table, infer_rules(table))[["row", "column"]].itertuples(index=False, name=None))
    rng, wrong, spoilt = np.random.default_rng(0), set(), frame.astype(object).copy()
    for column in frame:
        for row in rng.choice(len(frame), len(frame) // 100, replace=False).tolist():
            value, kind = frame.at[row, column], int(rng.integers(3))
            if pd.isna(value):
                continue
            if isinstance(value, str) and value:
                at = int(rng.integers(len(value)))
                new = (value[:at] + "q" + value[at + 1 :], value.swapcase(), f" {value} ")[kind]
            else:
                new = (float(value) * 1000 + 1e6, -abs(float(value)) * 1000 - 1e6, "n.n.")[kind]
            if new != value:
                spoilt.at[row, column] = new
                wrong.add((row, column))
    with_text = spoilt.map(lambda value: value if pd.isna(value) else str(value))
    table = open_table(with_text)
    found = {
        (int(row), column): rule
        for row, column, rule in flag_cells(table, infer_rules(table))[["row", "column", "rule"]].itertuples(index=False)
        if (row, column) not in before or (row, column) in wrong
    }
    return report(f"{name}, planted", found, wrong)


def main(everything: bool) -> None:
    import peers

    for name in ("hospital", "beers"):
        folder = DATA / f"dirty_{name}"
        wrong, cells = wrong_cells(folder / "dirty.csv", folder / "clean.csv")
        found, dirty = flagged(folder / "dirty.csv")
        precision, recall = report(name, found, wrong)
        twin, clean = flagged(folder / "clean.csv")
        rules = {rule: list(twin.values()).count(rule) for rule in sorted(set(twin.values()))}
        print(f"  clean twin: {len(twin):,} of {cells:,} cells flagged {rules}")
        for dimension in ("completeness", "accuracy", "consistency"):
            print(f"  {dimension:12} dirty {dirty[dimension]:.2f}, clean {clean[dimension]:.2f}")
        peers.row(f"flagged cells of {name}: 1 - precision", 1 - precision, unit="", limit=0.2)
        peers.row(f"flagged cells of {name}: 1 - recall", 1 - recall, unit="", limit=0.5)
    if everything:
        for name, file in (("telco", "telco_churn/Telco-Customer-Churn.csv"), ("adult", "adult/adult-train.csv.gz")):
            planted(name, DATA / file, header=None if name == "adult" else "infer")
        planted("german", DATA / "german_credit" / "german.csv")
        planted("bike", DATA / "bike_sharing" / "day.csv")


if __name__ == "__main__":
    main("all" in sys.argv[1:])
