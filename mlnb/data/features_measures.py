""" """
#| export
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlnb.core.findings import plain
from ..data.signal import Answer, coded, noise, single

if TYPE_CHECKING:
    import pandas as pd


#| export
ROUND: Mapping[str, tuple[str, int, int, int]] = {  # what -> words in the name, lowest, highest, length of the circle
    "hour": (r"(^|[^a-z])(hours?|hr|hrs|hod)([^a-z]|$)", 0, 24, 24), "weekday": (r"week_?day|day_?of_?week|(^|_)(dow|wday)($|_)", 0, 7, 7),
    "month": (r"month(?!ly|s)|mnth", 0, 12, 12), "minute": (r"(^|[^a-z])minute([^a-z]|$)", 0, 60, 60), "day of the month": (r"day_?of_?month|(^|_)(dom|mday)($|_)", 1, 31, 31),
    "day of the year": (r"day_?of_?year|(^|_)(doy|yday)($|_)", 1, 366, 366), "week": (r"week_?of_?year|(^|_)week_?(nr|no|number)?$", 1, 53, 53)}
FILLED = 0.75  # share of the circle that has to occur


def comes_round(
    name: str,  # of the column
    values: np.ndarray,  # its numbers, shape (n,)
) -> tuple[str, int]:  # what it is and the length of its circle; nothing and 0 for other numbers
    "Whether a column of numbers is an hour, a weekday, a month."
    there = np.unique(values[~np.isnan(values)])
    for what, (words, low, high, length) in ROUND.items():
        if re.search(words, name.lower()) and len(there) and (there == np.round(there)).all() and there[0] >= low and there[-1] <= high:
            if len(there) >= FILLED * length:
                return what, length
    return "", 0



#| export
@dataclass(frozen=True)
class Measures:
    "What was measured of one column."

    name: str  # the column
    kind: str  # numeric, boolean, datetime, categorical, text, id, constant or empty
    rows: int  # rows looked at
    missing: float  # share without a value
    levels: int  # distinct values
    infinite: int = 0  # values that are infinite
    skewness: float | None = None  # third standardised moment of a column of numbers
    skewness_log: float | None = None  # the same after the signed logarithm
    below_zero: float | None = None  # share of negative numbers
    strength: float | None = None  # signal about the target, 0 to 1
    straight: float | None = None  # signal of the order alone, 0 to 1
    chance: float | None = None  # signal that the best of all columns reaches by chance
    circle: str = ""  # hour, weekday, month …
    period: int = 0  # length of the circle

    @property
    def bend(self) -> float:
        "What bins find beyond order."
        return 0.0 if self.strength is None or self.straight is None else max(self.strength - max(self.straight, 0.0), 0.0)

    @property
    def tells(self) -> bool:
        "Whether the signal is more than chance."
        return self.strength is not None and self.strength > (self.chance or 0.0)

    def to_dict(self) -> dict[str, object]:
        "The measures as plain JSON types."
        return {key: plain(value) for key, value in asdict(self).items() if value not in (None, "")}



#| export
def measure(
    frame: pd.DataFrame,  # rows, without the target
    kinds: Mapping[str, str],  # column -> kind, as in `Table.kinds`
    target: Answer | None = None,  # the target of the rows `target.kept`; no signal is measured without
    random_state: int = 0,  # draws the shuffles that show what chance gives
) -> dict[str, Measures]:  # one entry per column of `kinds`
    "Measure columns."
    groups: dict[str, np.ndarray] = {}
    if target is not None:
        rows = frame.iloc[target.kept]
        groups = {name: coded(rows[name]) for name, kind in kinds.items() if kind in ("numeric", "boolean", "categorical", "datetime")}
    by_chance = noise(list(groups.values()), target, random_state=random_state) if target is not None and groups else np.zeros(1)
    return {name: _measured(frame[name], name, kind, groups.get(name), target, float(by_chance.max())) for name, kind in kinds.items()}


def _measured(column: pd.Series, name: str, kind: str, groups: np.ndarray | None, target: Answer | None, chance: float) -> Measures:
    base: dict[str, object] = {"name": name, "kind": kind, "rows": len(column), "missing": float(column.isna().mean()),
                               "levels": int(column.astype(str)[column.notna()].nunique() if column.dtype == object else column.nunique())}
    if groups is not None and target is not None:
        base |= {"strength": single(groups, target).strength, "chance": chance}
    if kind == "numeric":
        values = _floats(column)
        base["infinite"] = int(np.isinf(values).sum())
        values = np.where(np.isfinite(values), values, np.nan)
        there = values[~np.isnan(values)]
        base |= {"skewness": skewness(there), "skewness_log": skewness(np.sign(there) * np.log1p(np.abs(there))),
                 "below_zero": float((there < 0).mean()) if len(there) else 0.0}
        base["circle"], base["period"] = comes_round(name, values)
        if target is not None:
            base["straight"] = straight(values[target.kept], target)
    return Measures(**base)  # type: ignore[arg-type]


def _floats(column: pd.Series) -> np.ndarray:
    import pandas as pd

    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)



#| export
def skewness(
    values: np.ndarray,  # numbers, without missing ones
) -> float:  # 0 for symmetric values, above for a long right tail; 0 where all are equal
    "Third standardised moment, the mean of ((x - mean) / deviation)³."
    if len(values) < 3:
        return 0.0
    scale = float(np.abs(values).max())
    off = values / scale - (values / scale).mean() if scale else values
    spread = float((off**2).mean())
    return float((off**3).mean() / spread**1.5) if spread > 1e-24 else 0.0


def straight(
    values: np.ndarray,  # numbers, NaN where missing, shape (n,)
    target: Answer,  # the target of the same rows
) -> float:  # 0 to 1
    "Signal of the order of values, whichever way it runs; rows without a value are left out."
    from scipy.stats import rankdata

    there = ~np.isnan(values)
    if there.sum() < 10:
        return 0.0
    rank = rankdata(values[there])
    if rank.std() == 0:
        return 0.0
    if target.task == "regression":
        own = rankdata(target.values[there])
        return abs(float(np.corrcoef(rank, own)[0, 1])) * float(there.mean()) if own.std() else 0.0
    found = []
    for c in range(target.outcomes) if target.outcomes > 2 else (1,):
        hit = target.values[there] == c
        if 0 < hit.sum() < len(hit):
            auc = (rank[hit].sum() - hit.sum() * (hit.sum() + 1) / 2) / (hit.sum() * (~hit).sum())
            found.append(abs(2 * auc - 1))
    return float(np.mean(found)) * float(there.mean()) if found else 0.0


