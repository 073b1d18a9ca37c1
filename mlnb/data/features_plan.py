""" """
#| export
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sklearn.compose import ColumnTransformer

from mlnb.core.errors import did_you_mean, listed
from ..data.features_base import FeatureError

if TYPE_CHECKING:
    import pandas as pd

    from mlnb.core.records_data import FeaturePlan


#| export
LATER = ("lag_features", "rolling_statistics")  # patterns that a column may have beside its own


@dataclass(frozen=True)
class Plan:
    "Which column gets which pattern."

    columns: Mapping[str, tuple[str, ...]]  # column -> its patterns
    pairs: tuple[tuple[str, str, str], ...] = ()  # pattern and two columns
    left_out: Mapping[str, str] = field(default_factory=dict)  # column -> why it gives no feature
    reasons: Mapping[str, str] = field(default_factory=dict)  # column -> why it has its pattern
    time: str = ""  # column that says when a row happened
    entity: str = ""  # column that says whom it is about
    lags: tuple[int, ...] = (1, 7, 30)  # moments back
    windows: tuple[int, ...] = (7, 30)  # lengths of the windows, in moments
    pairs_measured: int | None = None  # combinations that were tried

    def having(self, *patterns: str) -> list[str]:
        "Columns with one of the patterns, in order."
        return [name for name, own in self.columns.items() if any(p in own for p in patterns)]

    @property
    def used(self) -> list[str]:
        "Every column the features are made of."
        named = [*self.columns, *(name for _, *two in self.pairs for name in two)]
        looks_back = bool(self.having(*LATER, "time_since_event", "target_encoding"))
        return list(dict.fromkeys([*named, *(name for name in (self.time, self.entity) if name and looks_back)]))

    def record(self) -> FeaturePlan:
        "The plan as the record `feature_plan.yaml`."
        from mlnb.core.records_data import FeaturePlan, FeatureTypes

        in_use = {p for own in self.columns.values() for p in own} | {p for p, _, _ in self.pairs}
        types = {kind: [p for p in words if p in in_use] for kind, words in FeatureTypes().model_dump().items()}
        return FeaturePlan(feature_types=types, columns={name: list(own) for name, own in self.columns.items()},
                           pairs={_pair_name(*pair): list(pair) for pair in self.pairs}, left_out=dict(self.left_out), reasons=dict(self.reasons),
                           lags=list(self.lags) if self.having("lag_features") else [], pairs_measured=self.pairs_measured,
                           windows=list(self.windows) if self.having("rolling_statistics") else [])

    @classmethod
    def from_record(cls, record: FeaturePlan, time: str = "", entity: str = "") -> Plan:
        "The plan of a record; time and entity are those of the project."
        return cls({name: tuple(own) for name, own in record.columns.items() if own}, tuple((p, a, b) for p, a, b in record.pairs.values()),
                   dict(record.left_out), dict(record.reasons), time, entity, tuple(record.lags) or cls.lags, tuple(record.windows) or cls.windows,
                   record.pairs_measured)


def _pair_name(pattern: str, a: str, b: str) -> str:
    return f"{a}_{ {'ratios': 'per', 'differences': 'minus', 'polynomial': 'times'}[pattern]}_{b}"



#| export
class PlannedFeatures(ColumnTransformer):
    "The transformer of a plan: scikit-learn's ColumnTransformer with an error that helps."

    def fit_transform(self, X: Any, y: Any = None, **params: Any) -> Any:
        "Fit to training rows; target encodings of these rows are cross-fitted."
        self._present(X)
        return super().fit_transform(X, y, **params)

    def transform(self, X: Any, **params: Any) -> Any:
        "The features of a table."
        self._present(X)
        return super().transform(X, **params)

    def _present(self, X: Any) -> None:
        if not hasattr(X, "columns"):
            raise FeatureError(f"The features are made from named columns; this is {type(X).__name__}. Give a pandas frame with the columns "
                               f"{listed(self._needed())}.")
        have = [str(name) for name in X.columns]
        gone = [name for name in self._needed() if name not in have]
        if gone:
            raise FeatureError(f"{len(gone)} of the {len(self._needed())} columns that the features are made of are missing: {listed(gone)}."
                               f"{did_you_mean(gone[0], have)}")
        twice = [name for name in self._needed() if have.count(name) > 1]
        if twice:
            raise FeatureError(f"Several columns have the same name: {listed(twice)}. Rename them.")

    def _needed(self) -> list[str]:
        return list(dict.fromkeys(name for _, _, columns in self.transformers for name in columns))


def build(
    plan: Plan,  # which column gets which pattern
    keep_numbers: bool = True,  # whether a number on a circle also stays a plain number, which trees like
    options: Mapping[str, Mapping[str, Any]] | None = None,  # pattern -> parameters of its step, such as {"tfidf": {"words": 500}}
    random_state: int = 0,  # of every step that draws
) -> PlannedFeatures:  # unfitted
    "The transformer of a plan."
    options = options or {}
    known = [pattern for pattern in _STEPS if plan.having(pattern) or any(p == pattern for p, _, _ in plan.pairs)]
    unknown = [pattern for pattern in options if pattern not in _STEPS]
    if unknown:
        raise FeatureError(f"There is no pattern {unknown[0]!r} to give options to; there are {listed(_STEPS, 17)}."
                           f"{did_you_mean(unknown[0], _STEPS)}")
    if not known:
        raise FeatureError("The plan has no column with a pattern, so there is nothing to build. Left out: "
                           f"{listed(f'{name} ({why})' for name, why in plan.left_out.items())}.")
    parts = []
    for pattern in known:
        step, columns = _part(plan, pattern, keep_numbers, dict(options.get(pattern, {})), random_state)
        parts.append((pattern, step, columns))
    return PlannedFeatures(parts, remainder="drop", sparse_threshold=0.0)



#| export
_STEPS: Mapping[str, str] = {  # pattern -> its step; those without parameters of their own
    "raw_value": "numeric:RawValue", "log_transform": "numeric:LogTransform", "standardize": "numeric:standardize", "bin_to_categorical": "numeric:Bins",
    "one_hot": "levels:OneHot", "target_encoding": "levels:TargetEncoding", "embedding": "embedding:CategoryEmbedding",
    "cyclical_encoding": "cyclical:Cyclical", "time_since_event": "temporal:TimeSince", "lag_features": "temporal:Lags",
    "rolling_statistics": "temporal:Rolling", "tfidf": "text:Tfidf", "sentence_embeddings": "text:SentenceEmbeddings",
    "llm_extraction": "extraction:LlmExtraction", "ratios": "pairs:Ratios", "differences": "pairs:Differences", "polynomial": "pairs:Products"}


def _part(plan: Plan, pattern: str, keep_numbers: bool, given: dict[str, Any], random_state: int) -> tuple[Any, list[str]]:
    "Step and columns of one pattern."
    from mlnb.core.optional import resolve

    make: Any = resolve(f"data.features_{_STEPS[pattern]}")
    columns = plan.having(pattern)
    if pattern in ("ratios", "differences", "polynomial"):
        pairs = [(a, b) for p, a, b in plan.pairs if p == pattern]
        return make(pairs=pairs, **given), list(dict.fromkeys(name for pair in pairs for name in pair))
    if pattern in ("lag_features", "rolling_statistics", "time_since_event"):
        if not plan.time:
            raise FeatureError(f"{pattern} needs a time column, and the plan names none; it is meant for {listed(columns)}.")
        own = {"lag_features": {"lags": plan.lags}, "rolling_statistics": {"windows": plan.windows}}.get(pattern, {})
        roles = [name for name in (plan.time, plan.entity) if name and name not in columns]
        return make(**{"columns": columns, "time": plan.time, "entity": plan.entity or None, **own, **given}), [*columns, *roles]
    if pattern == "target_encoding":
        role = {"time": plan.time} if plan.time else {"group": plan.entity} if plan.entity and plan.entity not in columns else {}
        return make(**{**role, "random_state": random_state, **given}), [*columns, *(name for name in role.values() if name not in columns)]
    if pattern == "embedding":
        around = plan.having("one_hot", "target_encoding", "raw_value", "log_transform", "standardize", "bin_to_categorical")
        return make(**{"columns": columns, "random_state": random_state, **given}), list(dict.fromkeys([*columns, *around]))
    if pattern == "bin_to_categorical":
        return make(**{"method": "supervised", "random_state": random_state, **given}), columns
    if pattern == "cyclical_encoding":
        return make(**{"keep": keep_numbers, **given}), columns
    return make(**given), columns


