"""Further measures of drift and the methods that decide: SciPy as oracle, nulls against simulation, levels shared by all looks at a batch."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mlnb.core.errors import InputError
from mlnb.core.findings import Status
from mlnb.monitoring.chance import holm, pool
from mlnb.monitoring.comparison import ColumnDrift, compare_column
from mlnb.monitoring.drift import compare
from mlnb.monitoring.looks import adjusted
from mlnb.monitoring.nulls import js_chance, ks_chance, score_chance, transport_chance
from mlnb.monitoring.playbook import METHODS, find_method, grade
from mlnb.monitoring.profile import profile
from mlnb.monitoring.scan import count_numbers, count_values, find_edges
from mlnb.monitoring.stream import StreamProfile
from mlnb.monitoring.transport import spread, wasserstein

# other measures: how far, and what chance gives


@settings(max_examples=80, deadline=None)
@given(st.lists(st.floats(-50, 50), min_size=3, max_size=80), st.lists(st.floats(-80, 80), min_size=2, max_size=80), st.integers(2, 20), st.booleans())
def test_the_distance_of_the_rows_lies_between_the_bounds(a, b, bins, whole):
    a, b = (np.round(x) if whole else np.array(x) for x in (np.array(a), np.array(b)))
    edges = find_edges(a, bins)
    found = wasserstein(count_numbers(a, edges), count_numbers(b, edges))
    exact = stats.wasserstein_distance(a, b)
    assert found.low - 1e-9 <= exact <= found.high + 1e-9 and found.low <= found.value <= found.high


@pytest.mark.parametrize("draw", [lambda r, n: r.normal(size=n), lambda r, n: r.lognormal(size=n), lambda r, n: r.poisson(3, n) * 1.0,
                                  lambda r, n: r.exponential(size=n)])
@pytest.mark.parametrize("shift", [0.1, 0.5])
def test_the_distance_from_counts_is_close_to_scipys(draw, shift):
    rng = np.random.default_rng(0)
    a, b = draw(rng, 20_000), draw(rng, 5000)
    b = b + (np.ceil(shift) if (a == np.round(a)).all() else shift)  # counts stay whole numbers
    edges = find_edges(a)
    sides = [count_numbers(x, edges) for x in (a, b)]
    exact = stats.wasserstein_distance(a, b)
    assert wasserstein(*sides).value == pytest.approx(exact, abs=0.03 * a.std())
    assert compare_column(*sides).wasserstein == pytest.approx(exact / a.std(), abs=0.03)


def test_the_distance_of_few_values_is_exact_and_infinities_are_left_out():
    a, b = np.repeat([0.0, 1, 2], 100), np.repeat([0.0, 1, 2], [50, 100, 150])
    edges = find_edges(a)
    found = wasserstein(count_numbers(a, edges), count_numbers(b, edges))
    assert (found.value, found.low) == pytest.approx((stats.wasserstein_distance(a, b),) * 2)
    with_inf = np.r_[b, np.inf, -np.inf]
    assert wasserstein(count_numbers(a, edges), count_numbers(with_inf, edges)).value == pytest.approx(found.value)
    assert wasserstein(count_numbers(a, edges), count_numbers(np.full(5, np.inf), edges)) is None
    with pytest.raises(InputError, match="same edges"):
        wasserstein(count_numbers(a, edges), count_numbers(b, (1.0,)))
    one = count_numbers(np.full(50, 3.0), find_edges(np.full(50, 3.0)))
    assert spread(one) == 0 and compare_column(one, one).wasserstein is None


@pytest.mark.parametrize(("bins", "n", "m"), [(20, 10_000, 200), (20, 1000, 1000), (4, 5000, 500), (2, 2000, 2000)])
@pytest.mark.parametrize("level", [0.05, 0.01])
def test_p_values_of_every_measure_hold_their_level(bins, n, m, level):
    rng = np.random.default_rng(3)
    a, b = (rng.multinomial(rows, np.full(bins, 1 / bins), size=1200) for rows in (n, m))
    edges = np.arange(bins - 1.0)
    pairs = list(zip(a, b, strict=True))
    most = level + 3 * np.sqrt(level / 1200)
    for found in ([ks_chance(p, q) for p, q in pairs], [js_chance(p, q) for p, q in pairs], [transport_chance(edges, p, q) for p, q in pairs]):
        share = (np.array(found) < level).mean()
        assert level / 3 <= share <= most  # not too many, and not so few that nothing would be found


@pytest.mark.parametrize("p", [np.full(20, 0.05), np.r_[0.96, 0.01, 0.01, 0.01, 0.005, 0.005], np.r_[0.7 ** np.arange(15) * 0.3, 0.7**15]], ids=["equal", "zeros", "skewed"])
@pytest.mark.parametrize(("n", "m"), [(10_000, 200), (10_000, 1000), (300, 300)])
def test_normal_scores_hold_small_levels_for_skewed_counts(p, n, m):
    rng, times = np.random.default_rng(5), 4000
    found = np.array([score_chance(a, b) for a, b in zip(*(rng.multinomial(rows, p, times) for rows in (n, m)), strict=True)])
    for level in (0.05, 0.01, 0.002):
        assert ((found < level).mean(axis=0) <= level + 3 * np.sqrt(level / times)).all()
    assert (found < 0.05).mean(axis=0)[0] > 0.03


@pytest.mark.parametrize("seed", range(4))
def test_normal_scores_agree_with_permutations(seed):
    rng = np.random.default_rng(seed)
    p = np.r_[0.08, 0.08, rng.dirichlet(np.full(6, 9.0)) * 0.84]
    a, b = rng.multinomial(400, p), rng.multinomial(140, p)
    b[[0, -1]] += np.array([9, 4]) * (seed % 2)
    both = a + b
    assert (pool(a, b) == np.arange(8)).all()
    ends = stats.norm.ppf(np.r_[0, np.cumsum(both) / both.sum()].clip(0, 1))
    inside = [np.linspace(stats.norm.cdf(low), stats.norm.cdf(high), 20_002)[1:-1] for low, high in itertools.pairwise(ends)]
    shift = np.array([stats.norm.ppf(u).mean() for u in inside])  # scores by averaging over the ranks of a bin
    square = np.array([(stats.norm.ppf(u) ** 2).mean() for u in inside]) - 1
    w = both / both.sum()
    spread = square - (w * shift * square).sum() / (w * shift**2).sum() * shift
    drawn = rng.multivariate_hypergeometric(both, int(b.sum()), size=40_000)
    for scores, found in zip((shift, spread), score_chance(a, b), strict=True):
        middle = b.sum() * (w * scores).sum()
        permuted = (np.abs(drawn @ scores - middle) >= abs(b @ scores - middle) - 1e-9).mean()
        assert found == pytest.approx(permuted, abs=0.02)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(1e-6, 1), st.sampled_from([0.5, 1, 2, 6])), min_size=1, max_size=6))
def test_weighted_holm_is_the_closed_test(tests):
    p, w = (np.array(x) for x in zip(*tests, strict=True))
    subsets = [list(s) for size in range(1, len(p) + 1) for s in itertools.combinations(range(len(p)), size)]
    closed = [min(max((p[s] * w[s].sum() / w[s]).min() for s in subsets if i in s), 1.0) for i in range(len(p))]
    assert holm(p, w) == pytest.approx(np.array(closed))


def test_a_small_shift_of_all_values_is_seen_among_many_columns():
    rng = np.random.default_rng(2)
    then = rng.normal(size=(10_000, 30))
    edges = [find_edges(x) for x in then.T]
    reference = [count_numbers(x, e) for x, e in zip(then.T, edges, strict=True)]
    seen = {"nothing": 0, "shift": 0}
    for _ in range(60):
        for what in seen:
            now = rng.normal(size=(1000, 30))
            now[:, 0] += 0.16 * (what == "shift")
            columns = {f"x{i}": compare_column(reference[i], count_numbers(now[:, i], edges[i])) for i in range(30)}
            seen[what] += any(p < 0.05 for p in adjusted(columns, dict.fromkeys(columns, "p")).values())
    assert seen["nothing"] <= 7 and seen["shift"] >= 45  # a t-test at 5 % over 30 columns sees it in 52 of 60


def test_the_bridge_agrees_with_a_simulation():
    rng = np.random.default_rng(0)
    p = np.array([0.05, 0.4, 0.3, 0.05, 0.2])
    a, b = (rng.multinomial(rows, p, size=40_000) for rows in (4000, 1000))
    gaps = np.abs(np.cumsum(a, axis=1) / 4000 - np.cumsum(b, axis=1) / 1000).max(axis=1)
    for seen in (0.03, 0.045, 0.06):
        q = (p * 1000).astype(int)
        q[0], q[-1] = q[0] + round(seen * 1000), q[-1] - round(seen * 1000)
        pooled = (p * 4000).astype(int)
        assert ks_chance(pooled, q) == pytest.approx((gaps >= seen - 1e-9).mean(), rel=0.15, abs=0.001)
    assert ks_chance(np.full(200, 25), np.full(200, 25)) == 1.0  # far more edges than are told apart


def test_each_method_decides_by_its_own_measure():
    rng = np.random.default_rng(0)
    then, now = rng.normal(size=20_000), rng.normal(0.42, 1, 20_000)  # PSI 0.18: a warning by each measure, and no alert
    edges = find_edges(then)
    c = {"x": compare_column(count_numbers(then, edges), count_numbers(now, edges))}
    for name in METHODS:
        found = grade(c, method=find_method(name))["x"]
        assert found.severity == "warning" and not found.alert and found.measure == METHODS[name].key and METHODS[name].title in found.why
        assert grade(c, method=find_method(name, 0.05))["x"].alert
        far = {"x": compare_column(count_numbers(then, edges), count_numbers(now + 0.2, edges))}
        assert grade(far, method=find_method(name))["x"].severity == "critical"
    small = {"x": compare_column(count_numbers(then, edges), count_numbers(rng.normal(0.05, 1, 20_000), edges))}
    assert all(grade(small, method=find_method(name))["x"].severity == "none" for name in METHODS)
    assert grade(small, method=find_method("psi", 0.001))["x"].severity == "warning"


@pytest.mark.parametrize("name", ["PSI", "KS-test", "JS-divergence"])
def test_a_threshold_above_the_usual_ones_is_kept(name):
    rng = np.random.default_rng(0)
    then, now = rng.normal(size=20_000), rng.normal(0.6, 1, 20_000)  # PSI 0.36
    c = {"x": compare_column(count_numbers(then, find_edges(then)), count_numbers(now, find_edges(then)))}
    assert grade(c, method=find_method(name))["x"].severity == "critical"
    found = grade(c, method=find_method(name, 0.8))["x"]
    assert found.severity == "warning" and not found.alert


def test_the_gap_is_not_asked_of_categories():
    c = {"x": compare_column(count_values({"a": 900, "b": 100}), count_values({"a": 600, "b": 400}))}
    found = grade(c, method=find_method("KS-test", 0.9))["x"]
    assert found.measure == "psi" and found.severity == "critical" and found.alert


@pytest.mark.parametrize("given", ["chi", "", "Wasserstein"])
def test_unknown_methods_and_thresholds(given):
    with pytest.raises(InputError, match="PSI, KS-test"):
        find_method(given)
    with pytest.raises(InputError, match="above 0"):
        find_method("PSI", -0.2)


def test_label_prediction_and_features_share_the_level():
    label = {"y": ColumnDrift("boolean", role="label", psi=0.05, p=0.03, chi2=5.0, chi2_p=0.03, effect=0.2)}
    rest = {"x": ColumnDrift("numeric", psi=0.01, p=0.5), "s": ColumnDrift("numeric", role="prediction", psi=0.01, kl=0.01, p=0.5)}
    assert grade(label)["y"].severity == "warning" and grade(label | rest)["y"].severity == "none"
    assert grade(label, others=1)["y"].severity == "none"


def test_predictions_that_are_gone_are_a_fault():
    score = np.random.default_rng(0).random(2000)
    sides = [profile(pd.DataFrame({"s": score}), prediction="s")]
    sides.append(profile(pd.DataFrame({"s": np.where(np.arange(2000) % 2, np.nan, score)}), edges_from=sides[0]))
    found = compare(*sides).findings.get("DRIFT-PREDICTION")
    assert found.status is Status.WARN and "missing in 50.0%" in found.message
    gone = compare(sides[0], profile(pd.DataFrame({"s": np.full(2000, np.nan)}), edges_from=sides[0])).findings.get("DRIFT-PREDICTION")
    assert gone.status is Status.WARN and "missing in 100.0%" in gone.message


def test_a_number_that_is_nearly_always_zero_has_one_edge_and_a_distance() -> None:
    def gains(seed: int, share: float) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        return pd.DataFrame({"gain": np.where(rng.random(5000) < share, rng.integers(1, 9000, 5000), 0).astype(float)})

    before, after = gains(0, 0.04), gains(1, 0.3)
    report = compare(before, after)
    column = report.columns["gain"]
    assert len(report.reference.columns["gain"].edges) == 1 and column.severity == "critical"
    exact = stats.wasserstein_distance(before["gain"], after["gain"]) / before["gain"].std(ddof=0)
    assert column.wasserstein_bounds is not None and column.wasserstein_bounds[0] * 0.999 <= exact <= column.wasserstein_bounds[1] * 1.001


def test_values_that_floats_hardly_tell_apart_have_a_distance_that_is_a_number() -> None:
    tiny = pd.DataFrame({"x": np.arange(1, 201) * 5e-324})
    found = compare(tiny, tiny * 3).columns["x"]
    assert (found.wasserstein is None or np.isfinite(found.wasserstein)) and found.psi is not None


# categories of more values than are listed


def zips(levels: int, rows: int, seed: int, letter: str = "k") -> pd.DataFrame:
    return pd.DataFrame({"zip": np.random.default_rng(seed).choice([f"{letter}{i}" for i in range(levels)], rows)})


@pytest.mark.parametrize("way", ["tables", "profile", "stream"])
@pytest.mark.parametrize(("levels", "rows", "batch"), [(300, 10_000, 3000), (200, 60_000, 20_000), (110, 20_000, 5000), (300, 4000, 1000)])
def test_values_that_are_all_new_are_seen_beyond_the_list(way: str, levels: int, rows: int, batch: int) -> None:
    """The batch was not asked for the values that the reference lists; they were taken to be there, unlisted, as often as before."""
    then, now = zips(levels, rows, 0), zips(levels, batch, 1, "new")
    known, later = profile(then), now
    if way == "stream":
        stream = StreamProfile(known)
        stream.update(now)
        later = stream.profile()
    found = compare(then if way == "tables" else known, later).columns["zip"]
    assert found.severity == "critical" and found.psi > 0.5, found


def test_a_value_that_takes_the_place_of_all_that_are_not_listed_is_seen() -> None:
    then, now = zips(300, 10_000, 0), zips(300, 3000, 1)
    listed = {value for value, _ in profile(then).columns["zip"].values}
    assert compare(then, now.where(now["zip"].isin(listed), "one")).columns["zip"].severity == "critical"


@pytest.mark.parametrize(("levels", "rows", "batch"), [(300, 10_000, 3000), (300, 4000, 1000), (1000, 4000, 1000)])
def test_values_that_came_on_the_list_by_luck_are_no_drift(levels: int, rows: int, batch: int) -> None:
    """Of 300 equally frequent values the hundred that are listed were lucky: 19 of 40 batches had p below 0.05."""
    found = [compare(profile(zips(levels, rows, 2 * k)), zips(levels, batch, 2 * k + 1)).columns["zip"] for k in range(40)]
    assert sum(c.p < 0.05 for c in found) <= stats.binom.ppf(0.99, 40, 0.05) and all(c.severity == "none" for c in found)
