"""Drift: published numbers, SciPy as oracle, false alarms and power, and batches that are not what they should be."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from mlnb.core.checks import Context, run
from mlnb.core.errors import InputError, MlnbError
from mlnb.core.findings import Status
from mlnb.datasets import load_example, make_churn, split_at_drift
from mlnb.monitoring import scan
from mlnb.monitoring.chance import holm, pool, psi_limit, unseen
from mlnb.monitoring.column import merge_columns
from mlnb.monitoring.comparison import ColumnDrift, aligned, compare_column
from mlnb.monitoring.divergence import chi_square, jensen_shannon, kl, ks, psi
from mlnb.monitoring.drift import compare
from mlnb.monitoring.drift_view import columns_html
from mlnb.monitoring.playbook import concept, grade, response
from mlnb.monitoring.profile import profile
from mlnb.monitoring.scan import count_numbers, count_values, find_edges

counts = st.lists(st.integers(0, 500), min_size=2, max_size=12)


# the measures


@pytest.mark.parametrize(("epsilon", "published"), [(1e-3, 0.152756), (1e-4, 0.177624)])
def test_psi_of_the_public_example(epsilon, published):
    """The walk-through of the mwburke/population-stability-index repository: ten bins of equal width over the first sample."""
    rng = np.random.RandomState(5)
    first, second = rng.normal(size=100), rng.normal(loc=0.2, size=120)
    edges = np.linspace(first.min(), first.max(), 11)
    p, q = np.histogram(first, edges)[0] / 100, np.histogram(second, edges)[0] / 120
    assert psi(p, q, epsilon) == pytest.approx(published, abs=5e-7)


def pair(a, b):
    """Two lists of the same length, each with at least one row."""
    length = min(len(a), len(b))
    return np.array(a[:length]) + np.eye(length, dtype=int)[0], np.array(b[:length]) + np.eye(length, dtype=int)[-1]


@settings(max_examples=100, deadline=None)
@given(counts, counts)
def test_measures_agree_with_scipy_and_have_their_properties(a, b):
    a, b = pair(a, b)
    p, q = a / a.sum(), b / b.sum()
    assert psi(p, q) == pytest.approx(psi(q, p)) and psi(p, q) >= 0 and psi(p, p) == 0
    assert jensen_shannon(a, b) == pytest.approx(jensenshannon(p, q, base=2), abs=1e-9)
    assert 0 <= jensen_shannon(a, b) <= 1 + 1e-12
    x, y = np.maximum(p, 1e-4), np.maximum(q, 1e-4)
    assert kl(a, b) == pytest.approx(stats.entropy(y, x), abs=1e-9) and kl(a, b) >= 0
    used = (a + b) > 0
    if used.sum() > 1:
        expected = stats.chi2_contingency(np.stack([a, b])[:, used], correction=False)
        assert chi_square(a, b) == pytest.approx((expected.statistic, expected.dof, expected.pvalue), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-50, 50), min_size=5, max_size=80), st.lists(st.floats(-50, 50), min_size=5, max_size=80), st.integers(2, 20))
def test_the_gap_lies_between_its_bounds(a, b, bins):
    edges = find_edges(np.array(a), bins)
    low, high = ks(*(count_numbers(np.array(x), edges).counts for x in (a, b)))
    exact = stats.ks_2samp(a, b).statistic
    assert low - 1e-9 <= exact <= high + 1e-9


def test_the_gap_is_close_on_the_usual_edges():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=20_000), rng.normal(0.3, 1.2, size=5_000)
    edges = find_edges(a)
    low, high = ks(*(count_numbers(x, edges).counts for x in (a, b)))
    exact = stats.ks_2samp(a, b).statistic
    assert low <= exact <= high and exact - low < 0.02


@settings(max_examples=100, deadline=None)
@given(counts, counts, st.booleans())
def test_joining_keeps_every_row_and_leaves_no_thin_bin(a, b, ordered):
    a, b = pair(a, b)
    groups = pool(a, b, ordered)
    assert sorted(set(groups)) == list(range(groups.max() + 1))
    if ordered:
        assert (np.diff(groups) >= 0).all()
    joined = np.bincount(groups, a + b)
    if len(joined) > 1:
        assert (joined / joined.sum() * min(a.sum(), b.sum())).min() >= 5
    assert (pool(b, a, ordered) == groups).all()  # it does not matter which side is the reference


def test_holm_agrees_with_statsmodels():
    from statsmodels.stats.multitest import multipletests

    p = np.random.default_rng(0).random(30) ** 3
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])
    assert len(holm([])) == 0


@pytest.mark.parametrize(("bins", "n", "m"), [(10, 5000, 1000), (20, 2000, 2000), (5, 500, 500)])
def test_the_null_of_psi(bins, n, m):
    """Mean (B - 1)(1/N + 1/M), and the scaled chi-square quantile."""
    rng = np.random.default_rng(1)
    a, b = (rng.multinomial(rows, np.full(bins, 1 / bins), size=3000) / rows for rows in (n, m))
    found = np.array([psi(p, q) for p, q in zip(a, b, strict=True)])
    assert found.mean() == pytest.approx((bins - 1) * (1 / n + 1 / m), rel=0.05)
    assert (found > psi_limit(bins, n, m)).mean() == pytest.approx(0.05, abs=0.015)


def test_values_never_seen():
    assert unseen(0, 0, 100, 100) == 1.0
    assert unseen(20, 0, 1000, 1000) < 2e-5 < 0.05 < unseen(20, 25, 1000, 1000)


@pytest.mark.parametrize("broken", [([1, 2], [1]), ([], []), ([1, -1], [1, 1]), ([1, float("nan")], [1, 1])])
def test_measures_refuse_what_is_no_pair_of_counts(broken):
    for measure in (psi, kl, jensen_shannon, ks, chi_square):
        with pytest.raises(InputError):
            measure(*broken)


# a column


def numeric(rng, rows, edges=None, shift=0.0):
    values = rng.normal(shift, 1, rows)
    return count_numbers(values, edges or find_edges(values))


def test_ten_bins_of_psi_are_deciles_of_the_reference():
    rng = np.random.default_rng(0)
    values, later = rng.lognormal(size=8000), rng.lognormal(0.2, 1.1, size=3000)
    reference = count_numbers(values, find_edges(values))
    current = count_numbers(later, reference.edges)
    deciles = np.r_[-np.inf, np.quantile(values, np.arange(1, 10) / 10), np.inf]
    p, q = (np.histogram(x, deciles)[0] / len(x) for x in (values, later))
    assert compare_column(reference, current, epsilon=1e-4).psi == pytest.approx(psi(p, q), rel=0.02)


def test_a_constant_that_changes_is_seen():
    five, seven = np.full(5000, 5.0), np.full(200, 7.0)
    reference = count_numbers(five, find_edges(five))
    found = grade({"x": compare_column(reference, count_numbers(seven, reference.edges))})["x"]
    assert found.severity == "critical" and found.new_values == (("above 5", 200),)
    between = np.where(np.arange(200) % 2, 5.0, 4.0)
    assert grade({"x": compare_column(reference, count_numbers(between, reference.edges))})["x"].severity == "critical"


@pytest.mark.parametrize("size", [200, 2000])
def test_a_new_category_is_seen_whatever_the_reference(size):
    reference = count_values({"a": 50_000, "b": 50_000})
    found = grade({"x": compare_column(reference, count_values({"a": size * 4 // 10, "b": size * 4 // 10, "c": size * 2 // 10}))})["x"]
    assert found.severity == "critical" and found.new_share == pytest.approx(0.2) and found.new_values[0][0] == "c"


def test_a_column_that_is_gone_or_fills_up():
    whole = count_numbers(np.arange(1000.0), find_edges(np.arange(1000.0)))
    gone = count_numbers(np.full(500, np.nan), whole.edges)
    lost, back = (grade({"x": compare_column(a, b)})["x"] for a, b in ((whole, gone), (gone, gone)))
    assert lost.severity == "critical" and "missing in 100.0%" in lost.why
    assert back.severity == "not_compared"


def test_a_third_missing_is_a_warning_of_its_own():
    values = np.random.default_rng(0).normal(size=4000)
    holes = np.where(np.arange(4000) % 3 == 0, np.nan, values)
    reference = count_numbers(values, find_edges(values))
    found = grade({"x": compare_column(reference, count_numbers(holes, reference.edges))})["x"]
    assert found.severity == "warning" and found.psi < 0.01 and "missing" in found.why


def test_an_incomplete_list_of_categories_does_not_drift_by_itself():
    """500 equally frequent values: the 100 that happened to be most frequent are less so the next time."""
    rng = np.random.default_rng(0)
    for rows in (1000, 20_000):
        sides = [count_values({f"v{i}": int(n) for i, n in enumerate(rng.multinomial(rows, np.full(500, 1 / 500))) if n}) for _ in range(2)]
        found = grade({"x": compare_column(*sides)})["x"]
        assert sides[0].rest and found.severity == "none"


def test_bins_are_words():
    values = np.random.default_rng(0).normal(size=1000)
    labels, p, _ = aligned(*[count_numbers(values, find_edges(values))] * 2)
    assert len(labels) == 10 and labels[0].startswith("up to") and labels[-1].startswith("above") and p.sum() == 1000
    few = count_numbers(np.array([0.0, 1, 1, 2]), find_edges(np.array([0.0, 1, 1, 2])))
    assert aligned(few, few)[0] == ("below 0", "0", "1", "2", "above 2")


# verdicts


def test_limits_of_the_playbook():
    def verdict(**measures):
        return grade({"x": ColumnDrift("numeric", **measures)})["x"]

    assert [verdict(psi=x, p=1e-9).severity for x in (0.09, 0.11, 0.24, 0.26)] == ["none", "warning", "warning", "critical"]
    assert [verdict(psi=x, p=1e-9).alert for x in (0.19, 0.21)] == [False, True]
    assert verdict(psi=0.5, p=0.2).severity == "none"
    assert "24 h" in verdict(psi=0.3, p=1e-9).response and "24 h" not in verdict(psi=0.2, p=1e-9).response
    label = {"role": "label", "psi": 0.05, "p": 1e-9, "chi2": 50.0, "chi2_p": 1e-9}
    assert [verdict(**label, effect=w).severity for w in (0.01, 0.2)] == ["none", "warning"]
    assert verdict(**(label | {"chi2_p": 0.2}), effect=0.2).severity == "none"
    prediction = {"role": "prediction", "psi": 0.3, "p": 1e-9}
    assert [verdict(**prediction, kl=x).severity for x in (0.09, 0.11)] == ["none", "warning"]


def test_more_columns_ask_for_more_evidence():
    columns = {f"c{i}": ColumnDrift("numeric", psi=0.15, p=0.02) for i in range(30)}
    assert all(c.severity == "none" for c in grade(columns).values())
    assert grade({"c": columns["c0"]})["c"].severity == "warning"


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ((0.80, 0.77), "pass"),
        ((0.80, 0.75), "fail"),
        ((0.80, 0.90), "pass"),
        (((0.80, 0.78, 0.82), (0.75, 0.73, 0.77)), "fail"),
        (((0.80, 0.70, 0.90), (0.75, 0.60, 0.85)), "warn"),
        ((10.0, 11.0, False), "fail"),
        ((10.0, 9.0, False), "pass"),
    ],
)
def test_a_drop_in_performance(given, status):
    assert concept(*given).status.value == status


@pytest.mark.parametrize("given", [(0, 0.5), (float("nan"), 0.5), ((0.8, 0.9), 0.7), ((0.8, 0.85, 0.9), 0.7)])
def test_performance_that_makes_no_sense(given):
    with pytest.raises(InputError):
        concept(*given)


# false alarms and power, on counts


def alarms(n, m, columns, times, shift=0.0, seed=0):
    """Share of batches that alarm: a third of the columns many-valued numbers, a third skewed categories, a third small counts."""
    rng = np.random.default_rng(seed)
    zipf, few = 1 / np.arange(1, 41), np.exp(-np.arange(8) * 0.8)
    shapes = [(np.full(20, 0.05), "numeric"), (zipf / zipf.sum(), "categorical"), (few / few.sum(), "numeric")]
    edges = [tuple(np.arange(19.0)), (), (np.nextafter(0, -1), *np.arange(7.0), 99.0)]
    raised = 0
    for _ in range(times):
        drift = {}
        for i in range(columns):
            (p, kind), e = shapes[i % 3], edges[i % 3]
            q = p * np.exp(shift * np.linspace(-1, 1, len(p))) if i < 2 else p
            sides = []
            for rows, share in ((n, p), (m, q / q.sum())):
                drawn = rng.multinomial(rows, share)
                if kind == "numeric":
                    padded = np.r_[0, drawn, 0] if len(e) == 9 else drawn
                    sides.append(_column(padded[: len(e) + 1], e))
                else:
                    sides.append(count_values({f"v{j}": int(k) for j, k in enumerate(drawn) if k}))
            drift[f"c{i}"] = compare_column(*sides)
        raised += any(c.severity != "none" for c in grade(drift).values())
    return raised / times


def _column(counts, edges):
    from mlnb.monitoring.column import ColumnProfile

    return ColumnProfile("numeric", int(counts.sum()), edges=tuple(edges), counts=tuple(int(c) for c in counts))


@pytest.mark.parametrize(("n", "m", "times"), [(10_000, 200, 300), (200, 200, 200), (1000, 1000, 100), (5000, 50, 150)])
def test_a_batch_without_drift_does_not_alarm(n, m, times):
    """15 columns: at most one batch in twenty, within what so few batches can tell."""
    rate = alarms(n, m, 15, times)
    assert rate <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / times)


def test_false_alarms_of_200_rows_over_many_batches():
    assert alarms(10_000, 200, 15, 800, seed=7) <= 0.05


@pytest.mark.parametrize(("m", "shift", "least"), [(1000, 0.8, 0.99), (200, 1.2, 0.95), (100_000, 0.6, 0.99)])
def test_a_shift_is_found(m, shift, least):
    assert alarms(10_000 if m < 10_000 else m, m, 15, 60, shift) >= least


def test_a_huge_batch_does_not_alarm_on_nothing():
    assert alarms(1_000_000, 1_000_000, 15, 10, shift=0.05) == 0


# whole comparisons


@pytest.fixture(scope="module")
def churn():
    return split_at_drift(make_churn())


def test_the_planted_drift_is_found_and_nothing_else(churn):
    report = compare(*churn, target="churned", exclude=["customer_id", "final_invoice_days"])
    planted = make_churn().truths.drift["columns"]
    assert set(report.drifted) == {*planted, "churned"}
    assert all(report.columns[name].severity == "critical" and report.columns[name].alert for name in planted)
    assert report.columns["snapshot_date"].severity == "not_compared"
    assert [f.code for f in report.findings] == ["DRIFT-FEATURE", "DRIFT-CONCEPT", "DRIFT-LABEL", "DRIFT-PREDICTION"]
    assert [f.status.value for f in report.findings] == ["fail", "not_checked", "warn", "not_checked"]


@pytest.mark.parametrize("name", ["breast_cancer", "wine", "diabetes"])
def test_real_data_split_at_random_do_not_drift(name):
    example = load_example(name)
    report = compare(example.data, example.current, target=example.target)
    assert not report.drifted and report.findings.get("DRIFT-FEATURE").status is Status.PASS


def test_bike_sharing_grew_from_one_year_to_the_next(shared_data):
    day = pd.read_csv(shared_data("bike_sharing") / "day.csv")
    first, second = (day[day["yr"] == year].drop(columns=["yr", "instant", "dteday"]).reset_index(drop=True) for year in (0, 1))
    report = compare(first, second, target="cnt")
    assert report.findings.get("DRIFT-LABEL").status is Status.WARN and report.columns["cnt"].means[1] > 1.5 * report.columns["cnt"].means[0]
    assert {"registered", "casual"} <= set(report.drifted) and not {"season", "mnth", "weekday"} & set(report.drifted)


def test_the_engine_and_memory_say_the_same(churn, monkeypatch):
    first = compare(*churn, target="churned")
    monkeypatch.setattr(scan, "IN_MEMORY", 0)
    monkeypatch.setattr(scan, "SAMPLE", 10**9)
    second = compare(*churn, target="churned")
    assert {k: (c.psi, c.ks, c.js, c.kl, c.severity) for k, c in first.columns.items()} == {
        k: (c.psi, c.ks, c.js, c.kl, c.severity) for k, c in second.columns.items()}


def test_files_frames_and_saved_profiles_say_the_same(churn, tmp_path):
    before, after = (part.drop(columns="customer_id") for part in churn)
    before.to_parquet(tmp_path / "before.parquet")
    after.to_parquet(tmp_path / "after.parquet")
    kept = profile(before, target="churned").save(tmp_path / "before.json")
    sides = [(before, after), (tmp_path / "before.parquet", str(tmp_path / "after.parquet")), (kept, after), (profile(before), after),
             (kept, profile(after, edges_from=profile(before))), (before, profile(after, edges_from=profile(before)))]
    reports = [compare(*side, target="churned") for side in sides]
    assert all({k: c.psi for k, c in r.columns.items()} == {k: c.psi for k, c in reports[0].columns.items()} for r in reports)


def test_importance_comes_first_and_prediction_is_judged_by_kl(churn):
    report = compare(*churn, target="churned", prediction="legacy_score", importance={"age": 0.9, "plan": 0.5}, exclude=["customer_id"])
    assert list(report.columns)[:4] == ["churned", "legacy_score", "age", "plan"]
    found = report.findings.get("DRIFT-PREDICTION")
    assert found.status is Status.PASS and found.value == pytest.approx(report.columns["legacy_score"].kl)


def test_verifiers_read_the_report(churn):
    report = compare(*churn, target="churned", performance=(0.8, 0.7, True))
    codes = ["DRIFT-FEATURE", "DRIFT-LABEL", "DRIFT-PREDICTION", "DRIFT-CONCEPT"]
    found = run(codes, Context(drift=report))
    assert [f.status.value for f in found] == ["fail", "warn", "not_checked", "fail"]
    assert all(f.fix and f.title for f in found)
    assert [f.status for f in run(codes, Context())] == [Status.NOT_CHECKED] * 4
    assert "DriftReport" in run("DRIFT-FEATURE", Context(drift={"psi": 1}))[0].message


def test_the_dictionary_is_json_with_the_documented_keys(churn):
    data = compare(*churn, target="churned").to_dict()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert {"psi", "ks", "js", "kl", "severity"} <= set(data["columns"]["usage_hours"])
    assert {"findings", "summary", "columns", "absent", "extra", "rows"} <= set(data)


def test_merged_days_compare_like_the_month(churn):
    before, after = (part[["usage_hours", "plan", "monthly_fee"]] for part in churn)
    reference = profile(before)
    days = [profile(after[i : i + 250].reset_index(drop=True), edges_from=reference) for i in range(0, len(after), 250)]
    month = days[0]
    for day in days[1:]:
        month = month.merge(day)
    assert {k: c.psi for k, c in compare(reference, month).columns.items()} == {k: c.psi for k, c in compare(before, after).columns.items()}
    assert merge_columns(days[0].columns["plan"], days[1].columns["plan"]).rows == 500


# batches that are not what they should be


def test_absent_and_extra_columns(churn):
    before, after = churn
    report = compare(before, after.drop(columns="age").assign(surprise=1), exclude=["customer_id"])
    assert report.absent == ("age",) and report.extra == ("surprise",)
    found = report.findings.get("DRIFT-FEATURE")
    assert found.status is Status.FAIL and "age" in found.columns and "missing from the batch: age" in found.message
    assert found.fix.startswith(f"age: {response('prediction')}; what drifted: ")  # as the monitor's alarm says
    assert compare(before, before.drop(columns="age")).findings.get("DRIFT-FEATURE").fix == f"age: {response('prediction')}"
    table = columns_html(report.columns, report.lost)
    assert table.index(">age<") < min(table.index(f">{name}<") for name in report.columns) and table in report._repr_html_()
    assert "missing: age" in repr(report) and "No column drifted" not in columns_html({}, ["age"])


def test_a_batch_without_labels_is_no_failure(churn):
    before, after = churn
    report = compare(before[["plan", "churned"]], after[["plan"]], target="churned")
    assert report.findings.get("DRIFT-FEATURE").status is Status.PASS
    label = report.findings.get("DRIFT-LABEL")
    assert label.status is Status.NOT_CHECKED and "'churned'" in label.message


def test_other_types_spellings_and_infinities(churn):
    before, after = churn
    odd = after.assign(plan=after["plan"].str.upper(), monthly_fee=after["monthly_fee"].map(lambda x: f"{x} EUR"),
                       usage_hours=after["usage_hours"].astype(str), support_tickets=np.where(after.index < 9, np.inf, after["support_tickets"]))
    report = compare(before, odd, exclude=["customer_id"])
    assert report.columns["plan"].severity == "critical" and report.columns["monthly_fee"].missing[1] == 1.0
    assert report.columns["usage_hours"].psi == pytest.approx(compare(before, after).columns["usage_hours"].psi)
    said = " ".join(report.notes)
    assert "'BASIC' for 'basic'" in said and "monthly_fee: 2,011 values of the batch could not be read as a number" in said
    assert "support_tickets: 9 infinite values" in said


def test_numbers_where_categories_were(churn):
    before, after = churn
    report = compare(before, after.assign(plan=after["plan"].map({"basic": 1, "standard": 2, "premium": 3, "family": 4})), columns=["plan"])
    assert report.columns["plan"].severity == "critical" and report.columns["plan"].new_share == 1.0


def test_all_nulls_one_row_and_zero_rows(churn):
    before, after = churn
    nothing = compare(before, after.assign(age=None), columns=["age", "plan"])
    assert nothing.columns["age"].severity == "critical"
    one = compare(before, after[:1], exclude=["customer_id"])
    assert one.findings.get("DRIFT-FEATURE").status is Status.NOT_CHECKED and not one.drifted
    assert json.dumps(one.to_dict(), allow_nan=False)
    with pytest.raises(InputError, match="no rows"):
        compare(before, after[:0])
    with pytest.raises(InputError, match="no rows"):
        compare(before[:0], after)


def test_a_weight_of_no_column_is_said(churn):
    before, after = churn
    notes = compare(before, after.drop(columns="region"), columns=["age", "plan"], importance={"agee": 0.9, "plan": 0.5, "region": 0.1}).notes
    (said,) = [note for note in notes if "Importances" in note]
    assert said == "Importances are given for agee, and the reference has no such columns: they count for nothing. Did you mean 'age'?"


@pytest.mark.parametrize(("method", "title", "reached"), [("PSI", "PSI", 0.32), ("KS-test", "KS", 0.25), ("JS-divergence", "JS", 0.24)])
def test_what_chance_reaches_is_said_of_the_measure_that_decides(method, title, reached):
    rng = np.random.default_rng(0)
    notes = compare(pd.DataFrame({"x": rng.normal(size=300)}), pd.DataFrame({"x": rng.normal(size=33)}), method=method).notes
    (said,) = [note for note in notes if "chance alone reaches" in note]
    assert f"a {title} of up to {reached}" in said
    before, after = (pd.DataFrame({"x": rng.normal(size=6 * n), "c": list("abcdef") * n}) for n in (50, 5))
    both = compare(before, after, method="KS-test").notes
    assert [note.split(" of up to")[0][-2:] for note in both if "chance alone" in note] == ["SI", "KS"]  # categories have no KS


def test_indices_of_one_bin_say_nothing_and_that_is_said():
    before = pd.DataFrame({"x": np.arange(500) / 7})
    few = compare(before, pd.DataFrame({"x": [70.0] * 8}), method="KS-test")
    assert few.columns["x"].psi == 0 and few.columns["x"].ks > 0.9 and any("say nothing here" in note and "8 make one bin" in note for note in few.notes)
    assert compare(before, pd.DataFrame({"x": [70.0] * 12})).columns["x"].psi > 0
    assert not any("say nothing here" in note for note in compare(before, pd.DataFrame({"x": [70.0] * 12})).notes)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda b, a: compare(b, a, exclude=["agee"]), "Neither the reference nor the batch has a column 'agee'.*Did you mean 'age'"),
        (lambda b, a: compare(b, a[["plan"]].rename(columns={"plan": "z"})), "no column in common"),
        (lambda b, a: compare(b, a, columns=["agee"]), "'age'"),
        (lambda b, a: compare(b, a, target="churn"), "'churned'"),
        (lambda b, a: compare(b, a, epsilon=0), "epsilon"),
        (lambda b, a: compare(b, a, alpha=2), "alpha"),
        (lambda b, a: compare("absent.parquet", a), "no file"),
        (lambda b, a: compare("absent.json", a), "no file"),
        (lambda b, a: compare(b, 3), "no table"),
        (lambda b, a: compare(profile(b), profile(a)), "edges_from"),
    ],
)
def test_what_cannot_be_compared_is_told_so(churn, call, said):
    before, after = churn
    with pytest.raises(MlnbError, match=said):
        call(before, after)


def test_pictures_and_html_are_made_for_anything(churn):
    before, after = churn
    names = {"plan": "<script>alert(1)</script>", "usage_hours": "$x_1$"}
    report = compare(before.rename(columns=names), after.rename(columns=names), target="churned")
    html = report._repr_html_()
    assert "<script" not in html and "&lt;script&gt;" in html and len(html) < 2_000_000
    assert report.plot().axes and all(report.plot_column(name).axes for name in report.columns)
    assert "drifted" in repr(report)
    empty = compare(before[["snapshot_date"]], after[["snapshot_date"]])
    assert empty.plot().axes and empty._repr_html_() and empty.findings.get("DRIFT-FEATURE").status is Status.NOT_CHECKED


@pytest.mark.parametrize(("levels", "n", "m"), [(1000, 100, 30), (200, 100, 100), (200, 300, 300)])
def test_a_long_tail_of_rare_categories_does_not_drift_by_itself(levels, n, m):
    """Values that one side alone has are no evidence, whichever side listed them first: at 5 %, 40 batches raise more than 6 alarms once in 300 times."""
    rng = np.random.default_rng(5)
    weights = 1 / np.sqrt(np.arange(1, levels + 1))

    def draw(size):
        return pd.DataFrame({"c": [f"v{x}" for x in rng.choice(levels, size, p=weights / weights.sum())]})

    assert sum(bool(compare(draw(n), draw(m)).drifted) for _ in range(40)) <= 6


@pytest.mark.parametrize("written", ["frame", "csv", "parquet"])
@pytest.mark.parametrize(("then", "now"), [("int", "bool"), ("bool", "int"), ("bool", "float"), ("bool", "str")])
def test_yes_and_no_in_another_type_are_the_same_values(tmp_path, written, then, now):
    rng = np.random.default_rng(1)
    kinds = {"int": lambda y: y.astype(int), "bool": lambda y: y, "float": lambda y: y.astype(float), "str": lambda y: y.astype(str)}
    sides = []
    for kind in (then, now):
        frame = pd.DataFrame({"x": rng.normal(size=2000), "c": kinds[kind](rng.random(2000) < 0.3)})
        path = tmp_path / f"{kind}.{written}"
        if written != "frame":
            (frame.to_csv(path, index=False) if written == "csv" else frame.to_parquet(path))
        sides.append(frame if written == "frame" else path)
    report = compare(*sides)
    assert report.columns["c"].severity == "none" and report.columns["c"].missing == (0, 0) and report.columns["c"].p is not None
    assert report.columns["c"].new_share == 0


@pytest.mark.parametrize("written", ["frame", "csv", "parquet"])
def test_dates_where_numbers_were_are_unread(tmp_path, written):
    then, now = pd.DataFrame({"c": np.arange(200.0)}), pd.DataFrame({"c": pd.date_range("2026-01-01", periods=200)})
    path = tmp_path / f"now.{written}"
    if written != "frame":
        (now.to_csv(path, index=False) if written == "csv" else now.to_parquet(path))
    report = compare(then, now if written == "frame" else path)
    assert report.columns["c"].unread == 200 and any("could not be read" in note for note in report.notes)


@pytest.mark.parametrize(("more", "words"), [
    ({"multivariate": True, "entity": "custmer"}, "custmer.*Did you mean"), ({"entity": "customer"}, "multivariate"), ({"metric": "f1"}, "multivariate")])
def test_what_is_asked_of_rows_is_not_ignored(more, words):
    frame = pd.DataFrame({"x": np.arange(100.0), "customer": np.arange(100) % 40})
    with pytest.raises(InputError, match=words):
        compare(frame, frame, **more)


@pytest.mark.parametrize(("wrong", "words"), [
    ({"method": "KS-test", "alert_threshold": 5}, "above 0 and below 1, where the measure ends"), ({"method": "JS-divergence", "alert_threshold": 1.0}, "below 1"),
    ({"alert_threshold": "0.2"}, "is a number above 0"), ({"method": None}, "no method None"), ({"alpha": "x"}, "alpha 'x'"), ({"kl_limit": -1}, "kl_limit -1"),
    ({"kl_limit": float("nan")}, "kl_limit nan"), ({"random_state": "x"}, "random_state 'x'"), ({"importance": {"a": "much"}}, "found a: 'much'")])
def test_arguments_that_mean_nothing_are_refused(wrong, words):
    frame = pd.DataFrame({"a": np.arange(300.0) % 7})
    with pytest.raises(InputError, match=words):
        compare(frame, frame, **wrong)
    assert compare(frame, frame, random_state=np.int64(3), alpha=np.float32(0.05), importance={"a": np.float64(1)}).columns


def test_a_metric_that_there_is_not_is_refused_also_where_no_cost_can_be_measured() -> None:
    frame = pd.DataFrame({"a": range(200), "y": [0, 1] * 100})
    with pytest.raises(InputError, match="Did you mean 'accuracy'"):
        compare(frame, frame, target="y", multivariate=True, metric="acuracy")
