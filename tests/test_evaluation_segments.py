"""Planted segments are found once and by their own name, luck is not, and the bound leaves nothing out."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import gamma, hypergeom, norm

from mlnb.core.errors import InputError
from mlnb.evaluation import segment_search as module
from mlnb.evaluation.segment_axes import axis, joint
from mlnb.evaluation.segment_search import search_segments
from mlnb.evaluation.segment_tails import Tails
from mlnb.evaluation.segments import conditions


def table(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({f"c{i}": rng.choice(list("abcde"), n) for i in range(4)} | {f"x{i}": rng.normal(size=n) for i in range(4)})


LUCK = {"log loss": lambda rng, n: rng.exponential(1, n), "rare errors": lambda rng, n: (rng.random(n) < 0.04).astype(float),
        "heavy tail": lambda rng, n: rng.lognormal(0, 1.5, n), "nearly all wrong": lambda rng, n: (rng.random(n) < 0.9).astype(float)}  # fmt: skip


@pytest.mark.parametrize("name", LUCK)
def test_luck_is_no_segment(name: str) -> None:
    alarms = sum(bool(search_segments(table(900, s), LUCK[name](np.random.default_rng(100 + s), 900)).segments) for s in range(30))
    assert alarms <= 5  # 5 % of 30, and what a binomial allows above it (p = .003)


@pytest.mark.parametrize("missing", [False, True])
def test_a_planted_pair_is_found_by_its_own_name(missing: bool) -> None:
    frame = table(4000, 1)
    planted = (frame.c0 == "b") & (frame.c1 == "d")
    if missing:
        frame.loc[planted, "x0"] = np.nan
    loss = np.random.default_rng(2).exponential(0.4, 4000) + 0.6 * planted
    worst = search_segments(frame, loss).segments
    assert [str(s) for s in worst] == ["x0 is missing" if missing else "c0 = b and c1 = d"], "one result, though several describe the same rows"
    assert worst[0].rows == planted.sum()
    assert worst[0].loss == pytest.approx(loss[planted].mean()) and worst[0].rest == pytest.approx(loss[~planted].mean())
    assert worst[0].low > 0 and worst[0].low < worst[0].loss - worst[0].rest < worst[0].high and worst[0].p < 0.05


@pytest.mark.parametrize("kind", ["log loss", "right or wrong", "absolute error"])
def test_two_percent_of_the_rows_described_by_three_columns(kind: str) -> None:
    frame = table(12_000, 3)
    rng = np.random.default_rng(4)
    planted = ((frame.c0 == "a") & (frame.c2 == "e") & (frame.x1 > 0)).to_numpy()
    assert 0.015 < planted.mean() < 0.025
    loss = {"log loss": rng.exponential(0.3 + 0.5 * planted), "right or wrong": (rng.random(12_000) < 0.1 + 0.35 * planted).astype(float),
            "absolute error": np.abs(rng.normal(0, 1 + 1.5 * planted))}[kind]  # fmt: skip
    found = search_segments(frame, loss, score=lambda mask: float(loss[mask].max()))
    first = found.segments[0]
    assert len(found.segments) == 1 and set(first.conditions[:2]) == {"c0 = a", "c2 = e"} and "x1" in first.conditions[2]
    assert first.metric is not None and first.rows >= found.minimum
    assert found.candidates[3] > found.candidates[2] > found.candidates[1]


def test_a_single_condition_comes_without_its_parts() -> None:
    frame = table(6000, 5)
    loss = np.random.default_rng(6).exponential(0.3 + 0.5 * (frame.c3 == "c"))
    assert [str(s) for s in search_segments(frame, loss).segments] == ["c3 = c"]


def test_two_families_are_two_results() -> None:
    frame = table(8000, 7)
    planted = (frame.c0 == "a") & (frame.c1 == "a"), frame.x3 > 1.1
    loss = np.random.default_rng(8).exponential(0.3 + 0.8 * planted[0] + 0.4 * planted[1])
    found = search_segments(frame, loss).segments
    assert len(found) == 2 and str(found[0]) == "c0 = a and c1 = a" and found[1].conditions[0].startswith("x3 > 0.")


def test_the_bound_skips_sets_and_leaves_nothing_out(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(10)
    frame = pd.DataFrame({f"c{i}": rng.choice(list("abcdefg"), 3000) for i in range(8)})
    loss = (rng.random(3000) < 0.01 + 0.9 * ((frame.c0 == "a") & (frame.c1 == "b") & (frame.c2 == "c"))).astype(float)
    quick = search_segments(frame, loss, minimum=6)
    monkeypatch.setattr(module, "_alive", lambda job, pair: np.ones([len(part.words) for part in pair], bool))
    full = search_segments(frame, loss, minimum=6)
    assert quick.skipped[3] > 0 == full.skipped[3] and quick.segments == full.segments and len(full.segments) == 1


def test_too_many_columns_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SETS", 10)
    frame = table(8000, 11)
    planted = (frame.c0 == "b") & (frame.c1 == "d") & (frame.c2 == "a")
    found = search_segments(frame, np.random.default_rng(12).exponential(0.3 + 2.0 * planted), minimum=30)
    assert "5 of 8 columns" in found.notes[0] and sum(found.counted.values()) == 8 + 28 + 10
    assert set(found.segments[0].conditions) == {"c0 = b", "c1 = d", "c2 = a"}


def test_tails_are_those_of_known_distributions() -> None:
    wrong = np.r_[np.ones(500), np.zeros(9500)]
    tails = Tails((wrong - wrong.mean()) / wrong.std())
    for rows, hits in ((40, 8), (200, 25), (2000, 140)):
        exact = hypergeom.sf(hits - 1, 10_000, 500, rows)
        found = norm.sf(tails.deviates(np.array(rows), np.array((hits - rows * 0.05) / wrong.std())))
        assert 0.5 < found / exact < 2.5
    waits = gamma.ppf((np.arange(200_000) + 0.5) / 200_000, 1)
    tails = Tails((waits - waits.mean()) / waits.std())
    for rows, mean in ((30, 2.2), (100, 1.6)):  # a mean of exponentials is a gamma
        found = norm.sf(tails.deviates(np.array(rows), np.array(rows * (mean - waits.mean()) / waits.std())))
        assert found == pytest.approx(gamma.sf(rows * mean, rows), rel=0.1)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), gaps=st.booleans())
def test_joint_counts_are_those_of_filtering(seed: int, gaps: bool) -> None:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"a": rng.choice(["x", "y", None], 300), "b": rng.normal(size=300), "c": rng.integers(0, 40, 300)})
    if gaps:
        frame.loc[rng.random(300) < 0.2, "b"] = np.nan
    axes, values = [axis(frame[name], 10) for name in frame], rng.normal(size=300)
    counts, sums = joint(axes), joint(axes, values)
    for at in itertools.product(*(rng.choice(len(part.words) + 1, 3) for part in axes)):
        mask = np.logical_and.reduce([part.rows(c) if c else np.ones(300, bool) for part, c in zip(axes, at, strict=True)])
        assert counts[at] == mask.sum() and sums[at] == pytest.approx(values[mask].sum(), abs=1e-9)


def test_conditions_cover_every_row_once() -> None:
    for column in (pd.Series(np.arange(100.0)), pd.Series([None, 1.5, 2.5] * 10), pd.Series([True, False, None] * 5, dtype="boolean"),
                   pd.Series(pd.date_range("2025", periods=50)), pd.Series([np.inf, -np.inf, 0.0] * 9), pd.Series([[1], [2]] * 8)):  # fmt: skip
        codes, words = conditions(column.rename("x"))
        assert codes.min() >= 0 and codes.max() < len(words)
    assert conditions(pd.Series([f"id{i}" for i in range(50)], name="id"))[1] == []
    assert any("2025-02" in word for word in conditions(pd.Series(pd.date_range("2025", periods=90), name="day"))[1])


def test_what_cannot_be_searched() -> None:
    frame = pd.DataFrame({"g": ["a"] * 200 + ["b"] * 5})
    assert search_segments(frame, np.r_[np.zeros(200), np.full(5, 9.0)]).segments == (), "five rows are no segment"
    assert search_segments(frame, np.ones(205)).segments == () and search_segments(frame.iloc[:0], np.zeros(0)).segments == ()
    assert search_segments(pd.DataFrame(index=range(50)), np.arange(50.0)).findings[0].status.value == "pass"
    with pytest.raises(InputError, match="each row needs one"):
        search_segments(frame, np.zeros(3))
    with pytest.raises(InputError, match=r"1 of 205 rows is no finite number \(rows 7\)"):
        search_segments(frame, np.where(np.arange(205) == 7, np.nan, 1.0))
    with pytest.raises(InputError, match="order=4"):
        search_segments(frame, np.zeros(205), order=4)
    with pytest.raises(InputError, match="same name: g"):
        search_segments(pd.concat([frame, frame], axis=1), np.zeros(205))


def test_names_of_columns_and_levels_are_escaped() -> None:
    frame = pd.DataFrame({"<b>": ["<script>alert(1)</script>"] * 100 + ["ok"] * 300})
    found = search_segments(frame, np.r_[np.full(100, 1.0), np.zeros(300)] + np.random.default_rng(0).normal(0, 0.1, 400))
    assert len(found.segments) == 1 and "<script>" not in found._repr_html_() and "&lt;script&gt;" in found._repr_html_()
