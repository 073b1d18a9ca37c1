"""Leaks through preparation, planted into real tables: what is learnt from all rows before the split, and honest twins of the same.

python tests/benchmarks/leak_plants_preparation.py [DATASET …]     recall by family, false alarms on clean and honestly prepared splits
"""

from __future__ import annotations

import os
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("MLNB_TEST_DATA") or ROOT.parent / "shared" / "data")
Made = tuple[pd.DataFrame, list[str]] | None


@dataclass(frozen=True)
class Plant:
    """A mistake: `make(frame, target, rng, learn)` gives the table, prepared with what the rows of `learn` say, and the columns it was done to.

    None where it cannot be made. The mistake is that `learn` is all rows.
    """

    family: str
    name: str
    make: Callable[[pd.DataFrame, str, np.random.Generator, np.ndarray], Made]


def tables() -> Iterator[tuple[str, pd.DataFrame, str]]:
    """Real tables: name, rows, target."""
    import sklearn.datasets as bundled

    for name in ("breast_cancer", "wine", "iris", "diabetes"):
        yield name, getattr(bundled, f"load_{name}")(as_frame=True).frame, "target"
    digits = bundled.load_digits(as_frame=True).frame
    yield "digits", digits.iloc[:, 10:40].assign(target=digits["target"]), "target"
    x, y = bundled.make_classification(1500, 12, n_informative=5, random_state=3)
    yield "make_classification", pd.DataFrame(x, columns=[f"f{i}" for i in range(12)]).assign(target=y), "target"
    x, y = bundled.make_friedman1(900, random_state=3)
    yield "make_friedman1", pd.DataFrame(x, columns=[f"f{i}" for i in range(10)]).assign(target=y), "target"
    if not SHARED.is_dir():
        return
    telco = pd.read_csv(SHARED / "telco_churn" / "Telco-Customer-Churn.csv").drop(columns="customerID")
    yield "telco_churn", telco.assign(TotalCharges=pd.to_numeric(telco["TotalCharges"], errors="coerce")), "Churn"
    bank = next((SHARED / "bank_marketing").rglob("bank-additional.csv"))
    yield "bank_marketing", pd.read_csv(bank, sep=";"), "y"
    for file in ("hour.csv.gz", "day.csv"):
        bikes = pd.read_csv(SHARED / "bike_sharing" / file).drop(columns=["instant", "casual", "registered"])
        yield f"bike_{file[:4].strip('.')}", bikes, "cnt"
    adult = pd.read_csv(SHARED / "adult" / "adult-train.csv.gz", header=None, skipinitialspace=True)
    yield "adult", adult.head(8000).set_axis([*(f"a{i}" for i in range(14)), "income"], axis=1), "income"
    german = pd.read_csv(SHARED / "german_credit" / "german_data_credit.csv")
    yield "german_credit", german, str(german.columns[-1])


def numbers(frame: pd.DataFrame, target: str, least: int = 12) -> list[str]:
    """Measurements: numeric columns with enough different values."""
    return [c for c in frame.columns if c != target and frame[c].dtype.kind in "if" and frame[c].nunique() >= least]


def categories(frame: pd.DataFrame, target: str, low: int = 3, high: int = 400) -> list[str]:
    """Columns that put rows into groups."""
    return [c for c in frame.columns if c != target and low <= frame[c].nunique() <= min(high, len(frame) // 4) and (frame[c].dtype.kind not in "f")]


def outcome(frame: pd.DataFrame, target: str) -> pd.Series:
    """The target as a number: the second class counts as 1."""
    y = frame[target]
    if y.dtype.kind in "iuf" and y.nunique() > 2:
        return y.astype(float)
    return (y == sorted(y.unique(), key=str)[-1]).astype(float)


def _scaled(scaler: Callable[[], object], some: int | None, digits: int | None = None) -> Callable[..., Made]:
    def make(frame: pd.DataFrame, target: str, rng: np.random.Generator, learn: np.ndarray) -> Made:
        names = numbers(frame, target)
        if not names:
            return None
        chosen = list(rng.choice(names, min(some or len(names), len(names)), replace=False))
        x = frame[chosen].astype(float)
        done = pd.DataFrame(scaler().fit(x[learn]).transform(x), columns=chosen, index=frame.index)  # type: ignore[attr-defined]
        return frame.assign(**{c: done[c] if digits is None else done[c].round(digits) for c in chosen}), chosen

    return make


def _filled(how: str, share: float, digits: int | None = None, by: bool = False) -> Callable[..., Made]:
    def make(frame: pd.DataFrame, target: str, rng: np.random.Generator, learn: np.ndarray) -> Made:
        names, groups = numbers(frame, target, 30), categories(frame, target, 2, 12)
        if not names or (by and not groups):
            return None
        name = str(rng.choice(names))
        holes = frame[name].astype(float).mask(rng.random(len(frame)) < share)
        if by:
            key = frame[str(rng.choice([g for g in groups if g != name] or groups))]
            fill = key.map(holes[learn].groupby(key[learn]).agg(how))
        else:
            fill = pd.Series(getattr(holes[learn], how)(), index=frame.index)
        done = holes.fillna(fill)
        return frame.assign(**{name: done if digits is None else done.round(digits)}), [name]

    return make


def _encoded(kind: str, drop: bool = False, digits: int | None = None) -> Callable[..., Made]:
    def make(frame: pd.DataFrame, target: str, rng: np.random.Generator, learn: np.ndarray) -> Made:
        groups = categories(frame, target, 6 if kind != "count" else 4)
        if not groups or (kind == "log-odds" and outcome(frame, target).nunique() > 2):
            return None
        group = str(rng.choice(groups))
        y, keys = outcome(frame, target), frame[group]
        by = y.groupby(keys)
        n, total = by.transform("count"), by.transform("sum")
        value = {
            "mean": lambda: total / n,
            "smoothed": lambda: (total + 20 * y.mean()) / (n + 20),
            "log-odds": lambda: np.log((total + 0.5) / (n - total + 0.5)),
            "leave-one-out": lambda: ((total - y) / (n - 1)).fillna(y.mean()),
            "count": lambda: n.astype(float),
            "frequency": lambda: n / len(frame),
        }[kind]()
        made = frame.assign(made_column=value if digits is None else value.round(digits))
        return (made.drop(columns=group) if drop else made), ["made_column"]

    return make


def _group_mean(frame: pd.DataFrame, target: str, rng: np.random.Generator, learn: np.ndarray) -> Made:
    names, groups = numbers(frame, target), categories(frame, target, 4)
    if not names or not groups:
        return None
    group = str(rng.choice(groups))
    name = str(rng.choice([n for n in names if n != group] or names))
    return (None if name == group else (frame.assign(made_column=frame.groupby(group)[name].transform("mean")), ["made_column"]))


def _pca(frame: pd.DataFrame, target: str, rng: np.random.Generator, learn: np.ndarray) -> Made:
    from sklearn.decomposition import PCA

    names = numbers(frame, target)
    if len(names) < 3:
        return None
    x = frame[names].astype(float)
    scores = PCA(2).fit_transform(((x - x.mean()) / x.std()).fillna(0))
    return frame.assign(pc1=scores[:, 0], pc2=scores[:, 1]), ["pc1", "pc2"]


def plants() -> list[Plant]:
    """All mistakes."""
    from sklearn.preprocessing import MinMaxScaler, PowerTransformer, QuantileTransformer, RobustScaler, StandardScaler

    class Pandas:  # as many write it: (x - x.mean()) / x.std()
        def fit(self, x: pd.DataFrame) -> Pandas:
            self.mean, self.sd = x.mean(), x.std()
            return self

        def transform(self, x: pd.DataFrame) -> np.ndarray:
            return ((x - self.mean) / self.sd).to_numpy()

    found = []
    for some in (1, None):
        one = "one column" if some else "all columns"
        found += [Plant("standardised", f"StandardScaler, {one}", _scaled(StandardScaler, some)), Plant("standardised", f"pandas, {one}", _scaled(Pandas, some)),
                  Plant("min-max", f"MinMaxScaler, {one}", _scaled(MinMaxScaler, some)), Plant("robust", f"RobustScaler, {one}", _scaled(RobustScaler, some))]  # fmt: skip
    found += [Plant("standardised", f"StandardScaler, {d} decimals", _scaled(StandardScaler, 1, d)) for d in (6, 4, 3, 2)]
    found += [Plant("standardised", "PowerTransformer", _scaled(PowerTransformer, 1)),
              Plant("ranks", "QuantileTransformer", _scaled(lambda: QuantileTransformer(n_quantiles=1000), 1)),
              Plant("ranks", "QuantileTransformer, normal", _scaled(lambda: QuantileTransformer(n_quantiles=1000, output_distribution="normal"), 1))]  # fmt: skip
    found += [Plant("filled", f"{how}, {share:.0%}", _filled(how, share)) for how in ("mean", "median") for share in (0.02, 0.1, 0.3)]
    found += [Plant("filled", "mean, 2 decimals", _filled("mean", 0.1, 2)), Plant("filled by group", "mean", _filled("mean", 0.1, by=True)),
              Plant("filled by group", "median", _filled("median", 0.1, by=True))]  # fmt: skip
    found += [Plant("target", f"{kind}{', group dropped' * drop}", _encoded(kind, drop)) for kind in ("mean", "smoothed", "log-odds") for drop in (False, True)]
    found += [Plant("target", "leave-one-out", _encoded("leave-one-out")), Plant("target", "mean, 4 decimals", _encoded("mean", False, 4)),
              Plant("target", "mean, 2 decimals, group dropped", _encoded("mean", True, 2))]  # fmt: skip
    found += [Plant("counted", kind, _encoded(kind)) for kind in ("count", "frequency")]
    found += [Plant("counted", "frequency, group dropped", _encoded("frequency", True)), Plant("counted", "group mean", _group_mean), Plant("centred", "PCA", _pca)]
    return found


def leaks(plant: Plant, frame: pd.DataFrame, target: str, key: list[int], early: np.ndarray) -> Made:
    """The table of a plant; None where it cannot be made, or where scaling and filling learn the very same from train alone."""
    made, honest = (plant.make(frame, target, np.random.default_rng(key), learn) for learn in (np.ones(len(frame), bool), early))
    if made is None or honest is None or plant.family not in ("standardised", "min-max", "robust", "ranks", "filled", "filled by group"):
        return made
    ours, theirs = (table[0].loc[early, made[1]].to_numpy(float) for table in (made, honest))
    return made if (np.abs(ours - theirs) > 1e-9 * np.nanstd(ours, axis=0)).any() else None


def main(only: list[str]) -> None:
    """Recall by family, false alarms by table."""
    from sklearn.model_selection import train_test_split

    from mlnb.data.leak_preparation import preparation_findings

    warnings.simplefilter("ignore")
    tried: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    clean = [0, 0, 0, 0]  # splits, failing splits, columns, columns named
    for name, frame, target in tables():
        if only and name not in only:
            continue
        for seed in range(3):
            train, test = train_test_split(frame, test_size=0.25, random_state=seed)
            found = preparation_findings(train, test, target, "")
            named = {c for f in found if f.status.value in ("fail", "warn") for c in f.columns}
            clean = [clean[0] + 1, clean[1] + bool(found.failed), clean[2] + len(frame.columns) - 1, clean[3] + len(named)]
            if found.failed or named:
                print(f"!! {name} {seed}: " + " ".join(f"{f.code} {f.message}" for f in found if f.columns or f.status.value == "fail"))
        for plant in plants():
            key = [*plant.name.encode(), len(frame)]
            early = np.zeros(len(frame), dtype=bool)
            early[train_test_split(np.arange(len(frame)), test_size=0.25, random_state=sum(key) % 1000)[0]] = True
            made = leaks(plant, frame, target, key, early)
            if made is None:
                continue
            whole, columns = made
            found = preparation_findings(whole[early], whole[~early], target, "")
            hit = set(columns) & {c for f in found.failed for c in f.columns}
            tried[plant.family] = [tried[plant.family][0] + bool(hit), tried[plant.family][1] + 1]
            if not hit:
                print(f"-- {name}: {plant.family}, {plant.name}: {columns[:3]}")
    for family, (hits, total) in sorted(tried.items()):
        print(f"{family:<42}{hits:>5} of {total:>4}  {hits / total:.0%}")
    print(f"clean: {clean[1]} of {clean[0]} splits fail, {clean[3]} of {clean[2]} columns named")


if __name__ == "__main__":
    main(sys.argv[1:])
