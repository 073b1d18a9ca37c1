"""Tables that hold no leak, honest splits of them, and leaks to plant: what bench_leaks.py measures the audit with.

A plant says what it is only through its data: the new columns have random names and stand at random places.
"""

from __future__ import annotations

import functools
import hashlib
import os
import string
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

SHARED = Path(os.environ.get("MLNB_TEST_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")


@dataclass(frozen=True)
class Case:
    """A table without a leak and what its columns are."""

    name: str
    frame: pd.DataFrame
    target: str
    time: str = ""  # column that orders the rows; named in the audit of splits by time
    entity: str = ""  # column that says whom a row is about
    kinds: tuple[str, ...] = ("random",)  # honest splits
    learn: np.ndarray | None = None  # rows that a preparation learns from, all when none; which is the mistake

    @property
    def classes(self) -> bool:
        """Whether the target is a class."""
        y = self.frame[self.target]
        return y.dtype.kind not in "iuf" or y.nunique() <= 20

    @property
    def y(self) -> np.ndarray:
        """The target as class codes or numbers."""
        y = self.frame[self.target]
        return pd.factorize(y, sort=True)[0] if self.classes else y.to_numpy(float)


@dataclass(frozen=True)
class Sides:
    """A split of a case, with or without something planted."""

    case: Case
    train: pd.DataFrame
    test: pd.DataFrame
    named: dict[str, str]  # time and entity, as far as the audit is told of them
    columns: tuple[str, ...] = ()  # planted columns: each has to be named by a failing finding
    codes: tuple[str, ...] = ()  # for planted rows: one of these has to fail
    at_least: str = "fail"  # "warn" where a warning is enough


def _some(frame: pd.DataFrame, rows: int) -> pd.DataFrame:
    """Every so many-th row, so that an order in time stays."""
    return frame.iloc[:: max(len(frame) // rows, 1)].reset_index(drop=True)


# Tables


@functools.cache
def shared_tables() -> tuple[Case, ...]:
    """The real data beside the checkout; those that are absent are left out."""
    found: list[Case] = []

    def read(path: str, **options: object) -> pd.DataFrame | None:
        return pd.read_csv(SHARED / path, **options) if (SHARED / path).exists() else None

    if (d := read("telco_churn/Telco-Customer-Churn.csv")) is not None:
        found.append(Case("telco", _some(d, 3000), "Churn"))
    if (d := read("bank_marketing/bank-additional-full.csv.gz", sep=";")) is not None:
        found.append(Case("bank", _some(d.drop(columns="duration"), 4000), "y", kinds=("random", "ordered")))
    for name, rows in (("hour.csv.gz", 3000), ("day.csv", 731)):
        if (d := read(f"bike_sharing/{name}")) is not None:
            d = _some(d.drop(columns=["casual", "registered"]), rows)
            found.append(Case(f"bike_{name[:4].strip('.')}", d, "cnt", "dteday", kinds=("time",)))
    if (d := read("adult/adult-train.csv.gz", header=None, skipinitialspace=True)) is not None:
        names = ("age workclass fnlwgt education education_num marital occupation relationship race sex gain loss hours country income")
        found.append(Case("adult", _some(d.set_axis(names.split(), axis=1), 4000), "income"))
    if (d := read("german_credit/german_data_credit.csv")) is not None:
        found.append(Case("german", d, "class-label"))
    for twin in ("clean", "dirty"):
        if (d := read(f"dirty_beers/{twin}.csv")) is not None:
            found.append(Case(f"beers_{twin}", d, "ounces" if twin == "clean" else "abv"))
        if (d := read(f"dirty_hospital/{twin}.csv")) is not None and twin == "clean":
            found.append(Case(f"hospital_{twin}", d, "EmergencyService", entity="ProviderNumber", kinds=("grouped",)))
    return tuple(replace(c, frame=c.frame[c.frame[c.target].notna()].reset_index(drop=True)) for c in found)


@functools.cache
def library_tables() -> tuple[Case, ...]:
    """Tables that scikit-learn has, and tables made here that look like real ones."""
    from sklearn import datasets

    found = []
    for name in ("breast_cancer", "wine", "iris", "diabetes"):
        found.append(Case(name, getattr(datasets, f"load_{name}")(as_frame=True).frame, "target"))
    digits = datasets.load_digits(as_frame=True).frame
    found.append(Case("digits", digits, "target"))
    x, y = datasets.make_classification(1500, 15, n_informative=4, n_redundant=3, class_sep=1.2, weights=[0.8], random_state=1)
    found.append(Case("classification", pd.DataFrame(x, columns=[f"x{i}" for i in range(15)]).assign(y=y), "y"))
    x, y = datasets.make_classification(1200, 12, n_informative=6, n_classes=5, n_clusters_per_class=1, random_state=2)
    found.append(Case("five_classes", pd.DataFrame(x, columns=[f"x{i}" for i in range(12)]).assign(y=y), "y"))
    x, y = datasets.make_regression(1000, 12, n_informative=5, noise=20, random_state=3)
    found.append(Case("regression", pd.DataFrame(x, columns=[f"x{i}" for i in range(12)]).assign(y=y), "y"))
    x, y = datasets.make_friedman1(900, noise=1.0, random_state=4)
    found.append(Case("friedman", pd.DataFrame(x, columns=[f"x{i}" for i in range(10)]).assign(y=y), "y"))
    return (*found, *made_tables())


def made_tables() -> Iterator[Case]:
    """Fraud, claims, machines over time, shops over time, patients, visits of customers."""
    rng = np.random.default_rng(5)
    n = 4000
    amount, hour, shop = rng.lognormal(3, 1, n), rng.integers(0, 24, n), rng.choice([f"m{i:03}" for i in range(300)], n)
    risk = -5.6 + 0.8 * np.log(amount / 20) + 1.2 * (hour < 5) + rng.normal(0, 0.5, 300)[np.char.lstrip(shop.astype(str), "m").astype(int)]
    fraud = (rng.random(n) < 1 / (1 + np.exp(-risk))).astype(int)
    made = pd.DataFrame({"amount": amount.round(2), "hour": hour, "merchant": shop, "card": rng.integers(10**8, 10**9, n),
                         "foreign": rng.random(n) < 0.1, "age_days": rng.integers(1, 2000, n), "fraud": fraud})
    yield Case("fraud", made, "fraud")
    strong = rng.normal(0, 1, 1500)  # a strong honest feature, some weak ones
    label = (strong + rng.normal(0, 0.35, 1500) + 0.2 * (weak := rng.normal(0, 1, 1500)) > 0.3).astype(int)
    yield Case("strong", pd.DataFrame({"s": strong, "w": weak, "k": rng.choice(list("abcd"), 1500), "u": rng.random(1500), "y": label}), "y")
    machines, days = 25, 120
    who, day = np.repeat(np.arange(machines), days), np.tile(np.arange(days), machines)
    heat = np.zeros((machines, days))
    for t in range(1, days):
        heat[:, t] = 0.9 * heat[:, t - 1] + rng.normal(0, 1, machines)
    load = np.abs(rng.normal(5, 1, (machines, days)).cumsum(axis=1) / 20) + rng.normal(0, 1, (machines, days))
    wear = 20 + rng.normal(0, 3, (machines, 1)) + 1.5 * heat + 0.8 * load + rng.normal(0, 1, (machines, days))
    panel = pd.DataFrame({"machine": [f"M{i:02}" for i in who], "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(day, "D"),
                          "heat": heat.ravel(), "load": load.ravel(), "wear": wear.ravel()})
    grouped = panel.groupby("machine")
    panel["wear_1"], panel["heat_1"] = grouped["wear"].shift(1), grouped["heat"].shift(1)
    panel["wear_mean"] = grouped["wear"].transform(lambda s: s.shift(1).rolling(7, min_periods=1).mean())
    panel["service_due"] = panel["day"] + pd.Timedelta(days=30)  # a planned date
    panel = panel.sort_values(["day", "machine"], ignore_index=True)
    yield Case("machines", panel, "wear", "day", "machine", kinds=("time",))
    fails = (panel["wear"] > panel["wear"].quantile(0.85)).astype(int)
    yield Case("failures", panel.drop(columns=["wear", "wear_1", "wear_mean", "service_due"]).assign(fails=fails), "fails", "day",
               "machine", kinds=("time", "grouped"))
    t = np.arange(900)
    sales = 200 + 0.1 * t + 40 * np.sin(t * 2 * np.pi / 7) + 25 * np.sin(t * 2 * np.pi / 365) + rng.normal(0, 12, 900)
    shop_days = pd.DataFrame({"date": pd.date_range("2022-01-01", periods=900), "promo": rng.random(900) < 0.2, "sales": sales})
    shop_days["sales"] += 30 * shop_days["promo"]
    shop_days["temp"] = 12 + 9 * np.sin(t * 2 * np.pi / 365 - 2) + rng.normal(0, 2, 900)
    for k in (1, 7):
        shop_days[f"lag{k}"] = shop_days["sales"].shift(k)
    yield Case("sales", shop_days.iloc[7:].reset_index(drop=True), "sales", "date", kinds=("time",))
    walk = 100 + rng.normal(0, 1, 700).cumsum()
    stock = pd.DataFrame({"ts": pd.date_range("2023-01-01", periods=700, freq="h"), "volume": rng.lognormal(2, 0.5, 700), "price": walk})
    stock["before"], stock["mean5"] = stock["price"].shift(1), stock["price"].shift(1).rolling(5).mean()
    yield Case("walk", stock.iloc[6:].reset_index(drop=True), "price", "ts", kinds=("time",))
    p = pd.DataFrame(rng.normal(0, 1, (160, 25)), columns=[f"g{i}" for i in range(25)])
    yield Case("patients", p.assign(ill=(p["g0"] + p["g1"] + rng.normal(0, 1, 160) > 0).astype(int)), "ill")
    cust = rng.integers(0, 400, 2400)
    taste = rng.normal(0, 1, 400)[cust]
    visits = pd.DataFrame({"customer": cust + 7000, "basket": rng.lognormal(3 + 0.3 * taste, 0.4).round(2), "weekday": rng.integers(0, 7, 2400),
                           "region": rng.choice(list("NSEW"), 400)[cust], "comment": [" ".join(rng.choice(WORDS, 6)) for _ in cust],
                           "back": (rng.random(2400) < 1 / (1 + np.exp(-taste))).astype(int)})
    yield Case("visits", visits, "back", entity="customer", kinds=("grouped",))


WORDS = np.array("the staff was very nice slow and quick cheap parcel late early broken good box again never queue price".split())


def cases() -> tuple[Case, ...]:
    """All tables."""
    return (*shared_tables(), *library_tables())


# Splits


def split(case: Case, kind: str, seed: int = 0, test: float = 0.3) -> Sides:
    """An honest split: random, in the order of the rows, by time, or by entity; shuffled is the one that is not honest."""
    d, rng = case.frame, np.random.default_rng(seed)
    n, named = len(d), {}
    if kind == "time":
        moments = np.sort(d[case.time].unique())
        late = (d[case.time] > moments[int(len(moments) * (1 - test))]).to_numpy()
        named = {"time": case.time}
    elif kind == "ordered":
        late = np.arange(n) >= int(n * (1 - test))
    elif kind == "grouped":
        who = d[case.entity].unique()
        late = d[case.entity].isin(rng.permutation(who)[: max(int(len(who) * test), 1)]).to_numpy()
        named = {"entity": case.entity}
    else:
        late = np.zeros(n, dtype=bool)
        late[rng.permutation(n)[: int(n * test)]] = True
    return Sides(case, d[~late].reset_index(drop=True), d[late].reset_index(drop=True), named)


def _new_name(rng: np.random.Generator) -> str:
    return "".join(rng.choice(list(string.ascii_lowercase), 8))


def add(sides: Sides, values: dict[str, np.ndarray | pd.Series], late: np.ndarray, rng: np.random.Generator, instead: str = "") -> Sides:
    """Columns computed over the whole table, put into both sides under random names at random places."""
    whole, names = sides.case.frame, []
    place_of = {name: rng.random() for name in whole.columns}
    for column in values.values():
        names.append(name := instead or _new_name(rng))
        whole = whole.assign(**{name: np.asarray(column)})
        place_of.setdefault(name, rng.random())
    whole = whole[sorted(place_of, key=place_of.__getitem__)]
    return replace(sides, train=whole[~late].reset_index(drop=True), test=whole[late].reset_index(drop=True), columns=tuple(names))


# Plants: name -> (code, strengths, which cases, function). A function takes case, strength and generator and gives columns.

Made = dict[str, "np.ndarray | pd.Series"]


@dataclass(frozen=True)
class Plant:
    """A way to leak."""

    family: str
    code: str
    strengths: tuple[float, ...]
    make: Callable[[Case, float, np.random.Generator], Made]
    fits: Callable[[Case], bool] = lambda case: True
    replaces: bool = False  # the column of that name is replaced and not a new one added


def _hash(parts: object) -> str:
    return hashlib.md5(str(parts).encode()).hexdigest()[:8]


def _noisy(case: Case, s: float, rng: np.random.Generator) -> Made:
    return {"": case.y + s * (1 if case.classes else case.y.std()) * rng.normal(0, 1, len(case.y))}


def _codes(case: Case, k: float, rng: np.random.Generator) -> Made:
    table = rng.permutation(int(k) * (case.y.max() + 1))
    return {"": np.array([_hash(table[int(y * k + i)]) for y, i in zip(case.y, rng.integers(0, int(k), len(case.y)), strict=True)])}


def _numeric_codes(case: Case, k: float, rng: np.random.Generator) -> Made:
    table = rng.permutation(100_000)[: int(k) * (case.y.max() + 1)]
    return {"": table[(case.y * int(k) + rng.integers(0, int(k), len(case.y))).astype(int)]}


def _text(case: Case, slip: float, rng: np.random.Generator) -> Made:
    words = [_hash(("w", i)) for i in range(case.y.max() + 1)]
    y = np.where(rng.random(len(case.y)) < slip, rng.integers(0, case.y.max() + 1, len(case.y)), case.y)
    return {"": np.array([" ".join(rng.permutation([*rng.choice(WORDS, 5), words[c]])) for c in y])}


def _enough(case: Case) -> bool:
    """Whether 5 % of the training rows hold enough of two outcomes to be told from chance."""
    if not case.classes:
        return len(case.y) >= 600
    early = case.y[: int(len(case.y) * 0.7)]  # what a split by time leaves to train on
    return len(case.y) >= 600 and np.sort(np.bincount(early))[-2] * 0.05 >= 6


def _partial_numeric(case: Case, share: float, rng: np.random.Generator) -> Made:
    known = rng.random(len(case.y)) < share
    return {"": np.where(known, case.y * 1.0, np.nan)}


def _partial_code(case: Case, share: float, rng: np.random.Generator) -> Made:
    known = rng.random(len(case.y)) < share
    return {"": np.where(known, [_hash(("p", y)) for y in case.y], "none")}


def _partial_default(case: Case, share: float, rng: np.random.Generator) -> Made:
    known = rng.random(len(case.y)) < share
    return {"": np.where(known, 10.0 + case.y, 0.0)}


def _one_class(case: Case) -> np.ndarray:
    """The rarer outcome, or the upper part of a number."""
    if not case.classes:
        return case.y > np.quantile(case.y, 0.7)
    counts = np.bincount(case.y)
    return case.y == (counts.argmin() if counts_ok(case) else counts.argmax())


def counts_ok(case: Case) -> bool:
    """Whether the rarest class has some rows."""
    return np.bincount(case.y[: int(len(case.y) * 0.7)], minlength=case.y.max() + 1).min() >= 20


def _status(case: Case, share: float, rng: np.random.Generator) -> Made:
    """A status written after the outcome, on a share of all rows (as far as the outcome goes)."""
    hit = _one_class(case)
    known = hit & (rng.random(len(hit)) < share / hit.mean())
    return {"": np.where(known, "Z9", rng.choice(["A1", "A2", "A3"], len(hit)))}


def _missing(case: Case, slip: float, rng: np.random.Generator) -> Made:
    filled = _one_class(case) ^ (rng.random(len(case.y)) < slip)
    return {"": np.where(filled, rng.normal(50, 10, len(filled)), np.nan)}


def _missing_text(case: Case, slip: float, rng: np.random.Generator) -> Made:
    filled = _one_class(case) ^ (rng.random(len(case.y)) < slip)
    return {"": np.where(filled, rng.choice(["web", "phone", "letter", "shop"], len(filled)), None)}


def _times(case: Case, s: float, rng: np.random.Generator) -> Made:
    level = min(1.0, 2 * case.y.std() / max(abs(case.y.mean()), 1e-9))  # noise that drowns the target altogether hides the leak, too
    return {"": case.y * (1 + s * level * rng.normal(0, 1, len(case.y)))}


def _parts(case: Case, k: float, rng: np.random.Generator) -> Made:
    shares = rng.dirichlet(np.full(int(k), 3.0), len(case.y))
    whole = np.allclose(case.y, np.round(case.y))
    parts = case.y[:, None] * shares
    if whole:
        parts = np.round(parts)
    parts[:, -1] = case.y - parts[:, :-1].sum(axis=1)
    return {str(i): parts[:, i] for i in range(int(k))}


def _regression(case: Case) -> bool:
    return not case.classes


def _rescaled(kind: str) -> Callable[[Case, float, np.random.Generator], Made]:
    def make(case: Case, _: float, rng: np.random.Generator) -> Made:
        y = case.y
        if kind == "log":
            return {"": np.log(y - y.min() + 0.1 * y.std())}
        if kind == "rank":
            return {"": pd.Series(y).rank(pct=True).round(3)}
        return {"": -3.7 * y + 12}

    return make


def _rounded(case: Case, values: float, rng: np.random.Generator) -> Made:
    step = (np.quantile(case.y, 0.98) - np.quantile(case.y, 0.02)) / values
    return {"": np.round(case.y / step) * step}


def _binned(case: Case, bins: float, rng: np.random.Generator) -> Made:
    codes = pd.qcut(pd.Series(case.y), int(bins), labels=False, duplicates="drop")
    names = np.array([_hash(("b", i)) for i in range(int(bins))])
    return {"": names[codes]}


def _wide_bins(case: Case, bins: float, rng: np.random.Generator) -> Made:
    low, high = np.quantile(case.y, [0.02, 0.98])
    return {"": np.clip(((case.y - low) / (high - low) * bins).astype(int), 0, bins - 1)}


# over time


def _timed(case: Case) -> bool:
    return bool(case.time)


def _by_entity(case: Case, column: np.ndarray, change: Callable[[pd.Series], pd.Series]) -> np.ndarray:
    """Something done to a column along time, for each entity where there are some."""
    order = case.frame[case.time].argsort(kind="stable")
    values = pd.Series(column, index=case.frame.index)[order]
    changed = values.groupby(case.frame[case.entity][order]).transform(change) if case.entity else change(values)
    return changed.reindex(case.frame.index).to_numpy()


def _lead(case: Case, k: float, rng: np.random.Generator) -> Made:
    return {"": _by_entity(case, case.y, lambda s: s.shift(-int(k)))}


def _centred(case: Case, width: float, rng: np.random.Generator) -> Made:
    return {"": _by_entity(case, case.y * 1.0, lambda s: s.rolling(int(width), center=True, min_periods=1).mean())}


def _number(case: Case, rng: np.random.Generator) -> str:
    d = case.frame.drop(columns=[case.target])
    names = [c for c in d if d[c].dtype.kind in "f" and d[c].nunique() > 50 and not any(c.endswith(e) for e in ("_1", "_mean", "lag1", "lag7"))]
    return str(rng.choice(names))


def _lead_feature(case: Case, k: float, rng: np.random.Generator) -> Made:
    values = case.frame[_number(case, rng)].to_numpy(float)
    return {"": _by_entity(case, values, lambda s: s.shift(-int(k)))}


def _centred_feature(case: Case, width: float, rng: np.random.Generator) -> Made:
    values = case.frame[_number(case, rng)].to_numpy(float)
    return {"": _by_entity(case, values, lambda s: s.rolling(int(width), center=True, min_periods=1).mean())}


def _later(case: Case, days: float, rng: np.random.Generator) -> Made:
    moment = pd.to_datetime(case.frame[case.time])
    return {"": moment + pd.to_timedelta(np.ceil(rng.exponential(days, len(moment))), "D")}


def _closed(case: Case, days: float, rng: np.random.Generator) -> Made:
    moment = pd.to_datetime(case.frame[case.time])
    written = moment + pd.to_timedelta(np.ceil(rng.exponential(days, len(moment))), "D")
    return {"": written.where(rng.random(len(moment)) < 0.4)}


# through preparation, before the split


def _category(case: Case, few: bool = True) -> str | None:
    d = case.frame.drop(columns=[c for c in (case.target, case.time, case.entity) if c])
    names = [c for c in d if 3 <= d[c].nunique() <= (40 if few else 400) and (d[c].dtype.kind in "OTb" or str(d[c].dtype) == "str")]
    return names[0] if names else None


def _target_mean(by: str, smooth: float) -> Callable[[Case, float, np.random.Generator], Made]:
    def make(case: Case, _: float, rng: np.random.Generator) -> Made:
        key = case.frame[case.entity if by == "entity" else _category(case)].astype(str)
        y = pd.Series(_one_class(case) * 1.0 if case.classes else case.y)
        found = y.groupby(key).agg(["sum", "count"])
        mean = (found["sum"] + smooth * y.mean()) / (found["count"] + smooth)
        return {"": key.map(mean)}

    return make


SCALERS = ("standard", "minmax", "robust", "rank")


def _learnt(case: Case, x: pd.Series) -> pd.Series:
    """The rows of a column that a preparation learns from."""
    return x if case.learn is None else x[case.learn]


def _scaled(kind: str) -> Callable[[Case, float, np.random.Generator], Made]:
    def make(case: Case, _: float, rng: np.random.Generator) -> Made:
        d = case.frame.drop(columns=[case.target])
        name = str(rng.choice([c for c in d if d[c].dtype.kind in "fi" and d[c].nunique() > 30]))
        x, known = d[name], _learnt(case, d[name])
        spread = known.quantile(0.75) - known.quantile(0.25)
        return {name: {"standard": (x - known.mean()) / known.std(ddof=0), "minmax": (x - known.min()) / (known.max() - known.min()),
                       "robust": (x - known.median()) / (spread or 1), "rank": known.rank(pct=True).reindex(x.index)}[kind]}

    return make


def _imputed(kind: str) -> Callable[[Case, float, np.random.Generator], Made]:
    def make(case: Case, share: float, rng: np.random.Generator) -> Made:
        d = case.frame.drop(columns=[case.target])
        name = str(rng.choice([c for c in d if d[c].dtype.kind == "f" and d[c].nunique() > 50]))
        x = d[name].where(rng.random(len(d)) >= share)
        known = _learnt(case, x)
        if kind == "group":
            key = d[_category(case)]
            return {name: x.fillna(key.map(known.groupby(key).mean())).fillna(known.mean())}
        return {name: x.fillna(known.mean() if kind == "mean" else known.median())}

    return make


def _has_numbers(case: Case) -> bool:
    d = case.frame.drop(columns=[case.target])
    return any(d[c].dtype.kind == "f" and d[c].nunique() > 50 for c in d)


def _has_category(case: Case) -> bool:
    return _category(case) is not None


def _classes(case: Case) -> bool:
    return case.classes


PLANTS = (
    Plant("target with noise", "LEAK04", (0.0, 0.05, 0.15), _noisy),
    Plant("one code a class", "LEAK04", (1,), _codes, _classes),
    Plant("several codes a class", "LEAK04", (3, 10, 25), _codes, _classes),
    Plant("numeric codes", "LEAK04", (1, 4, 10), _numeric_codes, _classes),
    Plant("text with a word of the class", "LEAK04", (0.0, 0.02), _text, _classes),
    Plant("known for some rows, number", "LEAK04", (0.05, 0.1, 0.3, 0.7), _partial_numeric, _enough),
    Plant("known for some rows, code", "LEAK04", (0.05, 0.1, 0.3, 0.7), _partial_code, lambda c: c.classes and _enough(c)),
    Plant("known for some rows, default elsewhere", "LEAK04", (0.05, 0.1, 0.3), _partial_default, _enough),
    Plant("status after the outcome", "LEAK04", (0.05, 0.1, 0.2), _status, lambda c: c.classes and _enough(c) and counts_ok(c)),
    Plant("filled in after the outcome", "LEAK04", (0.0, 0.01, 0.03), _missing),
    Plant("filled in after the outcome, text", "LEAK04", (0.0, 0.02), _missing_text),
    Plant("target times noise", "LEAK04", (0.01, 0.05, 0.1), _times, _regression),
    Plant("target rounded", "LEAK04", (30, 10, 5), _rounded, _regression),
    Plant("target in equal bins", "LEAK04", (20, 8, 4), _binned, _regression),
    Plant("target in wide bins", "LEAK04", (20, 8, 4), _wide_bins, _regression),
    Plant("logarithm", "LEAK04", (1,), _rescaled("log"), _regression),
    Plant("rank", "LEAK04", (1,), _rescaled("rank"), _regression),
    Plant("other unit", "LEAK04", (1,), _rescaled("affine"), _regression),
    Plant("parts of a sum", "LEAK04", (2, 3, 5), _parts, _regression),
    Plant("later target", "LEAK01", (1, 2, 7), _lead, _timed),
    Plant("centred mean of the target", "LEAK01", (3, 5, 9), _centred, _timed),
    Plant("later feature", "LEAK01", (1, 2, 7), _lead_feature, _timed),
    Plant("centred mean of a feature", "LEAK01", (3, 5), _centred_feature, _timed),
    Plant("date after the row", "LEAK01", (3, 30), _later, _timed),
    Plant("date after the row, some rows", "LEAK01", (3, 30), _closed, _timed),
    Plant("target mean by category", "LEAK03", (0,), _target_mean("category", 0), _has_category),
    Plant("target mean by category, smoothed", "LEAK03", (10,), _target_mean("category", 10), _has_category),
    Plant("target mean by entity", "LEAK03", (0,), _target_mean("entity", 0), lambda case: bool(case.entity) and not case.name.startswith("hospital")),
    *(Plant(f"scaled before the split, {k}", "LEAK08", (1,), _scaled(k), _has_numbers, replaces=True) for k in SCALERS),
    Plant("imputed before the split, mean", "LEAK08", (0.05, 0.2), _imputed("mean"), _has_numbers, replaces=True),
    Plant("imputed before the split, median", "LEAK08", (0.05, 0.2), _imputed("median"), _has_numbers, replaces=True),
    Plant("imputed before the split, group", "LEAK08", (0.2,), _imputed("group"), lambda c: _has_numbers(c) and _has_category(c),
          replaces=True),
)  # fmt: skip


def _leaks(plant: Plant, case: Case, strength: float, late: np.ndarray, key: list[int]) -> Made | None:
    """The prepared column of a plant that replaces one; None where the same is learnt from train alone, so that nothing has leaked."""
    made, honest = (plant.make(c, strength, np.random.default_rng(key)) for c in (case, replace(case, learn=~late)))
    ((name, values),) = made.items()
    ours, theirs = (np.asarray(x, float)[~late] for x in (values, honest[name]))
    apart = np.abs(ours - theirs) > 1e-9 * max(float(np.nanstd(ours)), 1e-300)
    return made if apart.any() else None


def planted(plant: Plant, case: Case, strength: float, kind: str, seed: int) -> Sides | None:
    """A case with a column plant; None where none of ten draws leaks anything."""
    key = [zlib.crc32(f"{plant.family} {case.name}".encode()), seed]
    rows = replace(case, frame=case.frame.assign(row__=np.arange(len(case.frame))))
    late = np.isin(np.arange(len(case.frame)), split(rows, kind, seed).test["row__"])
    if plant.replaces:
        draws = (_leaks(plant, case, strength, late, key + [i] * (i > 0)) for i in range(10))
        made = next((found for found in draws if found is not None), None)
        if made is None:
            return None
        ((name, values),) = made.items()
        whole = case.frame.assign(**{name: np.asarray(values)})
        sides = split(case, kind, seed)
        return replace(sides, train=whole[~late].reset_index(drop=True), test=whole[late].reset_index(drop=True), columns=(name,))
    rng = np.random.default_rng(key)
    sides, made = split(case, kind, seed), plant.make(case, strength, rng)
    return add(sides, made, late, rng)


# Planted rows


def copies(sides: Sides, share: float, rng: np.random.Generator) -> Sides:
    """Test rows replaced by copies of training rows."""
    k = max(round(len(sides.test) * share), 3)
    rows = sides.train.iloc[rng.integers(0, len(sides.train), k)]
    test = pd.concat([sides.test.iloc[k:], rows]).sample(frac=1, random_state=int(rng.integers(1 << 30))).reset_index(drop=True)
    return replace(sides, test=test, codes=("LEAK07",))


def _respelt(value: object, rng: np.random.Generator, how: str) -> object:
    if not isinstance(value, str):
        return value
    if how == "order" and " " in value:
        return " ".join(rng.permutation(value.split()))
    return [value.upper(), f" {value}", f"{value} ", value.title(), value.replace(" ", "  ")][rng.integers(5)]


def near_copies(how: str) -> Callable[[Sides, float, np.random.Generator], Sides]:
    """Copies with another spelling, other order of words, or a little noise in their numbers."""

    def make(sides: Sides, share: float, rng: np.random.Generator) -> Sides:
        k = max(round(len(sides.test) * share), 3)
        rows = sides.train.iloc[rng.integers(0, len(sides.train), k)].copy()
        keep = {sides.case.target, sides.case.time, sides.case.entity}
        for name in [c for c in rows if c not in keep]:
            if how.startswith("jitter") and rows[name].dtype.kind == "f":
                size = float(how.split()[1]) * sides.train[name].std()
                rows[name] = rows[name] + size * rng.normal(0, 1, k)
            elif not how.startswith("jitter") and rows[name].dtype.kind not in "iufbM":
                rows[name] = [_respelt(value, rng, how) for value in rows[name]]
        test = pd.concat([sides.test.iloc[k:], rows]).sample(frac=1, random_state=int(rng.integers(1 << 30))).reset_index(drop=True)
        return replace(sides, test=test, codes=("LEAK07",))

    return make


def same_entities(named: bool) -> Callable[[Sides, float, np.random.Generator], Sides]:
    """A random split of rows of which entities have several."""

    def make(sides: Sides, _: float, rng: np.random.Generator) -> Sides:
        mixed = split(sides.case, "random", int(rng.integers(1 << 30)))
        told = {"entity": sides.case.entity} if named else {}
        return replace(mixed, named=told, codes=("LEAK07",), at_least="fail" if named else "warn")

    return make


def shuffled(named: bool) -> Callable[[Sides, float, np.random.Generator], Sides]:
    """A random split of rows that lie in time."""

    def make(sides: Sides, _: float, rng: np.random.Generator) -> Sides:
        mixed = split(sides.case, "random", int(rng.integers(1 << 30)))
        return replace(mixed, named={"time": sides.case.time} if named else {}, codes=("LEAK05",), at_least="fail" if named else "warn")

    return make


def _no_natural_twins(case: Case) -> bool:
    return bool(case.frame.drop(columns=[case.target]).duplicated().mean() < 0.01)


def _has_text(case: Case) -> bool:
    d = case.frame.drop(columns=[c for c in (case.target, case.entity, case.time) if c])
    return sum(d[c].dtype.kind not in "iufbM" for c in d) >= 2


@dataclass(frozen=True)
class RowPlant:
    """A way to put the same rows, entities or times on both sides."""

    family: str
    code: str
    strengths: tuple[float, ...]
    make: Callable[[Sides, float, np.random.Generator], Sides]
    fits: Callable[[Case], bool]


ROW_PLANTS = (
    RowPlant("exact copies", "LEAK07", (0.005, 0.02, 0.2), copies, _no_natural_twins),
    RowPlant("near copies, spelling", "LEAK07", (0.02, 0.2), near_copies("case"), _has_text),
    RowPlant("near copies, order of words", "LEAK07", (0.05, 0.2), near_copies("order"), lambda c: c.name in ("visits", "hospital_clean")),
    RowPlant("near copies, jitter 1e-6", "LEAK07", (0.02, 0.2), near_copies("jitter 1e-6"), _has_numbers),
    RowPlant("near copies, jitter 1e-3", "LEAK07", (0.02, 0.2), near_copies("jitter 1e-3"), _has_numbers),
    RowPlant("near copies, jitter 1e-2", "LEAK07", (0.05, 0.2), near_copies("jitter 1e-2"), _has_numbers),
    RowPlant("entities, named", "LEAK07", (1,), same_entities(True), lambda c: bool(c.entity)),
    RowPlant("entities, not named", "LEAK07", (1,), same_entities(False), lambda c: bool(c.entity)),
    RowPlant("shuffled time, named", "LEAK05", (1,), shuffled(True), _timed),
    RowPlant("shuffled time, not named", "LEAK05", (1,), shuffled(False), _timed),
)


def planted_rows(plant: RowPlant, case: Case, strength: float, kind: str, seed: int) -> Sides:
    """A case with planted rows."""
    rng = np.random.default_rng([zlib.crc32(f"{plant.family} {case.name}".encode()), seed])
    return plant.make(split(case, kind, seed), strength, rng)
