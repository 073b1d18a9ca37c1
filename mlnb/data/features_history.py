""" """
#| export
from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlnb.core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


#| export
ZONED = r"\d{1,2}:\d{2}.*(?:Z|[+-]\d{2}:?\d{2})$"  # text of a time that ends in a zone


def clock(
    column: pd.Series,  # dates, text that holds dates, or numbers, shape (n,)
    name: object = "The time column",  # for messages
) -> tuple[np.ndarray, str]:  # numbers, or microseconds since 1970, as floats, NaN where missing, shape (n,); and "number", "naive" or "zoned"
    "When each row happened."
    import pandas as pd

    if column.dtype.kind in "iufb":
        values = column.to_numpy(dtype=float, na_value=np.nan, copy=True)
        values[~np.isfinite(values)] = np.nan
        return values, "number"
    if column.dtype.kind == "M":
        return _stamps(column), "zoned" if getattr(column.dt, "tz", None) is not None else "naive"
    text = column.astype(object).where(column.notna(), None)
    filled = text.notna() & (text.astype(str).str.strip() != "")
    zoned = text[filled].astype(str).str.strip().str.contains(ZONED)
    if zoned.any() and not zoned.all():
        raise InputError(f"{name} mixes times with a zone ({text[filled][zoned].iloc[0]}) and without ({text[filled][~zoned].iloc[0]}), so "
                         "they have no common order. Give every time its zone, or none.")
    dates = pd.to_datetime(text.where(filled, None), errors="coerce", utc=True, format="mixed")
    wrong = filled & dates.isna()
    if wrong.any():
        raise InputError(f"{name} has {int(wrong.sum()):,} of {int(filled.sum()):,} values that are no dates, the first is "
                         f"{text[wrong].iloc[0]!r}. Write dates as YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS, and leave unknown ones empty.")
    return _stamps(dates), "zoned" if zoned.any() else "naive"


def _stamps(dates: pd.Series) -> np.ndarray:
    if getattr(dates.dt, "tz", None) is not None:
        dates = dates.dt.tz_convert("UTC").dt.tz_localize(None)
    whole = dates.astype("datetime64[us]").astype("int64").to_numpy()
    return np.where(dates.isna().to_numpy(), np.nan, whole.astype(float))


def span(
    words: str | int | float,  # "7d", "36h", "30min"; for numbered periods "7" or 7
    kind: str,  # of the clock: "number", "naive" or "zoned"
) -> float:  # in the unit of the clock
    "A length of time."
    import pandas as pd

    try:
        length = float(words) if kind == "number" else pd.Timedelta(re.sub(r"d$", "D", str(words))).total_seconds() * 1e6
    except (ValueError, TypeError) as error:
        allowed = "a number, since the time column holds numbers" if kind == "number" else "such as '7d', '36h' or '30min'"
        raise InputError(f"{words!r} is no length of time; allowed is {allowed}.") from error
    if not length > 0:
        raise InputError(f"{words!r} is no length of time above zero, and a window that does not reach back sees the future.")
    return length



#| export
@dataclass(frozen=True)
class Moments:
    "Distinct times of each entity, sorted by entity and time."

    entity: np.ndarray  # code of the entity, shape (m,)
    time: np.ndarray  # shape (m,)
    stats: np.ndarray  # count, mean, sum of squared deviations, minimum, maximum, shape (5, m, columns)

    def __len__(self) -> int:
        return len(self.time)


def moments(
    entity: np.ndarray,  # code of each row's entity, below 0 where unknown, shape (n,)
    time: np.ndarray,  # time of each row, NaN where unknown, shape (n,)
    values: np.ndarray,  # floats, NaN where missing, shape (n, columns)
) -> Moments:  # rows without an entity or time are left out
    "Gather rows into moments."
    known = (entity >= 0) & ~np.isnan(time)
    entity, time, values = entity[known], time[known], values[known]
    order = np.lexsort((*values.T, time, entity))  # values too, so that sums do not depend on the order of the rows
    entity, time, values = entity[order], time[order], values[order]
    if not len(time):
        return Moments(entity, time, np.empty((5, 0, values.shape[1])))
    start = np.flatnonzero(np.r_[True, (np.diff(entity) != 0) | (np.diff(time) != 0)])
    there = ~np.isnan(values)
    n = np.add.reduceat(there.astype(float), start)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.add.reduceat(np.where(there, values, 0), start) / n
    each = np.repeat(np.arange(len(start)), np.diff(np.r_[start, len(time)]))
    with np.errstate(over="ignore", invalid="ignore"):
        off = np.add.reduceat(np.where(there, (values - mean[each]) ** 2, 0), start)
    low = np.minimum.reduceat(np.where(there, values, np.inf), start)
    high = np.maximum.reduceat(np.where(there, values, -np.inf), start)
    return Moments(entity[start], time[start], np.stack([n, np.where(n > 0, mean, 0), off, low, high]))



#| export
def place(
    past: Moments,  # what happened
    entity: np.ndarray,  # entity of each row, shape (n,)
    time: np.ndarray,  # a time for each row, shape (n,)
    after: bool = False,  # count moments at exactly that time too
) -> np.ndarray:  # number of moments (of all) before the time, within or before the entity, shape (n,)
    "Position of times among the moments of their entities."
    times = np.unique(past.time)
    rank = np.searchsorted(times, past.time)
    wanted = np.searchsorted(times, time, side="right" if after else "left")
    width = len(times) + 1
    return np.searchsorted(past.entity * width + rank, entity * width + wanted)


def pooled(
    past: Moments,  # what happened
    start: np.ndarray,  # first moment of each row's window, shape (n,)
    end: np.ndarray,  # first moment behind it, shape (n,)
) -> np.ndarray:  # count, mean, sum of squared deviations, minimum, maximum, shape (5, n, columns)
    "Statistics over windows of moments, by doubling: each is put together from blocks inside it (Chan, Golub and LeVeque 1979)."
    size = np.maximum(end - start, 0)
    columns = past.stats.shape[2]
    found = np.zeros((5, len(size), columns))
    found[3], found[4] = np.inf, -np.inf
    block, at, length = past.stats, start.copy(), 1
    while len(size) and length <= size.max():
        rows = np.flatnonzero(size & length)
        if len(rows):
            found[:, rows] = _merged(found[:, rows], block[:, at[rows]])
            at[rows] += length
        if block.shape[1] > length:
            block = _merged(block[:, :-length], block[:, length:])
        length *= 2
    return found


def _merged(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    n = a[0] + b[0]
    share = b[0] / np.maximum(n, 1)
    with np.errstate(over="ignore", invalid="ignore"):  # blocks that no window uses may hold anything
        gap = b[1] - a[1]
        off = a[2] + b[2] + gap**2 * a[0] * share
    return np.stack([n, a[1] + gap * share, off, np.minimum(a[3], b[3]), np.maximum(a[4], b[4])])



#| export
def before(
    entity: np.ndarray,  # code of each row's entity, shape (n,)
    time: np.ndarray,  # time of each row, shape (n,); rows without one have no past and are nobody's
    values: np.ndarray,  # floats, shape (n,)
) -> np.ndarray:  # rows, sum and sum of squares of the strictly earlier rows of the same entity, shape (3, n)
    "What came before each row."
    past = moments(entity, time, values[:, None])
    known = (entity >= 0) & ~np.isnan(time)
    found = np.zeros((3, len(values)))
    here, first = entity[known], place(past, entity[known], np.full(int(known.sum()), -np.inf))
    n, mean, off = pooled(past, first, place(past, here, time[known]))[:3, :, 0]
    found[:, known] = np.stack([n, n * mean, off + n * mean**2])
    return found


