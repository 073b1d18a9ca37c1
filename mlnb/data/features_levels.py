""" """
#| export
from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from mlnb.data.features_base import FeatureError, FeatureStep, levels_in, pick

if TYPE_CHECKING:
    import pandas as pd


#| export
class OneHot(FeatureStep):
    "A column per category (pattern one_hot)."

    def __init__(
        self,
        rare: float = 0.01,  # categories in a smaller share of the rows share one column; 0 keeps them all
        most: int | None = 20,  # columns per category column, the shared one included; any number when None
    ) -> None:
        self.rare = rare
        self.most = most

    def _learn(self, frame: pd.DataFrame, y: Any) -> None:
        from sklearn.preprocessing import OneHotEncoder

        if not 0 <= self.rare < 1 or self.most is not None and self.most < 2:
            raise FeatureError(f"rare is {self.rare!r} and most is {self.most!r}; rare is a share from 0 to below 1, most a number from 2, or None.")
        self.columns_ = [str(name) for name in frame]
        self.encoder_ = OneHotEncoder(min_frequency=self.rare or None, max_categories=self.most, handle_unknown="infrequent_if_exist",
                                      sparse_output=False).fit(_words(frame))

    def _make(self, frame: pd.DataFrame) -> np.ndarray:
        with warnings.catch_warnings():  # an unknown category is no news here
            warnings.simplefilter("ignore", UserWarning)
            return self.encoder_.transform(_words(frame))

    def _names(self) -> list[str]:
        return list(self.encoder_.get_feature_names_out(self.columns_))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = tags.input_tags.categorical = True
        return tags


def _words(frame: pd.DataFrame) -> np.ndarray:
    return np.column_stack([_text(levels_in(frame[name])) for name in frame])


def _text(levels: pd.Series) -> np.ndarray:
    "Levels as text; what is missing is the level (missing)."
    import pandas as pd

    codes, found = pd.factorize(levels)
    names = [f"{v:g}" if isinstance(v, float) and float(f"{v:g}") == v else str(v) for v in found]
    return np.array([*names, "(missing)"], dtype=object)[codes]



#| export
def _sums(codes: np.ndarray, y: np.ndarray, size: int) -> np.ndarray:
    "Rows, sum and sum of squares of the target per level, shape (3, levels)."
    return np.stack([np.bincount(codes, weights, minlength=size) for weights in (np.ones(len(y)), y, y * y)])


def _smoothed(sums: np.ndarray, mean: float, variance: float, smooth: str | float) -> np.ndarray:
    "The encoding of each level."
    n, total, squares = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        own = np.where(n > 0, total / np.maximum(n, 1), mean)
        if smooth != "auto":
            return np.where(n + smooth > 0, (total + smooth * mean) / (n + smooth), mean)
        within = np.maximum(squares / np.maximum(n, 1) - own**2, 0)
        weight = np.where(n * variance > 0, n * variance / (within + n * variance), 0.0) if variance > 0 else np.zeros_like(n)
    return weight * own + (1 - weight) * mean


def _codes(levels: pd.Series, categories: np.ndarray) -> np.ndarray:
    "The place of each value among the categories; -1 for one that is not there."
    import pandas as pd

    gap = len(categories) and pd.isna(categories[-1])
    numeric, known = levels.dtype.kind == "f", categories[:-1] if gap else categories
    if numeric != (categories.dtype.kind == "f"):
        levels, numeric = _same_type(levels, categories), categories.dtype.kind == "f"
    codes = pd.Index(known).get_indexer(levels.to_numpy(dtype=float if numeric else object))
    return np.where(levels.isna().to_numpy(), len(known) if gap else -1, codes)


def _same_type(levels: pd.Series, categories: np.ndarray) -> pd.Series:
    "Levels in the type in which they were learnt: 1, 1.0 and '1' are one level."
    import pandas as pd

    if categories.dtype.kind == "f":
        return pd.to_numeric(levels, errors="coerce").where(levels.notna(), np.nan).fillna(np.inf).where(levels.notna(), np.nan).astype(float)
    return pd.Series(_text(levels), dtype=object).where(levels.notna(), np.nan)



#| export
class TargetEncoding(FeatureStep):
    "Categories as smoothed means of the target, cross-fitted on the training rows (pattern target_encoding)."

    def __init__(
        self,
        smooth: str | float = "auto",  # "auto", or rows' worth of the overall mean that every category starts with
        folds: int = 5,  # parts of the training rows; each is encoded from the others
        group: str | int | None = None,  # column of the table whose equal values stay in one fold; gives no feature itself
        time: str | int | None = None,  # column of the table; each training row is encoded from strictly earlier rows
        most_classes: int = 20,  # with more classes than this, only the most frequent get a column
        random_state: int = 0,  # draws the folds
    ) -> None:
        self.smooth = smooth
        self.folds = folds
        self.group = group
        self.time = time
        self.most_classes = most_classes
        self.random_state = random_state

    def fit_transform(self, X: Any, y: Any = None, **params: Any) -> np.ndarray:
        "The training rows, each encoded without its own fold; differs from fit(X, y).transform(X) on purpose."
        from mlnb.data.features_base import _table

        frame = _table(self, X, True)
        self._learn(frame, y)
        return _cross_fitted(self, frame, _targets(self, y, len(frame)))

    def _learn(self, frame: pd.DataFrame, y: Any) -> None:
        if self.smooth != "auto" and not (isinstance(self.smooth, (int, float)) and self.smooth >= 0):
            raise FeatureError(f"smooth is {self.smooth!r}; allowed are 'auto' and numbers from 0.")
        if not isinstance(self.folds, (int, np.integer)) or self.folds < 2:
            raise FeatureError(f"folds is {self.folds!r}; at least 2 are needed to encode a row from other rows.")
        self.roles_ = [name for role in ("group", "time") if getattr(self, role) is not None
                       for name in pick(frame, getattr(self, role), role)]
        self.columns_ = [name for name in frame if name not in self.roles_]
        self.classes_, self.target_type_ = _classes(self, y, len(frame))
        targets = _targets(self, y, len(frame))
        self.target_mean_ = targets.mean(axis=0) if len(targets[0]) > 1 else float(targets.mean())
        self.categories_, self.encodings_ = [], []
        for name in self.columns_:
            levels = levels_in(frame[name])
            self.categories_.append(_sorted_levels(levels))
            codes = _codes(levels, self.categories_[-1])
            for column in targets.T:
                sums = _sums(codes, column, len(self.categories_[-1]))
                self.encodings_.append(_smoothed(sums, column.mean(), column.var(), self.smooth))

    def _make(self, frame: pd.DataFrame) -> np.ndarray:
        means, parts = np.atleast_1d(self.target_mean_), []
        for i, name in enumerate(self.columns_):
            codes = _codes(levels_in(frame[name]), self.categories_[i])
            for k, mean in enumerate(means):
                parts.append(np.append(self.encodings_[i * len(means) + k], mean)[codes])
        return np.column_stack(parts) if parts else np.empty((len(frame), 0))

    def _names(self) -> list[Any]:
        if self.target_type_ != "multiclass":
            return [f"{name}_encoded" for name in self.columns_]
        return [f"{name}_encoded_{label}" for name in self.columns_ for label in self.classes_]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = tags.input_tags.categorical = tags.target_tags.required = True
        return tags



#| export
def _sorted_levels(levels: pd.Series) -> np.ndarray:
    "The distinct levels in order, a missing one last."
    found = np.array(sorted(levels.dropna().unique()), dtype=float if levels.dtype.kind == "f" else object)
    return np.append(found, np.nan) if levels.isna().any() else found


def _classes(step: TargetEncoding, y: Any, rows: int) -> tuple[np.ndarray, str]:
    "The classes that get a column (none for a regression), and what kind of target this is."
    from sklearn.utils import column_or_1d
    from sklearn.utils.multiclass import type_of_target

    if y is None:
        raise FeatureError("TargetEncoding requires y to be passed, but the target y is None. Give the target of the training rows.")
    found = column_or_1d(y, warn=True)
    if len(found) != rows:
        raise FeatureError(f"The table has {rows} rows and the target {len(found)}: inconsistent numbers of samples.")
    kind = type_of_target(found, input_name="y")
    if kind == "continuous":
        return np.empty(0), kind
    if kind not in ("binary", "multiclass"):
        raise FeatureError(f"Unknown label type: {kind!r}. The target has to be classes or numbers, one per row, without missing values.")
    labels, counts = np.unique(found, return_counts=True)
    if len(labels) <= 2:
        return labels, "binary"
    kept = np.sort(np.argsort(-counts, kind="stable")[:step.most_classes])
    return labels[kept], "multiclass"


def _targets(step: TargetEncoding, y: Any, rows: int) -> np.ndarray:
    "What is averaged: 0 and 1 per class, or the numbers, shape (n, classes or 1)."
    found = np.asarray(y).reshape(rows)
    if step.target_type_ == "continuous":
        found = found.astype(float)
        if not np.isfinite(found).all():
            raise FeatureError(f"The target has {int((~np.isfinite(found)).sum())} values that are missing or infinite. Leave those rows out.")
        return found[:, None]
    labels = step.classes_[-1:] if step.target_type_ == "binary" else step.classes_
    return (found[:, None] == labels[None, :]).astype(float)



#| export
def _cross_fitted(step: TargetEncoding, frame: pd.DataFrame, targets: np.ndarray) -> np.ndarray:
    from mlnb.data.features_history import clock

    parts = []
    when = None if step.time is None else clock(frame[pick(frame, step.time)[0]], "time")[0]
    folds = None if when is not None else _folds(step, frame, targets)
    for name, categories in zip(step.columns_, step.categories_, strict=True):
        codes = _codes(levels_in(frame[name]), categories)
        for y in targets.T:
            parts.append(_earlier(codes, y, when, step.smooth) if when is not None else _others(codes, y, folds, len(categories), step.smooth))
    return np.column_stack(parts) if parts else np.empty((len(frame), 0))


def _others(codes: np.ndarray, y: np.ndarray, folds: Any, size: int, smooth: str | float) -> np.ndarray:
    "Each row from the other folds."
    found = np.empty(len(y))
    for fold in range(folds.max() + 1):
        own = folds == fold
        rest = y[~own]  # summed afresh: what is left after a subtraction carries the rounding of what was taken away
        left = _sums(codes[~own], rest, size)
        found[own] = _smoothed(left, rest.mean(), rest.var(), smooth)[codes[own]]
    return found


def _earlier(codes: np.ndarray, y: np.ndarray, when: np.ndarray, smooth: str | float) -> np.ndarray:
    "Each row from the rows before its time; missing where there are none."
    from mlnb.data.features_history import before

    own, all_rows = before(codes, when, y), before(np.zeros(len(y), np.int64), when, y)
    n, total, squares = own
    found = np.full(len(y), np.nan)
    some = all_rows[0] > 0
    mean = all_rows[1][some] / all_rows[0][some]
    variance = np.maximum(all_rows[2][some] / all_rows[0][some] - mean**2, 0)
    if smooth != "auto":
        with np.errstate(invalid="ignore", divide="ignore"):
            found[some] = np.where(n[some] + smooth > 0, (total[some] + smooth * mean) / (n[some] + smooth), mean)
        return found
    count = np.maximum(n[some], 1)
    local = np.where(n[some] > 0, total[some] / count, mean)
    within = np.maximum(squares[some] / count - local**2, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        weight = np.where(n[some] * variance > 0, n[some] * variance / (within + n[some] * variance), 0.0)
    found[some] = weight * local + (1 - weight) * mean
    return found


def _folds(step: TargetEncoding, frame: pd.DataFrame, targets: np.ndarray) -> np.ndarray:
    "The fold of each row, shape (n,)."
    import pandas as pd

    rng = np.random.default_rng(step.random_state)
    if step.group is None:
        order = rng.permutation(len(frame))
        spread = order[np.argsort(targets[order] @ np.arange(1, targets.shape[1] + 1), kind="stable")]
        folds = np.empty(len(frame), np.int64)
        folds[spread] = np.arange(len(frame)) % min(step.folds, len(frame))
        return folds
    groups, found = pd.factorize(frame[pick(frame, step.group)[0]], use_na_sentinel=False)
    if len(found) < 2:
        raise FeatureError(f"group has one value only ({found[0]!r}), so no row can be encoded from another group. Leave group out.")
    return (rng.permutation(len(found)) % min(step.folds, len(found)))[groups]


