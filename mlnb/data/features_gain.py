""" """
#| export
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from mlnb.data.quick_model import together
from ..data.signal import Answer, answer, coded, encode, single

if TYPE_CHECKING:
    import pandas as pd


#| export
MOST_COLUMNS = 12  # columns of numbers that are paired
MOST_PAIRS = 3  # combinations that are kept
LEAST_GAIN = 0.005  # share of the target to be explained on top
SCREEN_ROWS = 6_000  # rows the search runs on


@dataclass(frozen=True)
class Pair:
    "A combination of two columns."

    pattern: str  # ratios, differences or polynomial
    first: str  # column
    second: str  # column
    gain: float = 0.0  # share of the target explained on top of all columns, on rows that did not choose the pair
    chance: float = 0.0  # the same for a shuffled copy

    @property
    def name(self) -> str:
        "What the feature is called."
        return f"{self.first}{ {'ratios': '_per_', 'differences': '_minus_', 'polynomial': '_times_'}[self.pattern]}{self.second}"

    def to_dict(self) -> dict[str, object]:
        "The pair as plain JSON types."
        return {"name": self.name} | asdict(self)


def combined(
    pair: Pair,  # what to combine
    numbers: Mapping[str, np.ndarray],  # column -> floats, shape (n,)
) -> np.ndarray:  # floats, shape (n,); NaN where it has no value
    "The values of a pair."
    a, b = numbers[pair.first], numbers[pair.second]
    with np.errstate(all="ignore"):
        found = a / np.where(np.abs(b) < 1e-12, np.nan, b) if pair.pattern == "ratios" else a - b if pair.pattern == "differences" else a * b
    return np.where(np.isfinite(found), found, np.nan)



#| export
def search_pairs(
    numbers: Mapping[str, np.ndarray],  # column -> floats, most telling first, shape (n,); those of rows with a target
    target: pd.Series,  # the target of the same rows
    others: Sequence[np.ndarray] = (),  # groups of further columns of the same rows, each of shape (n,)
    task: str = "",  # of the target
    random_state: int = 0,  # divides the rows
) -> tuple[list[Pair], int]:  # the pairs worth having, best first; and how many were tried
    "Look for pairs of columns that tell more together."
    import pandas as pd

    names = [name for name in numbers if len(np.unique(numbers[name][~np.isnan(numbers[name])])) >= 10][:MOST_COLUMNS]
    rows = np.random.default_rng(random_state).permutation(len(target))
    half = min(len(rows) // 2, SCREEN_ROWS)
    if half < 100 or len(names) < 2:
        return [], 0
    found, tried = _screened({name: numbers[name][rows[:half]] for name in names}, target.iloc[rows[:half]], task, random_state)
    there = np.sort(rows[half:])
    kept = answer(target.iloc[there], task, random_state)
    at = there[kept.kept]
    base = [encode(coded(pd.Series(values[at])), kept) for values in numbers.values()] + [encode(groups[at], kept) for groups in others]
    return _added(found, {name: numbers[name][at] for name in names}, kept, base, random_state), tried


def _screened(numbers: Mapping[str, np.ndarray], target: pd.Series, task: str, random_state: int) -> tuple[list[Pair], int]:
    "Pairs that tell more than both columns added up, best first."
    import pandas as pd

    known = answer(target, task, random_state)
    numbers = {name: values[known.kept] for name, values in numbers.items()}
    own = {name: coded(pd.Series(values)) for name, values in numbers.items()}
    alone = {name: single(groups, known).explained for name, groups in own.items()}
    told = {name: encode(groups, known) for name, groups in own.items()}
    found, tried = [], 0
    for a, b in combinations(numbers, 2):
        best: tuple[float, Pair] | None = None
        for pair in _candidates(a, b, numbers):
            tried += 1
            explained = single(coded(pd.Series(combined(pair, numbers))), known).explained
            if explained > max(alone[a], alone[b], 0) + 2 * LEAST_GAIN and (best is None or explained > best[0] + LEAST_GAIN):
                best = (explained, pair)
        if best and best[0] > together([told[a], told[b]], known).explained + LEAST_GAIN:
            found.append(best)
    return [pair for _, pair in sorted(found, key=lambda item: -item[0])], tried


def _candidates(a: str, b: str, numbers: Mapping[str, np.ndarray]) -> Iterator[Pair]:
    for first, second in ((a, b), (b, a)):
        divisor = numbers[second]
        if (divisor[~np.isnan(divisor)] != 0).mean() > 0.9:
            yield Pair("ratios", first, second)
    yield Pair("differences", a, b)
    yield Pair("polynomial", a, b)



#| export
def _added(pairs: Sequence[Pair], numbers: Mapping[str, np.ndarray], target: Answer, base: list[np.ndarray], random_state: int) -> list[Pair]:
    "Those that add to all columns and to each other, at most three."
    import pandas as pd

    rng = np.random.default_rng(random_state)
    found: list[Pair] = []
    have = together(base, target).explained if base else 0.0
    for pair in pairs[:2 * MOST_PAIRS]:
        values = combined(pair, numbers)
        extra = encode(coded(pd.Series(values)), target)
        luck = together([encode(coded(pd.Series(rng.permutation(values))), target), *base], target).explained - have
        now = together([extra, *base], target).explained
        if now - have > max(LEAST_GAIN, 2 * luck):
            found.append(Pair(pair.pattern, pair.first, pair.second, float(now - have), float(luck)))
            base, have = [extra, *base], now
        if len(found) == MOST_PAIRS:
            break
    return found



#| export
@dataclass(frozen=True)
class History:
    "What the past of a column adds."

    column: str  # the column
    lags: float  # share of the target explained by its lags on top of all columns
    windows: float  # share explained by statistics over its windows
    chance: float  # the same for shuffled copies


def history_gain(
    features: Mapping[str, tuple[np.ndarray, np.ndarray]],  # column -> its lags and its windows, each of shape (n, features); rows with a target
    base: Sequence[np.ndarray],  # groups of the columns as they are, each of shape (n,)
    target: Answer,  # the target of the same rows
    random_state: int = 0,  # shuffles
) -> list[History]:  # one entry per column
    "Measure what lags and windows add."
    import pandas as pd

    rng = np.random.default_rng(random_state)
    told = [encode(groups, target) for groups in base]
    have = together(told, target).explained if told else 0.0

    def gain(table: np.ndarray) -> float:
        extra = [encode(coded(pd.Series(column)), target) for column in table.T]
        return together([*extra, *told], target).explained - have if extra else 0.0

    return [History(name, gain(lags), gain(windows), gain(lags[rng.permutation(len(lags))]) if len(lags) else 0.0) for name, (lags, windows) in features.items()]


