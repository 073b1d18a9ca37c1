"""Traces of an outcome beside honest columns that resemble them: gaps, words, ranges, properties of an entity."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlnb.data.entity_folds import apart, settled_once
from mlnb.data.gaps import emptied, in_step
from mlnb.data.leakage import audit
from mlnb.data.one_sided import own_range
from mlnb.data.signal import answer
from mlnb.data.single_feature import Examined
from mlnb.data.tails import binomial_tail, log_gamma, poisson_tail
from mlnb.data.telling_words import by_words


def named(frame: pd.DataFrame, target: str, **roles: str) -> dict[str, str]:
    """Columns that an audit names, and how."""
    examined: Examined = audit(frame, target=target, **roles).examined
    return {column.column: column.verdict for column in examined.columns if column.verdict != "pass"}


def table(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Weak honest columns and a binary outcome."""
    x = rng.normal(size=(n, 4))
    y = rng.random(n) < 1 / (1 + np.exp(1.3 - x[:, 0] - 0.5 * x[:, 1]))
    return pd.DataFrame(x, columns=list("abcd")).assign(kind=rng.choice(list("uvw"), n), y=np.where(y, "yes", "no"))


# Gaps


@pytest.mark.parametrize("seed", range(3))
def test_a_column_emptied_for_half_of_an_outcome_is_asked_about(seed: int) -> None:
    rng = np.random.default_rng(seed)
    d = table(rng, 1500)
    empty = ((d["y"] == "yes") & (rng.random(1500) < 0.5)) | (rng.random(1500) < 0.02)
    d["reading"] = np.where(empty, np.nan, rng.normal(50, 12, 1500))
    assert named(d, "y") == {"reading": "warn"}


@pytest.mark.parametrize("seed", range(3))
def test_a_column_missing_three_times_as_often_is_honest(seed: int) -> None:
    rng = np.random.default_rng(seed)
    d = table(rng, 3000)
    d["reading"] = np.where(rng.random(3000) < np.where(d["y"] == "yes", 0.36, 0.12), np.nan, rng.normal(50, 12, 3000))
    assert named(d, "y") == {}


def test_chance_empties_no_column() -> None:
    rng = np.random.default_rng(1)
    target = answer(pd.Series(rng.random(150) < 0.2))
    assert not any(list(emptied(rng.random(150) < share, target)) for share in np.linspace(0.05, 0.95, 300))


def test_gaps_of_a_rare_outcome_need_few_rows() -> None:
    rng = np.random.default_rng(2)
    fraud = np.arange(3000) < 24
    target = answer(pd.Series(fraud))
    assert list(in_step(fraud ^ (rng.random(3000) < 0.03), target))
    assert not list(in_step(rng.permutation(fraud) ^ (rng.random(3000) < 0.03), target))


def test_a_column_that_begins_while_the_target_grows_is_no_leak() -> None:
    rng = np.random.default_rng(3)
    day = np.arange(1500)
    target = answer(pd.Series(day + rng.normal(0, 15, 1500)))
    assert not list(in_step(day >= 600, target))
    mixed = rng.permutation(1500)  # the same gaps in rows that are in no order
    shuffled = answer(pd.Series((day + rng.normal(0, 15, 1500))[mixed]))
    assert list(in_step((day >= 600)[mixed], shuffled))


# Properties of an entity


def hospitals(rng: np.random.Generator) -> pd.DataFrame:
    """Rows about sixty hospitals, each of which has an emergency service or not."""
    who = np.repeat(np.arange(60), 15)
    place = rng.integers(0, 50, 60)
    emergency = rng.random(60) < 0.6
    return pd.DataFrame({"hospital": who, "city": np.char.add("city ", place.astype(str))[who], "zip": (10_000 + 7 * rng.permutation(60))[who],
                         "beds": (rng.normal(200, 60, 60) + 30 * emergency).round()[who], "score": rng.random(len(who)).round(2),
                         "emergency": np.where(emergency, "yes", "no")[who]})  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_what_tells_the_hospital_is_no_leak_and_what_tells_the_outcome_is(seed: int) -> None:
    rng = np.random.default_rng(seed)
    d = hospitals(rng)
    assert named(d, "emergency", entity="hospital") == {}
    codes = rng.permutation(1000)[:20]
    d["code"] = codes[10 * (d["emergency"] == "yes") + rng.integers(0, 10, len(d))]
    d["risk"] = (d["emergency"] == "yes") + rng.normal(0, 0.15, len(d))
    assert named(d, "emergency", entity="hospital") == {"code": "fail", "risk": "fail"}


def test_entities_stay_in_one_fold_and_all_folds_have_every_outcome() -> None:
    rng = np.random.default_rng(5)
    d = hospitals(rng)
    target, whom = answer(d["emergency"]), d["hospital"].to_numpy()
    folds = apart(target, whom).folds
    assert (pd.Series(folds).groupby(whom).nunique() == 1).all() and set(folds) == set(range(5))
    assert all(len(set(target.values[folds == fold])) == 2 for fold in range(5))
    assert settled_once(target, whom) and not settled_once(target, np.arange(len(d)))
    assert apart(target, np.arange(len(d))) is target  # an identifier of the row separates nothing


# Words, ranges, exact copies


def test_words_that_tell_all_outcomes_apart_may_slip() -> None:
    rng = np.random.default_rng(6)
    d = table(rng, 1200)
    ends = np.where((d["y"] == "yes") ^ (rng.random(1200) < 0.02), "refunded", "kept")
    d["note"] = [" ".join([*rng.choice("the staff was nice quick late parcel".split(), 5), f"no{i}", end]) for i, end in enumerate(ends)]
    assert named(d, "y") == {"note": "fail"}
    d["note"] = d["note"].to_numpy()[rng.permutation(1200)]
    assert named(d, "y") == {}


def test_words_by_chance_tell_nothing() -> None:
    rng = np.random.default_rng(7)
    place, word = np.repeat(np.arange(800), 8), rng.integers(0, 300, 6400)
    assert by_words(place, word, answer(pd.Series(rng.random(800) < 0.5)))[1] == 0


def test_a_value_that_the_others_expect_fails_nothing() -> None:
    rng = np.random.default_rng(8)
    d = table(rng, 2000)
    d["a"] = np.where(d["y"] == "yes", 3.0, -3.0) + rng.normal(0, 1.1, 2000)
    d["b"] = np.where(d["y"] == "yes", 3.0, -3.0) + rng.normal(0, 1.1, 2000)  # two honest measurements that say nearly all
    sure = (d["a"] > 3.5) & (d["b"] > 3.5)  # and a comment on the cases that are clear
    d["comment"] = [f"case {i} {'evident' if s else 'looked at'}" for i, s in enumerate(sure)]
    assert "comment" not in named(d, "y")


@pytest.mark.parametrize("seed", range(5))
def test_a_scale_of_their_own_in_a_small_table(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ill = np.arange(140) < 45
    target, minutes = answer(pd.Series(ill)), rng.gamma(3, 2, 140)
    some = ill & (np.arange(140) % 4 == 0)
    assert [one.inside.sum() for one in own_range(np.where(some, minutes + 60 + rng.gamma(2, 20, 140), minutes), target)] == [some.sum()]
    assert not list(own_range(np.where(rng.permutation(some), minutes + 60 + rng.gamma(2, 20, 140), minutes), target))
    assert not list(own_range(minutes * np.where(ill, 1.8, 1), target))  # a dose


def test_a_copy_known_for_a_dozen_rows() -> None:
    rng = np.random.default_rng(9)
    x = rng.normal(size=(500, 4))
    d = pd.DataFrame(x, columns=list("abcd")).assign(y=x[:, 0] + rng.normal(size=500))
    known = np.arange(500) % 40 == 0
    d["paid"] = np.where(known, 10 + d["y"], 0.0)
    assert named(d, "y") == {"paid": "fail"}
    d["paid"] = np.where(known, 10 + x[:, 0] * 2, 0.0)  # a good measurement, for as few
    assert named(d, "y") == {}


@settings(max_examples=300)
@given(st.integers(1, 200_000), st.floats(1e-6, 1 - 1e-6), st.floats(-6, 6))
def test_tails_are_those_of_scipy(trials: int, chance: float, off: float) -> None:
    from scipy.special import bdtrc, betaln, gammaln, pdtrc

    mean = trials * chance
    hits = int(np.clip(round(mean + off * mean**0.5), 1, trials))
    assert binomial_tail(hits, trials, chance) == pytest.approx(float(bdtrc(hits - 1, trials, chance)), rel=1e-8, abs=1e-250)
    assert poisson_tail(hits, mean) == pytest.approx(float(pdtrc(hits - 1, mean)), rel=1e-8, abs=1e-250)
    a, b = 0.05 + chance, mean + 0.5
    assert log_gamma(a) + log_gamma(b) - log_gamma(a + b) == pytest.approx(float(betaln(a, b)), rel=1e-9, abs=1e-9)
    assert np.allclose(log_gamma(np.arange(1, 40)), gammaln(np.arange(1, 40)))
