""" """
#| export
from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlnb.core.errors import listed
from ..data.features_base import FeatureError, FeatureStep, levels_in, pick
from ..data.features_levels import _codes, _sorted_levels

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_matrix


#| export
PRIOR = 5.0  # rows' worth of nothing known that every id starts with


class CategoryEmbedding(FeatureStep):
    "A short vector per category (pattern embedding)."

    def __init__(
        self,
        columns: Sequence[str | int] | str | None = None,  # columns of categories to embed; all when None
        size: int = 8,  # length of the vector
        method: str = "cooccurrence",  # "cooccurrence" (with all other columns) or "hash"
        random_state: int = 0,  # starts the decomposition
    ) -> None:
        self.columns = columns
        self.size = size
        self.method = method
        self.random_state = random_state

    def _learn(self, frame: pd.DataFrame, y: Any) -> None:
        if self.method not in ("cooccurrence", "hash"):
            raise FeatureError(f"method is {self.method!r}; allowed are {listed(('cooccurrence', 'hash'))}.")
        if not isinstance(self.size, (int, np.integer)) or self.size < 1:
            raise FeatureError(f"size is {self.size!r}; a vector has at least one number.")
        self.columns_, self.categories_, self.vectors_ = pick(frame, self.columns), [], []
        if self.method == "hash":
            return
        sides = {name: _groups(frame[name]) for name in frame}
        for name in self.columns_:
            levels = levels_in(frame[name])
            self.categories_.append(_sorted_levels(levels))
            around = [groups for other, groups in sides.items() if other != name]
            codes = _codes(levels, self.categories_[-1])
            self.vectors_.append(_vectors(codes, around, len(self.categories_[-1]), self.size, self.random_state))

    def _make(self, frame: pd.DataFrame) -> np.ndarray:
        if self.method == "hash":
            return np.hstack([_hashed(levels_in(frame[name]), str(name), self.size) for name in self.columns_])
        return np.hstack([np.vstack([vectors, np.zeros(self.size)])[_codes(levels_in(frame[name]), categories)]
                          for name, categories, vectors in zip(self.columns_, self.categories_, self.vectors_, strict=True)])

    def _names(self) -> list[str]:
        return [f"{name}_{i}" for name in self.columns_ for i in range(self.size)]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = tags.input_tags.categorical = True
        return tags



#| export
def _groups(column: pd.Series) -> np.ndarray:
    "Levels of a column as codes, numbers in ten bins by their quantiles; 0 is missing."
    import pandas as pd

    levels = levels_in(column)
    if levels.dtype.kind == "f":
        levels = levels.where(np.isfinite(levels))
        there = levels.dropna()
        edges = np.unique(np.quantile(there, np.linspace(0, 1, 11)[1:-1])) if len(there) else np.empty(0)
        return np.where(levels.isna(), 0, np.searchsorted(edges, levels.to_numpy(), side="right") + 1)
    return pd.factorize(levels, sort=True)[0] + 1


def _vectors(codes: np.ndarray, around: list[np.ndarray], size: int, length: int, random_state: int) -> np.ndarray:
    "A vector per level, shape (levels, length)."
    from scipy.sparse import coo_matrix, csr_matrix, hstack
    from sklearn.utils.extmath import randomized_svd

    found = np.zeros((size, length))
    if not around or not size:
        return found
    ones = np.ones(len(codes))
    tables = [coo_matrix((ones, (codes, groups)), shape=(size, int(groups.max()) + 1)) for groups in around]
    weights = _surprise(csr_matrix(hstack(tables)))
    rank = min(length, min(weights.shape) - 1)
    if rank < 1 or not weights.nnz:
        return found
    left, strength, _ = randomized_svd(weights, n_components=rank, n_iter=4, random_state=random_state)
    rows = np.bincount(codes, minlength=size)[:, None]
    found[:, :rank] = left * strength * rows / (rows + PRIOR)
    return found


def _surprise(counts: csr_matrix) -> csr_matrix:
    "Positive pointwise mutual information of rows and columns."
    total = counts.sum()
    table = counts.tocoo()
    across, down = np.asarray(counts.sum(axis=1)).ravel(), np.asarray(counts.sum(axis=0)).ravel()
    table.data = np.maximum(np.log(table.data * total / (across[table.row] * down[table.col])), 0)
    table = table.tocsr()
    table.eliminate_zeros()
    return table


def _hashed(levels: pd.Series, name: str, length: int) -> np.ndarray:
    "A unit vector of signs for each level, shape (n, length); zero where missing."
    import pandas as pd

    codes, found = pd.factorize(levels)
    signs = np.zeros((len(found) + 1, length))
    for i, level in enumerate(found):
        stream, block = b"", 0
        while len(stream) * 8 < length:
            stream += hashlib.blake2b(f"{name}|{level}|{block}".encode()).digest()
            block += 1
        signs[i] = np.unpackbits(np.frombuffer(stream, np.uint8))[:length] * 2.0 - 1
    return signs[codes] / length**0.5


