#| export
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd



#| export
ASKED, AGAINST = 300, 4_000  # test rows asked, and training rows of the same class they may lie between
EXACT = 1e-9  # relative precision with which proportions agree
MOST_COLUMNS = 6  # columns that are looked at, which is enough to be in line
SIMPLE = 1_000  # denominators of proportions that rounded values have
CROWD = 0.01  # share of the training rows in line with a row from which the table is made of lines


@dataclass(frozen=True)
class Between:
    "Test rows on the line between two training rows."

    rows: int = 0  # test rows asked
    found: int = 0  # of these, rows between two training rows of the same class
    columns: tuple[str, ...] = ()  # the columns in which they lie between
    usual: float = 0.0  # share of training rows of the most common class
    classes: int = 0  # different outcomes of the rows found

    @property
    def share(self) -> float:
        "Share of the test rows asked that lie between two training rows."
        return self.found / max(self.rows, 1)


def _independent(x: np.ndarray) -> np.ndarray:
    "Columns none of which the others before it give, in standard units."
    z = (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-300)
    kept: list[int] = []
    for j in range(x.shape[1]):
        rest = z[:, j] if not kept else z[:, j] - z[:, kept] @ np.linalg.lstsq(z[:, kept], z[:, j], rcond=None)[0]
        if np.std(rest) > 1e-4:
            kept.append(j)
    return np.array(kept, dtype=int)




#| export
def _between(x: np.ndarray, rows: np.ndarray) -> bool:
    "Whether a point lies between two of some rows: the same proportions to both, on opposite sides."
    step = rows - x
    step = step[(step != 0).all(axis=1)]
    if len(step) < 2:
        return False
    lines = step[:, 1:] / step[:, :1]  # the direction of each row, whichever side it is on
    order = np.argsort(lines[:, 0], kind="stable")
    lines, side = lines[order], step[order, 0] > 0
    same = (np.abs(np.diff(lines, axis=0)) <= EXACT * np.abs(lines[1:])).all(axis=1)
    first = np.abs(step[order, 0])
    if (same & (first[1:] != first[:-1])).sum() > max(3, CROWD * len(rows)):  # rows that are equal are in line, and no line
        return False
    pairs = np.flatnonzero(same & (side[1:] != side[:-1]))
    return any(not _simple(first[i] / (first[i] + first[i + 1])) for i in pairs)


def _simple(proportion: float) -> bool:
    "Whether a proportion is a fraction of small numbers."
    times = proportion * np.arange(1, SIMPLE + 1)
    return bool((np.abs(times - np.round(times)) < 1e-9 * np.arange(1, SIMPLE + 1)).any())




#| export
def between(
    train: pd.DataFrame,  # training rows, shape (n, columns)
    test: pd.DataFrame,  # test rows, same columns
    labels: tuple[np.ndarray, np.ndarray] | None = None,  # class of each row of train and test; None where there are no classes
    random_state: int = 0,  # draws the rows asked
) -> Between:  # counts; all zero where no row can be between others
    "Count the test rows that lie between two training rows."
    import pandas as pd

    names = [name for name in train.columns if train[name].dtype.kind == "f" and test[name].dtype.kind == "f"]
    if len(names) < 2 or len(train) < 30 or not len(test):
        return Between()
    rng = np.random.default_rng(random_state)
    a, b = (side[names].to_numpy(np.float64) for side in (train, test))
    both = np.concatenate([a, b])
    new = np.column_stack([~pd.Series(column).duplicated(keep=False).to_numpy() & np.isfinite(column) for column in both.T])
    free = new[len(a):].mean(axis=0) > 0.005  # columns in which some test rows have values of their own
    names, a, b, new = [name for name, kept in zip(names, free, strict=True) if kept], a[:, free], b[:, free], new[:, free]
    whole = np.isfinite(a).all(axis=1) if free.sum() >= 2 else np.zeros(len(a), bool)
    if whole.sum() < 30:
        return Between()
    kept = _independent(a[whole][:2_000])
    if len(kept) < 2:
        return Between()
    kept = kept[:MOST_COLUMNS]
    names, a, b, new = [names[j] for j in kept], a[:, kept], b[:, kept], new[:, kept]
    return _counted(names, a, b, new[len(a):], np.isfinite(a).all(axis=1), labels, rng)




#| export
def _counted(names: list[str], a: np.ndarray, b: np.ndarray, new: np.ndarray, whole: np.ndarray,
             labels: tuple[np.ndarray, np.ndarray] | None, rng: np.random.Generator) -> Between:
    own, other = labels or (np.zeros(len(a), np.int64), np.zeros(len(b), np.int64))
    asked = rng.permutation(len(b))[:ASKED]
    at = (a[whole].std(axis=0) > 0).nonzero()[0]
    inside = {label: a[rng.permutation(np.flatnonzero(whole & (own == label)))[:AGAINST]] for label in np.unique(other[asked])}
    found = []
    for row in asked:
        columns = at[new[row][at]]
        if len(columns) >= min(3, len(names)) and len(inside[other[row]]) >= 2 and _between(b[row, columns], inside[other[row]][:, columns]):
            found.append(other[row])
    counts = np.unique(own, return_counts=True)[1]
    return Between(len(asked), len(found), tuple(names), float(counts.max() / counts.sum()), len(set(found)))


