"""The feature steps against scikit-learn's own checks, against other implementations, and against their promises."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, TargetEncoder
from sklearn.utils.estimator_checks import parametrize_with_checks

from mlnb.core.errors import InputError, MlnbError
from mlnb.data.features_base import FeatureError, UnfittedError
from mlnb.data.features_cyclical import Cyclical
from mlnb.data.features_embedding import CategoryEmbedding
from mlnb.data.features_history import clock
from mlnb.data.features_levels import OneHot, TargetEncoding
from mlnb.data.features_numeric import Bins, LogTransform, RawValue, standardize
from mlnb.data.features_pairs import Differences, Products, Ratios
from mlnb.data.features_temporal import Lags, Rolling, TimeSince
from mlnb.data.features_text import SentenceEmbeddings, Tfidf


def embed(texts: list[str]) -> np.ndarray:
    """A small embedder: counts of hashed words, the same on every machine."""
    found = np.zeros((len(texts), 8))
    for row, text in enumerate(texts):
        for word in text.lower().split():
            found[row, zlib.crc32(word.encode()) % 8] += 1
    return found


STEPS: list[Any] = [
    RawValue(), LogTransform(), Bins(), Bins(method="supervised", encode="ordinal"), OneHot(), TargetEncoding(), CategoryEmbedding(),
    CategoryEmbedding(method="hash"), Lags(), Rolling(), TimeSince(), Cyclical(), Tfidf(), SentenceEmbeddings(embed), Ratios(), Differences(), Products()]


@parametrize_with_checks(STEPS)
def test_scikit_learn_checks(estimator: Any, check: Any) -> None:
    check(estimator)
