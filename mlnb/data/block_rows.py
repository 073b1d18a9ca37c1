#| export
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlnb.data.kin import UNLIKELY, by_luck



#| export
ASKED = 4_000  # rows of each side that are asked
MOST_PAIRS = 2_000_000  # pairs of rows of a block that are compared
SCALES = tuple(10.0 ** (-k / 2) for k in range(0, 19))  # distances tried, in standard units
WIDER = 100.0  # how much farther the pairs lie that say how many are near by nature
TINY = 0.004  # distances below which that says something: rows lie in heaps, and wider than a heap there are few


@dataclass(frozen=True)
class Near:
    "Test rows with a near row in train among those that agree in all else."

    rows: int = 0  # test rows asked
    found: int = 0  # of these, rows with a near row in train
    inside: float = 0.0  # share of training rows with one in train
    expected: float = 0.0  # test rows that would have one by the pairs farther apart
    scale: float = 0.0  # the distance below which rows are near, in standard units
    luck: float = 1.0  # how likely so many are, against those inside train
    columns: int = 0  # measurements the distance was taken over
    whole: tuple[int, float, float] = (0, 0.0, 1.0)  # test rows found, share of training rows, and luck, with rows that are equal included

    @property
    def extra(self) -> float:
        "Test rows beyond those that train has inside."
        return max(self.found - max(self.expected, self.inside * self.rows), 0.0)

    @property
    def planted(self) -> bool:
        "Whether there are more near rows than nature gives, on this scale."
        from scipy.special import pdtrc

        usual = max(self.expected, self.inside * self.rows)
        absolute = self.columns > 1 and self.scale < TINY and self.extra >= 0.01 * self.rows and float(pdtrc(self.found - 1, self.expected)) < UNLIKELY / len(SCALES)
        likely = self.luck * len(SCALES) < UNLIKELY and self.extra >= 0.005 * self.rows
        more = self.whole[0] > 1.5 * self.whole[1] * self.rows and self.whole[2] < 0.05  # values may be equal inside train and nowhere else
        return self.found >= 3 and self.found > 3 * usual + 2 and (absolute or likely) and more




#| export
def near_in_blocks(
    train: np.ndarray,  # measurements of training rows, shape (n, k)
    test: np.ndarray,  # measurements of test rows, shape (m, k)
    blocks: tuple[np.ndarray, np.ndarray],  # what else has to be the same, as codes of each row of train and test
    random_state: int = 0,  # draws the rows asked
) -> Near:  # on the scale that shows most; all zero where distances say nothing
    "Test rows that agree with a training row in all else and nearly in the measurements."
    if not train.shape[1] or len(train) < 35 or not len(test):
        return Near()
    low, high = np.nanquantile(train, [0.01, 0.99], axis=0)
    spread = np.nanstd(np.clip(train, low, high), axis=0)
    a, b = (np.nan_to_num(side[:, spread > 0] / spread[spread > 0], nan=-1e9) for side in (train, test))
    rng = np.random.default_rng(random_state)
    few = [np.sort(rng.permutation(len(side))[:ASKED]) for side in (a, b)]
    order = np.argsort(blocks[0], kind="stable")
    across = _nearest(b[few[1]], blocks[1][few[1]], a[order], blocks[0][order], np.full(len(few[1]), -1))
    inside = _nearest(a[few[0]], blocks[0][few[0]], a[order], blocks[0][order], np.argsort(order)[few[0]])
    found = [_on_scale(across, inside, scale, a.shape[1]) for scale in SCALES]
    return max(found, key=lambda one: (one.planted, one.extra, -one.scale))


def _on_scale(across: np.ndarray, inside: np.ndarray, scale: float, columns: int) -> Near:
    "Near rows on one scale; equal rows are another matter."
    n, m = len(inside), len(across)
    near, own = (int(((far > 0) & (far <= scale)).sum()) for far in (across, inside))
    every, all_own = (int((far <= scale).sum()) for far in (across, inside))
    farther = int(((across > 0) & (across <= WIDER * scale)).sum())
    return Near(m, near, own / n, (farther - near + 1) / WIDER, scale, by_luck(near, m, own, n), columns, (every, all_own / n, by_luck(every, m, all_own, n)))




#| export
def _nearest(asked: np.ndarray, code: np.ndarray, among: np.ndarray, codes: np.ndarray, itself: np.ndarray) -> np.ndarray:
    "Distance to the nearest row of the same block, in the column that differs most; infinite where there is none. `codes` are sorted."
    start, stop = np.searchsorted(codes, code, "left"), np.searchsorted(codes, code, "right")
    size = stop - start
    while size.sum() > MOST_PAIRS:  # large blocks are looked at in part
        size = np.minimum(size, max(int(size.max()) // 2, 1))
    nearest = np.full(len(asked), np.inf)
    if not size.sum():
        return nearest
    whose = np.repeat(np.arange(len(asked)), size)
    which = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size) + np.repeat(start, size)
    far = np.abs(asked[whose] - among[which]).max(axis=1)
    far[which == itself[whose]] = np.inf
    np.minimum.at(nearest, whose, far)
    return nearest


