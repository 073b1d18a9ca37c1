""" """
#| export
from __future__ import annotations

import datetime
from typing import Annotated, ClassVar

from pydantic import AfterValidator, model_validator

from .record_model import Part, Record, note



#| export
class Dimension(Part):
    "One dimension of data quality."

    score: float | None = note(None, "Score", "0 to 5, computed from the data", ge=0, le=5)
    adjusted: float | None = note(None, "Adjusted", "0 to 5, where a person knows better", ge=0, le=5, optional=True)
    reason: str = note("", "Reason", "Why it was adjusted", optional=True)
    by: str = note("", "Adjusted by", "Who adjusted it", optional=True)

    @model_validator(mode="after")
    def _explained(self) -> Dimension:
        if self.adjusted is not None and not self.reason.strip():
            raise ValueError("an adjusted score needs a reason; fill in reason, or leave adjusted empty")
        return self

    @property
    def points(self) -> float | None:
        "The score that counts: the adjusted one where there is one."
        return self.score if self.adjusted is None else self.adjusted


class Dimensions(Part):
    "The six dimensions."

    completeness: Dimension = note(Dimension, "Completeness", "0: more than 50 % missing, 5: less than 1 %")
    accuracy: Dimension = note(Dimension, "Accuracy", "0: known errors, 5: validated against a source of truth")
    consistency: Dimension = note(Dimension, "Consistency",
                                  "0: mixed formats and duplicates, 5: one format, no duplicates")
    timeliness: Dimension = note(Dimension, "Timeliness", "0: months old, 5: real-time or daily")
    relevance: Dimension = note(Dimension, "Relevance", "0: weak proxy for the target, 5: direct signal")
    volume: Dimension = note(Dimension, "Volume", "0: fewer than 100 samples, 5: more than 10,000 per class")


def _day(text: str) -> str:
    "A day that the calendar knows, or nothing yet."
    try:
        return text and datetime.date.fromisoformat(text).isoformat()
    except ValueError:
        raise ValueError(f"found {text!r}; allowed: a day of the calendar, as 2026-03-01") from None


Day = Annotated[str, AfterValidator(_day)]


class QualityTotal(Part):
    "A total with its day."

    date: Day = note("", "Date", "Day of the assessment, as 2026-03-01", pattern=r"^(\d{4}-\d{2}-\d{2})?$")
    total: float | None = note(None, "Total", "Sum of the six scores, out of 30", ge=0, le=30)



#| export
class DataQuality(Record):
    "Data quality: six dimensions of 0 to 5 points; below 18 of 30, fix the data first."

    record_name: ClassVar[str] = "data_quality"

    source: str = note("", "Source", "Data source that was assessed")
    assessed_on: Day = note("", "Assessed on", "Day of the latest assessment, as 2026-03-01",
                            pattern=r"^(\d{4}-\d{2}-\d{2})?$")
    dimensions: Dimensions = note(Dimensions, "Dimensions", "The six scores")
    history: list[QualityTotal] = note([], "History", "Totals of all assessments, oldest first", optional=True)

    @property
    def total(self) -> float | None:
        "Sum of the scores that count, out of 30; None while one is missing."
        points = [getattr(self.dimensions, name).points for name in Dimensions.model_fields]
        return None if None in points else float(sum(points))



#| export
class FeatureTypes(Part):
    "Patterns in use, by kind of column."

    numerical: list[str] = note(["raw_value", "log_transform", "standardize", "bin_to_categorical"], "Numerical",
                                "Patterns for numbers")
    categorical: list[str] = note(["one_hot", "target_encoding", "embedding"], "Categorical", "Patterns for categories")
    temporal: list[str] = note(["lag_features", "rolling_statistics", "time_since_event", "cyclical_encoding"],
                               "Temporal",
                               "Patterns for time")
    text: list[str] = note(["tfidf", "sentence_embeddings", "llm_extraction"], "Text", "Patterns for free text")
    interaction: list[str] = note(["ratios", "differences", "polynomial"], "Interaction",
                                  "Patterns for pairs of columns")

    @model_validator(mode="after")
    def _known(self) -> FeatureTypes:
        from mlnb.core.errors import did_you_mean, listed
        from mlnb.core.items_data import FEATURE_PATTERNS

        for kind in type(self).model_fields:
            allowed = [row[2] for row in FEATURE_PATTERNS.rows if row[1] == kind]
            for word in getattr(self, kind):
                if word not in allowed:
                    raise ValueError(f"{kind} has {word!r}; allowed: {listed(allowed)}.{did_you_mean(word, allowed)}")
        return self


class FeaturePlan(Record):
    "Feature plan: which patterns are used, and which column gets which."

    record_name: ClassVar[str] = "feature_plan"

    feature_types: FeatureTypes = note(FeatureTypes, "Patterns", "Patterns in use, by kind of column")
    columns: dict[str, list[str]] = note({}, "Columns", "Column and the patterns it gets, as 'amount: [log_transform]'")
    pairs: dict[str, list[str]] = note({}, "Pairs", "Combined columns, as 'ctr: [ratios, clicks, views]'", optional=True)
    left_out: dict[str, str] = note({}, "Left out", "Column that gives no feature, and why", optional=True)
    reasons: dict[str, str] = note({}, "Reasons", "Why a column has its pattern", optional=True)
    lags: list[int] = note([], "Lags", "How many moments back lag_features look", optional=True)
    windows: list[int] = note([], "Windows", "Over how many moments rolling_statistics look", optional=True)
    pairs_measured: int | None = note(None, "Pairs measured", "How many combinations were tried", ge=0, optional=True)

    @model_validator(mode="after")
    def _patterns(self) -> FeaturePlan:
        from mlnb.core.errors import did_you_mean, listed
        from mlnb.core.items_data import FEATURE_PATTERNS

        allowed = {row[2]: row[1] for row in FEATURE_PATTERNS.rows}
        for column, patterns in self.columns.items():
            for word in patterns:
                if word not in allowed:
                    raise ValueError(f"columns gives {column} {word!r}; allowed: {listed(allowed, 17)}.{did_you_mean(word, allowed)}")
        joins = [word for word, kind in allowed.items() if kind == "interaction"]
        for name, parts in self.pairs.items():
            if len(parts) != 3 or parts[0] not in joins:
                raise ValueError(f"pairs gives {name} {parts!r}; allowed are a pattern ({listed(joins)}) and two columns")
        wrong = [n for n in (*self.lags, *self.windows) if n < 1]
        if wrong:
            raise ValueError(f"lags and windows hold {wrong[0]}; allowed are whole numbers from 1, since others see the future")
        return self



#| export
class OfflineStore(Part):
    "Features for training."

    storage: str = note("", "Storage", "Where feature history is kept",
                        examples=("BigQuery", "Snowflake", "S3+Parquet"))
    compute: str = note("", "Compute", "What computes the features", examples=("Spark", "dbt", "SQL"))
    refresh: str = note("", "Refresh", "How often they are computed", examples=("daily", "hourly"))


class OnlineStore(Part):
    "Features for serving."

    storage: str = note("", "Storage", "Where the latest values are looked up",
                        examples=("Redis", "DynamoDB", "Feast online"))
    latency_target: str = note("<10ms p99", "Latency target", "How fast a lookup has to be")
    refresh: str = note("", "Refresh", "How the values arrive", examples=("streaming", "near-real-time"))


class Registry(Part):
    "What is known about each feature."

    naming: str = note("{entity}_{feature_name}_{window}_{aggregation}", "Naming", "Pattern of the names")
    documentation: list[str] = note(["description", "data_type", "source_table", "owner", "created_date",
                                     "known_issues"],
                                    "Documentation", "Fields every feature is documented with")


class FeatureStore(Record):
    "Feature store: where features are kept for training and for serving, and how they are named."

    record_name: ClassVar[str] = "feature_store"

    offline_store: OfflineStore = note(OfflineStore, "Offline store", "For training, computed in batches")
    online_store: OnlineStore = note(OnlineStore, "Online store", "For serving, with fast lookups")
    registry: Registry = note(Registry, "Registry", "What is known about each feature")


