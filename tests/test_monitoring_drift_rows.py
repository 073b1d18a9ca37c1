"""Rows of both sides: all columns together at their level, segments, costs, and batches that are not what they should be."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom
from sklearn.metrics import roc_auc_score

from mlnb.core.errors import InputError, MlnbError
from mlnb.core.findings import Status
from mlnb.evaluation.predictions import predictions
from mlnb.monitoring.drift import compare
from mlnb.monitoring.harm import Cost, Harm, harm
from mlnb.monitoring.moved import moved_segments
from mlnb.monitoring.multivariate import domain_classifier, fold_area
from mlnb.monitoring.paired_rows import PairedRows, pair_rows
from mlnb.monitoring.profile import profile
from mlnb.monitoring.unlike import unlike_rows


def made(n, seed, shift=0.0, sign=1):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=n)
    y = rng.integers(0, 2, n)
    return pd.DataFrame({"a": a, "b": sign * 0.8 * a + 0.6 * rng.normal(size=n), "c": rng.lognormal(shift, 1, n), "d": rng.choice(list("xyz"), n),
                         "e": np.where(rng.random(n) < 0.1, np.nan, rng.poisson(2, n)), "y": y, "p": 1 / (1 + np.exp(-(y - 0.5) * 2 + rng.normal(size=n)))})


def matrix(n, m, columns, seed):
    x = np.random.default_rng(seed).normal(size=(n + m, columns))
    return PairedRows(tuple(f"c{i}" for i in range(columns)), x, np.repeat([False, True], [n, m]), np.r_[np.arange(n), np.arange(m)], {},
                      pd.DataFrame(index=range(n + m)), (n, m))


@pytest.fixture(scope="module")
def sides():
    return made(1500, 0), made(1000, 1), made(1000, 2, 0.8), made(1000, 3, sign=-1)


# all columns together


def test_the_area_of_a_fold_agrees_with_scikit_learn_with_and_without_ties():
    rng = np.random.default_rng(0)
    side, score = rng.random(300) < 0.3, rng.normal(size=300)
    for given in (score, np.round(score), np.zeros(300)):
        assert fold_area(side, given)[0] == pytest.approx(roc_auc_score(side, given))
    assert fold_area(side, np.zeros(300))[1] == pytest.approx(0, abs=1e-12)
    alone = fold_area(side, score, np.arange(300))
    assert alone[1] == pytest.approx(fold_area(side, score)[2], rel=0.02)  # each row its own entity


@pytest.mark.parametrize(("n", "m", "columns"), [(1000, 200, 6), (300, 300, 3)])
def test_without_drift_a_classifier_keeps_its_level(n, m, columns):
    p = np.array([domain_classifier(matrix(n, m, columns, seed), random_state=seed).p for seed in range(120)])
    assert (p < 0.05).mean() <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 120) and (p < 0.5).mean() > 0.3


def test_rows_of_few_entities_do_not_pass_for_evidence():
    """60 customers with 20 rows each on one side only, all columns the customer's own: rows are no evidence, customers are."""
    alarms, naive = 0, 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        whom = np.repeat(np.arange(120), 10)
        x = rng.normal(size=(120, 4))[whom] + 0.1 * rng.normal(size=(1200, 4))
        rows = PairedRows(("a", "b", "c", "d"), x, whom >= 60, np.r_[np.arange(600), np.arange(600)], {}, pd.DataFrame({"who": whom}), (600, 600))
        alarms += domain_classifier(rows, "who").p < 0.05
        naive += domain_classifier(rows).p < 0.05
    assert alarms <= 4 < naive


def of_entities(n, m, k, j, spread, seed, shift=0.0):
    """Rows of k and j entities of uneven size; two columns are the entity's own."""
    rng = np.random.default_rng(seed)
    sizes = [rng.lognormal(0, spread, count) for count in (k, j)]
    whom = np.r_[rng.choice(k, n, p=sizes[0] / sizes[0].sum()), k + rng.choice(j, m, p=sizes[1] / sizes[1].sum())]
    own = np.column_stack([2 * rng.normal(size=k + j) + shift * (np.arange(k + j) >= k), rng.integers(0, 6, k + j)])[whom]
    x = np.column_stack([own[:, 0] + 0.3 * rng.normal(size=n + m), own[:, 1], rng.normal(size=n + m)])
    return dataclasses.replace(matrix(n, m, 3, 0), x=x, also=pd.DataFrame({"who": whom}), levels={"c1": tuple("uvwxyz")})


def test_a_few_large_entities_do_not_pass_for_drift():
    """Told apart in 8 to 9 % of such batches as long as every entity counted as much as any other."""
    for setting in ((1000, 1000, 100, 100, 1.5), (1000, 300, 100, 30, 1.0)):
        p = np.array([domain_classifier(of_entities(*setting, seed), "who", random_state=seed).p for seed in range(300)])
        assert (p < 0.05).sum() <= binom.ppf(0.95, 300, 0.05), setting
    found = [domain_classifier(of_entities(*size, 3.0), "who").severity for size in ((1000, 1000, 100, 100, 0.0, 0), (1000, 300, 100, 40, 1.0, 1))]
    assert found == ["critical"] * 2


def test_a_change_in_what_goes_together_shows_only_together(sides):
    then, same, _, turned = sides
    found = compare(then, turned, columns=["a", "b", "c", "d", "e"], multivariate=True)
    assert not found.drifted and found.multivariate.severity == "critical" and set(found.multivariate.columns) == {"a", "b"}
    finding = found.findings.get("DRIFT-FEATURE")
    assert finding.status is Status.WARN and "ROC-AUC" in finding.message
    calm = compare(then, same, columns=["a", "b", "c", "d", "e"], multivariate=True)
    assert calm.multivariate.severity == "none" and calm.findings.get("DRIFT-FEATURE").status is Status.PASS and calm.rows.unlike is None
    assert not calm.segments.segments


def test_rows_segments_and_costs_name_what_moved(sides):
    then, _, shifted, _ = sides
    found = compare(then, shifted, target="y", prediction="p", multivariate=True)
    assert found.drifted == ["c"] and next(iter(found.multivariate.columns)) == "c"
    assert all(s.columns == ("c",) for s in found.segments.segments) and all(r.reasons[0][0] == "c" for r in found.rows.unlike.rows)
    assert found.harm.trusted and not found.harm.hurts and abs(found.harm.whole.change) < 0.03 and found.harm.metric == "roc_auc"
    data = found.to_dict()
    assert json.loads(json.dumps(data, allow_nan=False)) == data and {"multivariate", "segments", "harm", "unlike", "method"} <= set(data)
    html = found._repr_html_()
    assert "All columns together" in html and "What drift costs" in html and "<script" not in html


def test_profiles_alone_say_what_is_missing(sides):
    then, _, shifted, _ = sides
    found = compare(profile(then), shifted, multivariate=True)
    assert found.multivariate is None and found.harm is None and any("is a profile" in note for note in found.notes)
    rows_too = compare(profile(then), shifted, multivariate=True, reference_rows=then)
    assert rows_too.multivariate.severity != "none"
    assert any("cannot be said" in note for note in rows_too.notes)


# what it costs


@pytest.mark.parametrize("metric", ["roc_auc", "brier"])
def test_the_expected_cost_is_what_happens(metric):
    from mlnb.evaluation.measures import get_metric

    def customers(rows, new, seed):
        rng = np.random.default_rng(seed)
        tenure = np.where(rng.random(rows) < new, rng.uniform(0, 1, rows), rng.uniform(1, 10, rows))
        y = rng.integers(0, 2, rows)
        return pd.DataFrame({"tenure": tenure, "other": rng.normal(size=rows)}), y, 1 / (1 + np.exp(-np.where(tenure < 1, 0, 3) * (y - 0.5) + rng.normal(size=rows)))

    (then, y, p), (now, later, q) = customers(4000, 0.2, 0), customers(3000, 0.6, 1)
    rows = pair_rows(then, now)
    cost = harm(rows, domain_classifier(rows), predictions(y, y_score=p), metric, ["tenure"], moved_segments(rows).segments)
    measure = get_metric(metric)
    happened = measure(later, q) - measure(y, p)
    assert cost.hurts and cost.whole.low - 0.02 <= happened <= cost.whole.high + 0.02
    assert cost.columns["tenure"].change == pytest.approx(cost.whole.change, abs=0.03) and cost.segments
    assert str(cost.why).startswith(measure.title) and cost.plot().axes and len(cost.frame()) == 2 + len(cost.segments)


def test_without_drift_no_damage_is_claimed():
    """The density weights are chance there; left as they are in every resample, 21 of 100 batches "were expected to get worse: -0.000 [-0.000, -0.000]"."""
    worse, apart = 0, 0
    for seed in range(120):
        rows, rng = matrix(1000, 300, 8, seed), np.random.default_rng(seed)
        score = rows.x[:1000, 0] + 0.5 * rows.x[:1000, 1]
        cost = harm(rows, domain_classifier(rows), predictions((rng.random(1000) < 1 / (1 + np.exp(-score))).astype(int), y_score=score))
        worse += cost.hurts
        apart += not cost.whole.low <= 0 <= cost.whole.high
        assert cost.told or cost.why.startswith("Nothing tells the batch from the reference")
    assert worse <= binom.ppf(0.99, 120, 0.025) and apart <= binom.ppf(0.99, 120, 0.05)


def test_rows_about_the_same_customers_are_drawn_together():
    """Twenty copies of every row tell no more than the rows: as rows of one customer they leave the interval as it is, as rows of their own they narrow it."""
    def sides(copies):
        rng = np.random.default_rng(0)
        frames = [pd.DataFrame({"tenure": rng.exponential(scale, 400), "who": [f"{side}{i}" for i in range(400)]}) for side, scale in (("old", 1.0), ("new", 1.6))]
        y, score = rng.integers(0, 2, 400), rng.normal(size=400)
        p = predictions(np.repeat(y, copies), y_score=np.repeat(score + y * np.minimum(frames[0]["tenure"], 2), copies))
        return p, pair_rows(*(frame.loc[frame.index.repeat(copies)] for frame in frames), exclude=["who"], also=["who"])

    def width(copies, entity):
        p, rows = sides(copies)
        cost = harm(rows, domain_classifier(rows, entity), p, "roc_auc", ["tenure"], entity=entity)
        return [each.high - each.low for each in (cost.whole, cost.columns["tenure"])]

    alone, copied, narrow = np.array([width(1, ""), width(20, "who"), width(20, "")])
    assert copied == pytest.approx(alone, rel=0.25) and (narrow < alone / 3).all()


def test_a_change_that_cannot_be_seen_is_no_damage():
    for known, change, hurts in ((0.762, -0.0004, False), (0.762, -0.0006, True), (0.001, -0.0004, True)):
        cost = Harm("roc_auc", "ROC-AUC", known, Cost(change, change * 1.1, change * 0.9), 900.0, 1000)
        assert cost.hurts is hurts is not ("is not expected" in cost.why)
        assert not dataclasses.replace(cost, told=False).hurts


def test_a_batch_beyond_the_known_rows_cannot_be_weighted():
    then, now = pd.DataFrame({"a": np.random.default_rng(0).normal(size=2000)}), pd.DataFrame({"a": np.random.default_rng(1).normal(6, 0.1, 500)})
    rows = pair_rows(then, now)
    y = np.arange(2000) % 2
    cost = harm(rows, domain_classifier(rows), predictions(y, y_score=np.full(2000, 0.5)), "brier", ["a"])
    assert not cost.trusted and "too unlike" in cost.why


def test_known_answers_that_do_not_fit(sides):
    then, same, *_ = sides
    rows = pair_rows(then, same, exclude=["y", "p"])
    with pytest.raises(InputError, match="one for each row"):
        harm(rows, domain_classifier(rows), predictions([0, 1, 1], y_score=[0.2, 0.3, 0.9]))
    with pytest.raises(InputError, match="same rows"):
        unlike_rows(matrix(50, 50, 2, 0), domain_classifier(rows))


# batches that are not what they should be


def test_segments_without_drift_keep_their_level():
    """Batches far smaller than the reference, columns with rare values: chosen by their own counts, cells moved in every fourth."""
    hits = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        x = np.column_stack([rng.random(1200) < 0.01, rng.poisson(2, 1200), np.where(rng.random(1200) < 0.9, 0, rng.exponential(size=1200)),
                             rng.normal(size=(1200, 5)), np.minimum(rng.zipf(1.8, (1200, 4)), 12)])
        hits += bool(moved_segments(dataclasses.replace(matrix(1000, 200, 12, 0), x=x)).segments)
    assert hits <= binom.ppf(0.99, 200, 0.05)


def test_a_pair_is_named_for_what_it_did_and_not_for_its_sides():
    def pairs(seed, share, together):
        rng, now = np.random.default_rng(seed), np.repeat([False, True], [3000, 600])
        x = rng.random((3600, 2)) < np.where(now, share, 0.2)[:, None]
        x[:, 1] = np.where(now & (rng.random(3600) < together), x[:, 0], x[:, 1])
        return [s for s in moved_segments(dataclasses.replace(matrix(3000, 600, 2, 0), x=x.astype(float))).segments if len(s.columns) == 2]

    assert pairs(0, 0.2, 0.4) and sum(bool(pairs(seed, 0.5, 0.0)) for seed in range(1, 41)) <= 5


@pytest.mark.parametrize("change", [
    lambda f: f.assign(a=None), lambda f: f.assign(a=f["a"].astype(str) + " EUR"), lambda f: f.assign(c=np.inf), lambda f: f.assign(d=f["d"].str.upper()),
    lambda f: f.assign(d=range(len(f))), lambda f: f.drop(columns=["a"]).assign(z=1)])
def test_odd_batches_are_looked_at_all_the_same(sides, change):
    then = sides[0]
    found = compare(then, change(sides[1]), exclude=["y", "p"], multivariate=True)
    assert found.findings.get("DRIFT-FEATURE").status is Status.FAIL and json.dumps(found.to_dict(), allow_nan=False)
    assert found.multivariate is not None and (found.multivariate.severity == "critical" or found.absent)


@pytest.mark.parametrize("rows", [1, 5, 19])
def test_too_few_rows_are_said(sides, rows):
    found = compare(sides[0], sides[1][:rows], exclude=["y", "p"], multivariate=True)
    assert found.multivariate is None and any("takes 20" in note for note in found.notes)
    assert found.findings.get("DRIFT-FEATURE").status is Status.NOT_CHECKED


@pytest.mark.parametrize(("call", "said"), [
    (lambda a, b: compare(a, b, method="chi"), "PSI, KS-test"),
    (lambda a, b: compare(a, b, alert_threshold=0), "above 0"),
    (lambda a, b: compare(profile(a[["a"]]), profile(b[["c"]])), "no column in common"),
    (lambda a, b: pair_rows(a[["y"]], b[["p"]]), "share no column"),
    (lambda a, b: moved_segments(pair_rows(a, b), ["aa"]), "'aa'"),
    (lambda a, b: domain_classifier(pair_rows(a, b), "who"), "also="),
])
def test_what_cannot_be_done_is_told(sides, call, said):
    with pytest.raises(MlnbError, match=said):
        call(sides[0], sides[1])


def test_a_sample_of_a_large_table_keeps_its_row_numbers(tmp_path):
    frame = pd.DataFrame({"i": np.arange(30_000) * 1.0, "d": np.where(np.arange(30_000) % 2, "odd", "even")})
    frame.to_parquet(tmp_path / "t.parquet")
    rows = pair_rows(tmp_path / "t.parquet", frame[:500], columns=["i", "d"], most=1000)
    assert rows.sizes == (1000, 500) and (rows.x[~rows.batch, 0] == rows.place[~rows.batch]).all()
    assert all(rows.words("d", code) == ("odd" if i % 2 else "even") for code, i in zip(rows.x[:50, 1], rows.place[:50], strict=True))


# the command


def test_the_command_takes_its_options(sides, tmp_path):
    from typer.testing import CliRunner

    from mlnb.cli import app

    files = [str(tmp_path / f"{i}.csv") for i in range(2)]
    for file, frame in zip(files, (sides[0], sides[2]), strict=True):
        frame.to_csv(file, index=False)
    (tmp_path / "w.json").write_text('{"d": 0.9, "c": 0.1}')

    def said(*words):
        done = CliRunner().invoke(app, ["drift", *files, "--json", *words])
        return done.exit_code, json.loads(done.stdout)

    code, data = said("--target", "y", "--prediction", "p", "--multivariate", "--method", "JS-divergence", "--importance", str(tmp_path / "w.json"))
    assert code == 0 and list(data["columns"])[2:4] == ["d", "c"] and data["method"] == "JS-divergence" and data["columns"]["c"]["measure"] == "js"
    assert data["multivariate"]["severity"] != "none" and data["harm"]["metric"] == "roc_auc" and data["segments"]
    code, data = said("--columns", "a", "--columns", "c", "--epsilon", "0.001", "--alpha", "0.01", "--threshold", "0.9")
    assert code == 0 and set(data["columns"]) == {"a", "c"} and (data["epsilon"], data["alpha"]) == (0.001, 0.01) and not data["columns"]["c"]["alert"]
    assert "c" not in said("--exclude", "c")[1]["columns"]
    (tmp_path / "w.json").write_text('["d"]')
    for words in (("--method", "t-test"), ("--importance", str(tmp_path / "w.json")), ("--importance", "absent.json")):
        assert CliRunner().invoke(app, ["drift", *files, *words]).exit_code == 2
    shown = CliRunner().invoke(app, ["drift", *files, "--multivariate", "--top", "3"])
    assert shown.exit_code == 0 and "more columns" in shown.stdout and "all columns together" in shown.stdout
    sides[2].drop(columns="d").to_csv(files[1], index=False)
    lines = CliRunner().invoke(app, ["drift", *files, "--top", "3"]).stdout.splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("column"))
    assert lines[head + 1].split() == ["d", "–", "–", "–", "–", "critical"] and lines[head + 4].startswith("… and")
    assert any(line.startswith("d: missing from the batch → ") for line in lines)
