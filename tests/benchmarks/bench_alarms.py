"""False alarms and power: mlnb beside Evidently and NannyML as they are by default.

Without drift, 1000 batches of 200, 1000 and 100,000 rows x 30 columns against a reference of 10,000 and 100,000 rows. Counts of independent rows
in fixed bins are multinomial, so these batches are drawn as counts, which is exact and fast; a smaller number of real batches goes the whole way
through rows. The peers get real batches only, which have 200 and 1000 rows: no peer is asked about 100,000 rows, and mlnb's rates for large batches come
from counts. Power is measured on the same real batches with one planted shift each: by default, and with the thresholds of every tool moved until
it alarms on 5 % of the batches without drift. The second is recorded: the share of batches with each shift that alarm, ours beside each peer's
(more is better: a ratio above one says that mlnb sees more).
`bench_alarms.py [COUNTED] [REAL] [PEERS]`: numbers of batches for each size and shift (default 1000, 100, 100).
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

NUMBERS, CATEGORIES = 20, 10
SHIFTS = ("none", "mean +0.1", "mean +0.2", "mean +0.5", "mean +0.1 of any", "mean +0.2 of any", "spread x1.5", "a category's share", "missing +10 %", "new category 5 %")
REFERENCE, BATCH = 10_000, (200, 1000)  # of the real batches
EVIDENTLY = ["evidently>=0.7,<0.8", "pandas<3", "pyarrow"]
NANNYML = ["nannyml>=0.13", "pandas<2.3", "numpy<2", "pyarrow>=14", "fastparquet", "setuptools<81", "statsmodels"]


def rows(count: int, seed: int, shift: str = "none"):
    """Numbers of five shapes, some with gaps, and categories of 2 to 40 levels; the shift is in n0 or c2 only, "of any" in a number of any shape.

    Shifts of a mean are in standard deviations of the column. Counts move by one, none above the largest.
    """
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(seed)
    columns: dict[str, object] = {}
    moved = int(np.random.default_rng([seed, 1]).integers(NUMBERS)) if shift.endswith("any") else 0
    by = float(shift.split("+")[1].split()[0]) if shift.startswith("mean") else 0.0
    for i in range(NUMBERS):
        z = rng.normal(size=count)
        if i == 0 and shift.startswith("spread"):
            z *= 1.5
        values = (z, np.exp(z), rng.exponential(size=count), rng.integers(0, 6, count) * 1.0, rng.uniform(size=count))[i % 5]
        if i == moved and by:
            spread = (1.0, 2.1612, 1.0, 1.7078, 0.2887)[i % 5]
            values = np.minimum(values + (rng.random(count) < by * spread * 6 / 5), 5.0) if i % 5 == 3 else values + by * spread
        gap = 0.15 if i == 0 and shift.startswith("missing") else 0.05 if i % 5 in (0, 1) else 0.0
        columns[f"n{i}"] = np.where(rng.random(count) < gap, np.nan, values)
    for i in range(CATEGORIES):
        levels = (2, 3, 5, 8, 12, 20, 40, 4, 6, 10)[i]
        weight = 1 / np.arange(1, levels + 1)
        if i == 2 and shift.startswith("a category"):
            weight[2] *= 2
        codes = rng.choice(levels, count, p=weight / weight.sum())
        names = np.array([f"level {level}" for level in range(levels)], dtype=object)[codes]
        if i == 2 and shift.startswith("new"):
            names[rng.random(count) < 0.05] = "never seen"
        columns[f"c{i}"] = names
    return pd.DataFrame(columns)


# mlnb: batches as counts


def shapes():
    """Probabilities of the bins of the same columns: kind, edges, share of missing values."""
    import numpy as np

    for i in range(NUMBERS):
        if i % 5 == 3:
            p = np.r_[0.0, np.full(6, 1 / 6), 0.0]  # few values: each has its bin, with one below and one above
            edges = (float(np.nextafter(0.0, -1)), *map(float, range(6)))
        else:
            p, edges = np.full(20, 0.05), tuple(map(float, range(1, 20)))
        yield f"n{i}", p, edges, 0.05 if i % 5 in (0, 1) else 0.0
    for i in range(CATEGORIES):
        weight = 1 / np.arange(1, (2, 3, 5, 8, 12, 20, 40, 4, 6, 10)[i] + 1)
        yield f"c{i}", weight / weight.sum(), (), 0.0


def counted(n: int, m: int, times: int, seed: int) -> dict[str, float]:
    """Share of batches without drift that alarm, by each method; batches are drawn as counts, a new reference for every 50."""
    import numpy as np

    from mlnb.monitoring.column import ColumnProfile
    from mlnb.monitoring.comparison import compare_column
    from mlnb.monitoring.playbook import METHODS, grade
    from mlnb.monitoring.scan import count_values

    rng, drawn, alarms = np.random.default_rng(seed), list(shapes()), dict.fromkeys(METHODS, 0)

    def side(size: int) -> dict[str, ColumnProfile]:
        found = {}
        for name, p, edges, gap in drawn:
            gone = int(rng.binomial(size, gap))
            counts = rng.multinomial(size - gone, p)
            if edges:
                low, high = (0.0, 5.0) if len(p) == 8 else (0.0, 20.0)
                found[name] = ColumnProfile("numeric", size, gone, low=low, high=high, mean=0.0, variance=1.0, edges=edges, counts=tuple(counts.tolist()))
            else:
                found[name] = count_values({f"level {j}": int(k) for j, k in enumerate(counts) if k})
        return found

    for batch in range(times):
        if batch % 50 == 0:
            reference = side(n)
        current = side(m)
        measured = {name: compare_column(reference[name], current[name]) for name in reference}
        for name, method in METHODS.items():
            alarms[name] += any(c.severity in ("warning", "critical") for c in grade(measured, method=method).values())
    return {name: number / times for name, number in alarms.items()}


# mlnb, Evidently, NannyML: real batches; each prints for every batch the strength of evidence of its most suspicious column and whether it alarms


def ours(folder: str, together: bool) -> None:
    import pandas as pd

    from mlnb.monitoring.drift import compare
    from mlnb.monitoring.looks import PARTS, looks
    from mlnb.monitoring.multivariate import domain_classifier
    from mlnb.monitoring.paired_rows import pair_rows
    from mlnb.monitoring.profile import profile

    reference = pd.read_parquet(Path(folder) / "reference.parquet")
    kept, found = profile(reference), {}
    for path in sorted(Path(folder).glob("batch *.parquet")):
        batch = pd.read_parquet(path)
        if together:
            made = domain_classifier(pair_rows(reference, batch))
            found[path.stem] = (1 - made.p, made.severity != "none")
        else:
            report = compare(kept, batch)
            tested = looks(report.columns, dict.fromkeys(report.columns, "p"))
            found[path.stem] = (max(PARTS[look] / max(p, 1e-300) for (_, look), p in tested.items()), bool(report.drifted))
    print(json.dumps(found))


def evidently(folder: str) -> None:
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.legacy.calculations.stattests.registry import get_stattest
    from evidently.legacy.core import ColumnType
    from evidently.presets import DataDriftPreset

    reference = pd.read_parquet(Path(folder) / "reference.parquet")
    kinds = {n: ColumnType.Numerical if n[0] == "n" else ColumnType.Categorical for n in reference}
    roles = DataDefinition(**{f"{word}_columns": [n for n in reference if n[0] == word[0]] for word in ("numerical", "categorical")})
    old, found = Dataset.from_pandas(reference, data_definition=roles), {}
    present = {n: reference[n].dropna() for n in reference}
    for path in sorted(Path(folder).glob("batch *.parquet")):
        batch, strength = pd.read_parquet(path), {}
        for n, kind in kinds.items():  # what the preset asks of each column, without the seconds that it takes to draw a report
            now = batch[n].dropna()
            test = get_stattest(present[n], now, kind, None)
            seen = test(present[n], now, kind, None)
            limit, value = float(seen.actual_threshold), float(seen.drift_score)
            strength[n] = limit / max(value, 1e-300) if "p_value" in test.name else value / limit
        found[path.stem] = (max(strength.values()), max(strength.values()) > 1)
        if path.stem.endswith(" 000"):  # the preset itself says the same
            made = Report([DataDriftPreset()]).run(Dataset.from_pandas(batch, data_definition=roles), old).dict()
            share = {m["config"]["column"]: float(m["value"]) / float(m["config"]["threshold"]) for m in made["metrics"] if "column" in m.get("config", {})}
            if share != strength:
                raise SystemExit(f"the preset gives {share}, its tests {strength}")
    print(json.dumps(found))


def nannyml(folder: str) -> None:
    import nannyml
    import pandas as pd

    reference, found = pd.read_parquet(Path(folder) / "reference.parquet"), {}
    numbers, words = [[n for n in reference if n[0] == kind] for kind in "nc"]
    for size in BATCH:
        calculator = nannyml.UnivariateDriftCalculator(column_names=[*numbers, *words], treat_as_categorical=words, chunk_size=size,
                                                       continuous_methods=["jensen_shannon"], categorical_methods=["jensen_shannon"])
        calculator.fit(reference)
        paths = sorted(Path(folder).glob(f"batch {size} *.parquet"))
        table = calculator.calculate(pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True)).filter(period="analysis").to_df()
        columns = [table[name]["jensen_shannon"] for name in (*numbers, *words)]
        for i, path in enumerate(paths):  # each batch is a chunk
            rows_ = [c.iloc[i] for c in columns]
            found[path.stem] = (max(float(r["value"]) / float(r["upper_threshold"]) for r in rows_), any(bool(r["alert"]) for r in rows_))
    print(json.dumps(found))


def make(folder: str, real: int) -> None:
    rows(REFERENCE, 1).to_parquet(Path(folder) / "reference.parquet")
    for size in BATCH:
        for s, shift in enumerate(SHIFTS):
            for i in range(real):
                rows(size, 1_000_000 * s + 1000 * i + size, shift).to_parquet(Path(folder) / f"batch {size} {s} {i:03}.parquet")


def rates(found: dict[str, list[float]], size: int) -> tuple[list[float], list[float]]:
    """Share of batches that alarm for each shift: by default, and where the threshold lets 5 % of the batches without drift through."""
    by = [[value for key, value in found.items() if key.split()[1:3] == [str(size), str(s)]] for s in range(len(SHIFTS))]
    calm = sorted((value[0] for value in by[0]), reverse=True)
    limit = calm[max(int(0.05 * len(calm)), 0)]
    return [sum(bool(v[1]) for v in side) / max(len(side), 1) for side in by], [sum(v[0] > limit for v in side) / max(len(side), 1) for side in by]


def main(times: int, real: int, theirs: int) -> None:
    import peers

    for n, m in ((10_000, 200), (10_000, 1000), (100_000, 1000), (100_000, 100_000)):
        for method, share in counted(n, m, times, seed=n + m).items():
            print(f"{times} batches of {m:,} x {NUMBERS + CATEGORIES} without drift against {n:,} rows, {method:13}: {share:.1%} alarm", flush=True)
            peers.row(f"false alarms, {m:,} rows, {n:,} in the reference, {method}", 100 * share, unit="%", limit=5)
    found = {}
    tools = {"mlnb": ([sys.executable], "ours", real), "mlnb, all columns together": ([sys.executable], "together", min(real, 40))}
    for name, wanted in (("evidently", EVIDENTLY), ("nannyml", NANNYML)):
        try:
            tools[name] = ([peers.python(name, wanted)], name, theirs)
        except peers.Crashed as error:
            print(f"{name} cannot be installed here: {str(error).strip().splitlines()[-1]}")
    for name, (python, word, several) in tools.items():
        with tempfile.TemporaryDirectory() as folder:
            peers.measured([sys.executable, __file__, "make", folder, several])
            try:
                done = peers.measured([*python, __file__, word, folder])
            except peers.Crashed as error:
                print(f"{name} did not work: {str(error).strip().splitlines()[-1]}")
                continue
        found[name] = json.loads(done.stdout.strip().splitlines()[-1])
    result = {}
    for size in BATCH:
        table = {name: rates(value, size) for name, value in found.items()}
        for i, title in enumerate(("by default", "each let through 5 % without drift")):
            print(f"\nshare of batches of {size} rows that alarm, {title}")
            print(f"{'':24}" + "".join(f"{name:>28}" for name in table))
            for s, shift in enumerate(SHIFTS):
                print(f"{shift:24}" + "".join(f"{made[i][s]:28.0%}" for made in table.values()))
        result[size] = {name: dict(zip(SHIFTS, made[0], strict=True)) for name, made in table.items()}
        for name in ("evidently", "nannyml"):
            if name in table:
                ours_, theirs_ = table["mlnb"], table[name]
                peers.row(f"false alarms, real batches of {size} rows", 100 * ours_[0][0], 100 * theirs_[0][0], unit="%", peer=name)
                for s, shift in enumerate(SHIFTS[1:], 1):
                    peers.row(f"power, {size} rows, {shift}, each let through 5 %", 100 * ours_[1][s], 100 * theirs_[1][s], unit="%", peer=name, more=True)
    print(json.dumps({"bench": "alarms", "batches": times, "real": result}))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["make", folder, several]:
            make(folder, int(several))
        case ["ours", folder]:
            ours(folder, together=False)
        case ["together", folder]:
            ours(folder, together=True)
        case ["evidently", folder]:
            evidently(folder)
        case ["nannyml", folder]:
            nannyml(folder)
        case rest:
            main(*(int(rest[i]) if len(rest) > i else default for i, default in enumerate((1000, 100, 100))))
