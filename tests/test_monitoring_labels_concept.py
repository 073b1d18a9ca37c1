"""Concept drift: windows judged together, change points, where the relation changed, outcomes over windows."""

from __future__ import annotations

import json
import random
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlnb.core.errors import InputError, MissingError
from mlnb.evaluation.predictions import predictions
from mlnb.monitoring.change_points import row_errors, stretches
from mlnb.monitoring.concept import adwin_changes, measured_windows, page_hinkley_changes, performance_over
from mlnb.monitoring.label_windows import label_counts, label_windows
from mlnb.monitoring.relation import relation_change, residuals, segments
from mlnb.monitoring.sequential import cusum, spent
from mlnb.monitoring.windows import Window


def documented() -> list[int]:
    rng = random.Random(12345)
    return rng.choices([0, 1], k=1000) + rng.choices(range(4, 8), k=1000)


def test_the_changes_are_where_rivers_documentation_prints_them() -> None:
    assert adwin_changes(documented()) == (1023,)
    assert page_hinkley_changes(documented(), mode="both") == (1006,)


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.floats(0.0005, 0.05))
def test_changes_are_rivers_own(seed: int, delta: float) -> None:
    from river import drift

    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.random(300) < 0.2, rng.random(300) < 0.6]).astype(float)
    adwin, page = drift.ADWIN(delta=delta), drift.PageHinkley(threshold=20, mode="up")
    theirs: tuple[list[int], list[int]] = ([], [])
    for i, value in enumerate(values):
        for detector, found in zip((adwin, page), theirs, strict=True):
            detector.update(value)
            if detector.drift_detected:
                found.append(i)
    assert adwin_changes(values, delta) == tuple(theirs[0]) and page_hinkley_changes(values, threshold=20) == tuple(theirs[1])


def test_a_stream_that_is_none_is_refused_and_river_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert adwin_changes([]) == () and page_hinkley_changes([]) == ()
    for wrong in ([1, float("nan")], [1, float("inf")], ["a"]):
        with pytest.raises(InputError):
            adwin_changes(wrong)
    with pytest.raises(InputError, match="up, down"):
        page_hinkley_changes([1.0], mode="sideways")
    monkeypatch.setitem(sys.modules, "river.drift", None)
    with pytest.raises(MissingError, match=r"mlnb\[monitoring\]"):
        adwin_changes([1.0])


def test_stretches_hold_every_row_once() -> None:
    found = stretches(documented(), (1023,))
    assert found["rows"].tolist() == [1024, 976] and found["mean error"][1] > 5
    assert stretches([1, 2, 3], (2,))["rows"].tolist() == [3] and stretches([], ()).empty


def test_row_errors_by_task() -> None:
    p = predictions([0, 1, 1], y_score=[0.2, 0.9, 0.4], task="binary")
    assert row_errors(p).tolist() == [0, 0, 1]
    assert row_errors(predictions([1.0, 2.0, 9.5], [1.5, 2.0, 9.0], task="regression")).tolist() == [0.5, 0, 0.5]


def test_the_sum_runs_as_long_as_the_textbook_says() -> None:
    """One-sided CUSUM with slack 0.5 and limit 5: 930 steps without a change, 10.4 with one of a standard error."""
    rng = np.random.default_rng(0)

    def runs(shift: float, most: int, many: int) -> float:
        z = rng.normal(shift, 1, (many, most))
        sums, at = np.zeros(many), np.full(many, most)
        for step in range(most):
            sums = np.maximum(0, sums + z[:, step] - 0.5)
            at = np.where((sums >= 5) & (at == most), step + 1, at)
        return float(at.mean())

    assert runs(0, 9000, 800) == pytest.approx(930, rel=0.12)
    assert runs(1, 200, 2000) == pytest.approx(10.4, rel=0.06)
    z = rng.normal(1, 1, 100)
    sums, began = cusum(z)
    alarm = int((sums >= 5).argmax())
    assert sums[alarm] >= 5 > sums[alarm - 1] and 0 <= began[alarm] <= alarm and sums.max() <= 7.5
    assert len(cusum([])[0]) == 0 and cusum([float("nan"), -3.0])[0].tolist() == [0, 0]


def test_what_is_spent_is_never_more_than_there_is() -> None:
    assert spent(1_000_000, 0.1).sum() < 0.1 and spent(0).size == 0 and (np.diff(spent(20)) < 0).all()


def made(values: list[float], half: float = 0.02, rows: int = 500) -> list[dict[str, object]]:
    days = pd.date_range("2026-01-05", periods=len(values), freq="7D")
    return [{"start": f"{d:%Y-%m-%d}", "end": "", "value": v, "low": v - half, "high": v + half, "rows": rows} for d, v in zip(days, values, strict=True)]


def test_false_alarms_are_rare_over_a_year_of_weeks() -> None:
    alarms, se = 0, 0.01
    for seed in range(300):
        rng = np.random.default_rng(seed)
        then = 0.8 + rng.normal(0, 0.005)
        over = performance_over(made((0.8 + rng.normal(0, se, 52)).tolist(), 1.96 * se), "accuracy", (then, then - 0.0098, then + 0.0098))
        alarms += bool(over.change)
    assert alarms / 300 < 0.10, alarms  # 5 % of single windows, and 52 of 930 steps of the sum less what the reference's interval takes


def test_a_large_drop_is_seen_at_once_and_a_small_one_by_the_sum() -> None:
    sudden = performance_over(made([0.8] * 6 + [0.7]), "accuracy", (0.8, 0.79, 0.81))
    assert sudden.change == sudden.seen == "2026-02-16" and sudden.by == "one window" and sudden.findings[0].status.value == "fail"
    slow = performance_over(made([0.8] * 6 + [0.772] * 14), "accuracy", (0.8, 0.798, 0.802))
    assert slow.by == "the sum of several windows" and slow.change == "2026-02-16" and slow.seen > slow.change
    assert slow.findings[0].status.value == "pass" and "Less than 5%" in slow.findings[0].message  # 3.5 %: beyond chance, and small
    deeper = performance_over(made([0.8] * 6 + [0.755] * 14, half=0.04), "accuracy", (0.8, 0.798, 0.802))
    assert deeper.findings[0].status.value == "fail" and deeper.findings[0].value == pytest.approx(0.056, abs=1e-3)


def test_a_loss_that_is_over_is_over() -> None:
    over = performance_over(made([0.8] * 4 + [0.7] * 3 + [0.81] * 8), "accuracy", (0.8, 0.795, 0.805))
    assert not over.change and over.recovered and over.findings[0].status.value == "pass" and "not any more" in over.findings[0].message
    again = performance_over(made([0.8] * 4 + [0.7] * 3 + [0.81] * 8 + [0.69]), "accuracy", (0.8, 0.795, 0.805))
    assert again.change == "2026-04-20" and again.findings[0].value == pytest.approx(0.1375)


def test_errors_that_grow_are_a_drop_and_gains_are_none() -> None:
    worse = performance_over(made([10.0, 12.0], half=0.3), "rmse", (10, 9.8, 10.2))
    assert worse.findings[0].status.value == "fail" and "question the features" in worse.findings[0].evidence["response"]
    better = performance_over(made([10.0, 8.0], half=0.3), "rmse", (10, 9.8, 10.2))
    assert better.findings[0].status.value == "pass" and not better.change


def test_one_bad_week_in_many_is_a_warning_at_most() -> None:
    over = performance_over(made([0.8] * 30 + [0.755]), "accuracy", (0.8, 0.795, 0.805), alpha=0.001)
    assert over.findings[0].status.value in ("warn", "fail")
    quiet = performance_over(made([0.8] * 10 + [0.75], half=0.08), "accuracy", (0.8, 0.79, 0.81))
    assert quiet.findings[0].status.value == "pass" and not quiet.change  # 6 % down, and nobody can say that it is


def test_windows_of_the_project_are_read_and_estimates_are_not_measurements() -> None:
    m = {"value": 0.7, "low": 0.68, "high": 0.72, "rows": 300}
    windows = [
        Window("2026-01-02", "2026-01-03", 300, metrics={"f1": {**m, "kind": "measured"}}),
        Window("2026-01-01", "2026-01-02", 300, metrics={"f1": {**m, "kind": "estimated"}}),
        Window("2026-01-04", "2026-01-05"),
        Window("2026-01-03", "2026-01-04", 9, metrics={"f1": {"value": None, "low": None, "high": None}}),
    ]
    over = performance_over(windows, "f1", (0.7, 0.68, 0.72))
    assert [q.start for q in over.points] == ["2026-01-02"] and over.points[0].rows == 300
    none = performance_over([], "f1", 0.7)
    assert not none.points and not none.findings and "No window" in none._repr_html_()
    json.dumps([over.to_dict(), none.to_dict()])
    with pytest.raises(InputError, match="is 0"):
        performance_over(windows, "f1", 0.0)


def test_rows_become_windows_and_what_cannot_be_measured_is_said() -> None:
    rng = np.random.default_rng(0)
    times = pd.Series(pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.uniform(0, 28, 900), unit="D"))
    y = (rng.random(900) < 0.4).astype(int)
    y[(times < pd.Timestamp("2026-01-08")).to_numpy()] = 0  # a week of one class
    times.iloc[:5] = pd.NaT
    times[times >= pd.Timestamp("2026-01-25")] = pd.NaT
    p = predictions(y, y_score=np.clip(0.3 + 0.4 * y + rng.normal(0, 0.2, 900), 0, 1), task="binary")
    points, left = measured_windows(p, times, "roc_auc", every="1w")
    assert [w["start"][:10] for w in points] == ["2026-01-08", "2026-01-15", "2026-01-22"] and all(w["low"] <= w["value"] <= w["high"] for w in points)
    assert "no time" in left[0] and any("2026-01-01" in each for each in left)
    assert sum(w["rows"] for w in measured_windows(p, times, "accuracy", every="1d")[0]) <= times.notna().sum()
    with pytest.raises(InputError, match="length"):
        measured_windows(p, times, "accuracy", every="0d")


def table(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"x": rng.normal(size=n), "kind": rng.choice(list("abc"), n), "noise": rng.random(n), "flag": rng.random(n) < 0.3,
                         "when": pd.Timestamp("2026-01-01"), "empty": np.nan})  # fmt: skip


def test_the_column_whose_relation_changed_is_named_and_the_level_is_told_apart() -> None:
    rng = np.random.default_rng(0)
    a, b = table(3000, 0), table(1500, 1)
    slope = relation_change(a, rng.normal(size=3000), b, rng.normal(size=1500) + 0.4 * b["x"].to_numpy())
    assert slope.changed == ("x",) and set(slope.skipped) == {"when", "empty"}
    level = relation_change(a, rng.normal(size=3000), b, rng.normal(size=1500) + 0.4)
    assert level.changed == () and level.p < 1e-10
    kind = relation_change(a, rng.normal(size=3000), b, rng.normal(size=1500) + 0.5 * (b["kind"] == "b").to_numpy())
    assert kind.changed == ("kind",) and kind["kind"]["worst"] == "b"
    json.dumps(kind.to_dict())


def test_no_column_is_named_when_nothing_changed() -> None:
    rng = np.random.default_rng(1)
    named = [bool(relation_change(table(800, k), rng.normal(size=800), table(400, 500 + k), rng.normal(size=400)).changed) for k in range(80)]
    assert np.mean(named) <= 0.05 + 3 * (0.05 * 0.95 / 80) ** 0.5


def test_segments_are_the_same_on_both_sides() -> None:
    a, b, names = segments(pd.Series([1.0, 2, 3, 4, 5, 6, 7, 8, 9, np.nan] * 3), pd.Series([0.0, 99, np.nan]))
    assert names[-1] == "missing" and b.tolist() == [0, 4, 5] and a.max() == 5
    _, b, names = segments(pd.Series(["p", "q", "p"]), pd.Series(["q", "new", None]))
    assert names == ["p", "q", "missing"] and b.tolist() == [1, -1, 2]


def test_residuals_and_relations_refuse_what_they_cannot_use() -> None:
    assert residuals(predictions([0, 1], y_score=[0.25, 0.5], task="binary")).tolist() == [-0.25, 0.5]
    a = table(50, 0)
    with pytest.raises(InputError, match="same rows"):
        relation_change(a, np.zeros(3), a, np.zeros(50))
    with pytest.raises(InputError, match="40 rows"):
        relation_change(a.head(10), np.zeros(10), a, np.zeros(50))
    assert not relation_change(a, np.zeros(50), a, np.zeros(50)).changed


def test_outcomes_change_when_they_are_sure_and_large() -> None:
    reference = {"no": 90_000, "yes": 10_000}
    large = label_windows(reference, {"2026-01-01": {"no": 800, "yes": 200}})
    assert large.changed and large.findings[0].status.value == "warn" and "verify" not in large.findings[0].message
    sure_and_small = label_windows(reference, {"2026-01-01": {"no": 1_788_000, "yes": 212_000}})
    assert sure_and_small.windows[0].p < 1e-3 and not sure_and_small.changed
    luck = label_windows(reference, {"2026-01-01": {"no": 9, "yes": 2}})
    assert not luck.changed and luck.findings[0].status.value == "pass"
    assert label_windows(reference, {"2026-01-01": {"no": 500, "maybe": 400}}).changed
    assert not label_windows(reference, {"2026-01-01": {}}).windows and not label_windows(reference, {}).findings


def test_outcomes_of_a_year_raise_few_false_alarms_and_scipy_agrees() -> None:
    from scipy.stats import chi2_contingency

    rng = np.random.default_rng(0)
    reference = dict(zip("abc", rng.multinomial(5000, [0.5, 0.3, 0.2]).tolist(), strict=True))
    alarms = 0
    for _ in range(150):
        weeks = {f"2026-{k:03}": dict(zip("abc", rng.multinomial(300, [0.5, 0.3, 0.2]).tolist(), strict=True)) for k in range(26)}
        over = label_windows(reference, weeks)
        alarms += bool(over.changed)
    assert alarms / 150 <= 0.05 + 3 * (0.05 * 0.95 / 150) ** 0.5
    first = over.windows[0]
    theirs = chi2_contingency([list(reference.values()), list(first.counts.values())], correction=False)
    assert first.chi2 == pytest.approx(theirs.statistic) and first.p == pytest.approx(theirs.pvalue)


def test_counts_of_numbers_and_of_classes() -> None:
    assert label_counts([1.0, 0.0, 1.0, None]) == {"0": 1, "1": 2}
    assert label_counts([0.5, 1.5, 2.5, 9.0], edges=[1, 2]) == {"up to 1": 1, "1 to 2": 1, "above 2": 2}


def test_an_interval_that_is_narrow_at_the_end_of_its_scale_raises_no_alarm() -> None:
    """A rate of a tenth over 50 rows is 0 in one window of two hundred, with an interval of which all lies above: 200 windows, 100 times, at 5 %."""
    from mlnb.evaluation.rates import wilson

    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(100):
        hits = rng.binomial(50, 0.1, 200)
        low, high = wilson(hits, 50)
        windows = [{"start": f"{i:03}", "value": k / 50, "low": float(low[i]), "high": float(high[i]), "rows": 50} for i, k in enumerate(hits)]
        alarms += any(point.changed for point in performance_over(windows, "recall", (0.1, 0.095, 0.105)).points)
    assert alarms <= 10
