#| export
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlnb.data.row_keys import RowKeys



#| export
def by_luck(
    across: int,  # test rows that have a twin in train
    rows: int,  # test rows asked
    inside: int,  # training rows that have one in train
    asked: int,  # training rows asked
) -> float:  # between 0 and 1
    "How likely so many of the test rows have a twin in train, if the sides are alike."
    from scipy.special import bdtrc

    if not across:
        return 1.0
    pairs = across + (inside + 1) // 2
    return float(bdtrc(across - 1, pairs, rows / max(rows + asked / 2, 1e-9)))




#| export
LONELY = (0, 2, 8, 32)  # rows that differ in one cell, up to which a value is in a lonely place
MOST_COLUMNS, MOST_ROWS = 80, 300_000  # columns and rows up to which rows that differ in one cell are looked for
MOST_VALUES = 20_000  # values that occur more than once, up to which they are taken apart
LEAST_COLUMNS = 6  # columns from which a row that differs in one cell says something
UNLIKELY = 1e-4  # what is less likely was no luck


@dataclass(frozen=True)
class Kin:
    "What rows that are the same, or differ in one cell, say about copies."

    copies: int = 0  # test rows equal to a training row beyond what the split of look-alikes gives; 0 where that may be luck
    luck: float = 1.0  # how likely so many are by luck
    rows: int = 0  # test rows asked for rows that differ in one cell
    siblings: int = 0  # of these, rows that differ from a training row in one cell
    inside: float = 0.0  # share of the training rows that are equal to another one but for at most one cell
    sibling_luck: float = 1.0  # how likely so many test rows are by luck

    @property
    def corrected(self) -> int:
        "Test rows asked that are training rows with one cell changed, beyond what train has inside; 0 where that may be luck."
        usual = self.inside * self.rows
        return round(self.siblings - usual) if self.sibling_luck < UNLIKELY and self.siblings > 2 * usual + 2 else 0


def _times(asked: np.ndarray, among: np.ndarray) -> np.ndarray:
    "How often each of a few keys occurs among many."
    few, back = np.unique(asked, return_inverse=True)
    place = np.minimum(np.searchsorted(few, among), len(few) - 1)
    return np.bincount(place[few[place] == among], minlength=len(few))[back]




#| export
def kin(
    keys: RowKeys,  # training rows and test rows
    columns: Sequence[str],  # the compared columns
    asked: int = 2_000,  # rows of each side that are asked for rows that differ in one cell
    random_state: int = 0,  # draws the rows asked
) -> Kin:  # all zero where there is nothing to compare
    "How rows that are the same, or differ in one cell, lie across the sides."
    left, right = keys.total(columns)
    n, m = len(left), len(right)
    if not 2 < len(columns) <= MOST_COLUMNS or n + m > MOST_ROWS or not n or not m:
        return Kin()
    _, first, counts = np.unique(np.concatenate([left, right]), return_index=True, return_counts=True)
    many = counts > 1
    first = first[many] if many.sum() <= MOST_VALUES else first[:0]
    rng = np.random.default_rng(random_state)
    ask = [rng.permutation(side)[:asked] if len(columns) >= LEAST_COLUMNS else np.zeros(0, np.int64) for side in (n, m)]
    own, few, some = left[ask[0]], right[ask[1]], np.concatenate([left, right])[first]
    wanted = np.concatenate([own, few, some])
    alike, least = np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    whole = _times(wanted, left) if len(wanted) else alike
    for name in columns if len(wanted) else ():
        a, b = keys.of(name)
        bits = np.concatenate([a[ask[0]], b[ask[1]], np.concatenate([a, b])[first]])
        differ = _times(wanted - bits, left - a) - whole
        alike += differ
        least |= differ > 0
    there = np.split(least, [len(own), len(own) + len(few)])
    inside = int((there[0] | (whole[:len(own)] > 1)).sum())
    across = int((there[1] & (whole[len(own):len(own) + len(few)] == 0)).sum())
    copies, luck = _apart(whole[len(own) + len(few):], counts[many][: len(first)], alike[len(own) + len(few):], m / (n + m), m)
    return Kin(copies, luck, len(few), across, inside / max(len(own), 1), by_luck(across, len(few), inside, len(own)))




#| export
def _apart(in_train: np.ndarray, both: np.ndarray, alike: np.ndarray, share: float, rows: int) -> tuple[int, float]:
    "Copies among values that occur more than once, and how likely that is luck: in the lonely place that shows them best."
    from scipy.special import bdtrc

    found = [(0, 1.0)]
    for most in (*LONELY, np.inf):
        here = alike <= most
        mixed = int(((in_train > 0) & (in_train < both) & here).sum())
        if mixed < 3:
            continue
        expected = float((1 - share ** both[here] - (1 - share) ** both[here]).sum())
        luck = min(float(bdtrc(mixed - 1, int(here.sum()), expected / here.sum())) * (len(LONELY) + 1), 1.0)
        if mixed > 1.5 * expected and luck < UNLIKELY / 10:
            found.append((round(mixed - expected), luck))
    return max(found)


