"""The leak audit: parts of columns, steps, time travel, twins with noise, whom rows are about, and sides that do not fit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlnb.core.errors import InputError
from mlnb.data.certainty import follows, settled
from mlnb.data.leakage import audit
from mlnb.data.near_rows import twins
from mlnb.data.signal import answer


def honest(n: int = 1500, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    a, b, c = rng.normal(size=n), rng.exponential(size=n), rng.choice(list("pqrs"), n)
    y = rng.random(n) < 1 / (1 + np.exp(-(a + 0.5 * b - 1.5 + (c == "p"))))
    return pd.DataFrame({"a": a, "b": b, "c": c, "noise": rng.normal(size=n), "y": y.astype(int)})


def failing(report: object) -> set[str]:
    return {column for f in report.findings.failed for column in f.columns}  # type: ignore[attr-defined]


# what a column settles


@given(st.integers(0, 1000), st.integers(2, 5))
@settings(max_examples=20, deadline=None)
def test_chance_settles_nothing_and_a_copy_all(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, 800)
    target = answer(pd.Series(y), "multiclass")
    assert abs(settled(rng.normal(size=800), target, True).share) < 0.2
    assert settled(rng.permutation(100)[y], target, False).share == 1


def test_the_share_is_that_of_the_pairs() -> None:
    """Against all pairs counted one by one."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 60)
    g = y * 3 + rng.integers(0, 4, 60)  # groups that say something, so that the share is well above zero
    target = answer(pd.Series(y), "binary")
    y = target.values
    inside = [(y[i] != y[j]) for i in range(60) for j in range(i) if g[i] == g[j]]
    rates = np.bincount(y) / 60
    drawn = np.mean([settled(g, target, False, random_state=k).share for k in range(400)])
    weights = np.bincount(g)
    pairs = [np.mean([y[i] != y[j] for i in range(60) for j in range(i) if g[i] == g[j] == k]) for k in range(7)]
    exact = 1 - np.average(pairs, weights=weights - 1) / (1 - rates @ rates)
    assert len(inside) > 100 and abs(drawn - exact) < 0.02


def test_steps_of_the_target_are_seen_whatever_their_names() -> None:
    rng = np.random.default_rng(0)
    y = answer(pd.Series(rng.lognormal(size=2000)), "regression")
    bins = rng.permutation(5)[np.digitize(y.values, [-1, -0.3, 0.3, 1])]
    assert follows(bins, y) == 0 and follows(rng.integers(0, 5, 2000), y) > 0.9


# columns


@pytest.mark.parametrize("share", [0.05, 0.1, 0.4, 0.8])
def test_known_for_some_rows(share: float) -> None:
    frame, rng = honest(), np.random.default_rng(1)
    known = rng.random(len(frame)) < share
    for leak in (np.where(known, frame["y"] * 1.0, np.nan), np.where(known, frame["y"].map({0: "k", 1: "m"}), "none")):
        assert failing(audit(frame.assign(leak=leak), target="y")) == {"leak"}


def test_filled_for_some_of_one_outcome() -> None:
    frame, rng = honest(), np.random.default_rng(2)
    hit = (frame["y"] == 1) & (rng.random(len(frame)) < 0.3)
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, len(frame)), "D")
    for leak in (pd.Series(days).where(hit), pd.Series(rng.normal(size=len(frame))).where(hit), pd.Series(np.where(hit, "Z9", "A"))):
        assert failing(audit(frame.assign(leak=leak), target="y")) == {"leak"}


@pytest.mark.parametrize("seed", range(3))
def test_honest_gaps_and_rare_values_pass(seed: int) -> None:
    frame, rng = honest(seed=seed), np.random.default_rng(seed)
    sometimes = np.where(rng.random(len(frame)) < 0.2 + 0.2 * frame["y"], rng.normal(size=len(frame)), np.nan)
    assert not failing(audit(frame.assign(sometimes=sometimes, code=rng.integers(0, 200, len(frame)).astype(str)), target="y"))


# time


def series(n: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = pd.Series(rng.normal(size=n)).ewm(span=5).mean()
    y = 10 + 3 * x + rng.normal(0, 0.5, n)
    frame = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=n), "x": x, "y": y})
    return frame.assign(before=y.shift(1), week=y.shift(7), mean=y.shift(1).rolling(7).mean(), due=frame["day"] + pd.Timedelta(days=30))


def halves(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    cut = int(len(frame) * 0.7)
    return frame[:cut].reset_index(drop=True), frame[cut:].reset_index(drop=True)


@pytest.mark.parametrize("seed", range(3))
def test_honest_lags_means_of_the_past_and_plans_pass(seed: int) -> None:
    report = audit(*halves(series(seed=seed)), target="y", time="day")
    assert not failing(report) and report.findings.get("LEAK01").status.value == "pass"


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    "leak",
    [
        lambda f: f["y"].shift(-1),
        lambda f: f["y"].shift(-7),
        lambda f: f["y"].rolling(5, center=True).mean(),
        lambda f: f["x"].shift(-2),
        lambda f: f["day"] + pd.to_timedelta(np.random.default_rng(0).integers(1, 99, len(f)), "D"),
    ],
)
def test_what_comes_from_later_rows_is_named(leak: Callable, named: bool) -> None:
    frame = series()
    found = audit(*halves(frame.assign(leak=leak(frame))), target="y", time="day" if named else "").findings.get("LEAK01")
    assert found.status.value == "fail" and found.columns == ("leak",) and "without" in found.message


# both sides


def test_adult_shares_23_rows(shared_data: Callable) -> None:
    names = "age workclass fnlwgt education n marital occupation relationship race sex gain loss hours country income".split()
    sides = [pd.read_csv(shared_data("adult") / f"adult-{side}", header=None, names=names, skipinitialspace=True)
             for side in ("train.csv.gz", "test.csv")]  # fmt: skip
    found = audit(*sides, target="income").findings.get("LEAK07")
    assert found.status.value == "warn" and "23 of them with the same target" in found.message


@pytest.mark.parametrize(("name", "rows", "shuffled"), [("bank-additional-full.csv.gz", 12000, True), ("bank-additional-full.csv.gz", 12000, False),
                                                        ("bank-additional.csv", 4000, True)])
def test_duration_is_named(shared_data: Callable, name: str, rows: int, shuffled: bool) -> None:
    frame = pd.read_csv(shared_data("bank_marketing") / name, sep=None, engine="python")
    frame = frame.sample(rows, random_state=0).reset_index(drop=True) if shuffled else frame.head(rows)
    found = audit(frame, target="y").findings.get("LEAK04")
    assert found.columns == ("duration",) and "'duration'" in found.message
    plain = audit(frame.rename(columns={"duration": "x1"}), target="y").findings.get("LEAK04")
    assert plain.status.value != "fail", "a name is a hint, and a strong feature no leak"


def test_jittered_copies_are_found_and_honest_rows_are_not() -> None:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(1300, 6)), columns=list("abcdef"))
    train, test = rows[:1000].reset_index(drop=True), rows[1000:].reset_index(drop=True)
    assert not twins(train, test).planted
    test.iloc[:9] = train.iloc[:9] + rng.normal(0, 1e-3, (9, 6))
    assert twins(train, test).planted and twins(train, test).found == 9


# sides that do not fit


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        (lambda f: f.rename(columns={"a": "A_"}).rename(columns={"b": "bb"}), {}, "the same name"),
        (lambda f: pd.DataFrame({"q": [1.0, 2.0], "z": [3.0, 4.0]}), {}, "no feature in common"),
        (lambda f: f.assign(a=["u", "v", "w"] * (len(f) // 3)), {}, "holds numeric values in train"),
        (lambda f: f, {"time": "c"}, "cannot be read as a time"),
        (lambda f: f, {"time": "y"}, "was given as the target and as the time column"),
    ],
)
def test_sides_that_cannot_be_compared(change: Callable, options: dict, said: str) -> None:
    train, test = halves(honest(300))
    with pytest.raises(InputError, match=said):
        audit(train.rename(columns={"b": "bb"}) if said == "the same name" else train, change(test), target="y", **options)


def test_mixed_zones_are_refused() -> None:
    frame = honest(200).assign(when=[f"2024-01-01T{i % 24:02}:00:00" + ("Z" if i % 2 else "") for i in range(200)])
    with pytest.raises(InputError, match="time zone in 70 of 140"):
        audit(*halves(frame), target="y", time="when")


def test_odd_tables_give_findings() -> None:
    frame = honest(300).rename(columns={"a": "<script>alert(1)</script>"}).assign(who=[None, "u", "v"] * 100)
    report = audit(*halves(frame), target="y", entity="who")
    assert "<script>alert" not in report._repr_html_() and len(report.findings) >= 4
    assert len(audit(*halves(frame.drop(columns="y").assign(y=[f"k{i % 150}" for i in range(300)])), target="y").findings) >= 4
    assert len(audit(honest(12), honest(5, 1), target="y").findings) >= 4
    train, test = halves(honest(300))
    assert len(audit(train, test.drop(columns="y"), target="y").findings) >= 4


def _halves(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    odd = np.random.default_rng(9).random(len(frame)) < 0.3
    return frame[~odd].reset_index(drop=True), frame[odd].reset_index(drop=True)


def _table(n: int = 2000, seed: int = 3) -> tuple[pd.DataFrame, np.random.Generator]:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"a": rng.normal(size=n), "b": rng.lognormal(size=n).round(2), "c": rng.choice(list("wxyz"), n), "d": rng.integers(0, 9, n)})
    frame["y"] = np.where(frame["a"] + rng.normal(0, 1, n) > 0.8, "yes", "no")
    return frame, rng


def _fails(train: pd.DataFrame, test: pd.DataFrame, code: str, **named: str) -> tuple[str, ...]:
    found = audit(train, test, **({"target": "y"} | named)).findings.get(code)
    return found.columns or ("-",) if found.status.value == "fail" else ()


def test_traces_on_few_rows_are_seen() -> None:
    frame, rng = _table()
    yes, n = (frame["y"] == "yes").to_numpy(), len(frame)
    some = yes & (rng.random(n) < 0.1)
    minutes = rng.lognormal(1.7, 0.5, n)
    plants = {"code": np.where(some, "X99", rng.choice([f"X{i:02}" for i in range(30)], n)),
              "codes": np.where(rng.random(n) < 0.3, np.where(yes, "L7", "K2"), rng.choice(list("ABCDE"), n)),
              "amount": np.where(some, minutes, np.nan), "scale": np.where(yes & (rng.random(n) < 0.3), 40 + 10 * minutes, minutes),
              "note": [f"{' '.join(rng.choice(['call', 'mail', 'bill', 'visit', 'again', 'new'], 4))} {i}{' cancelled' if hit else ''}" for i, hit in enumerate(some)]}
    for name, values in plants.items():
        assert _fails(*_halves(frame.assign(**{name: values})), "LEAK04") == (name,)


def test_a_status_of_the_large_ones_is_seen_and_a_dear_district_is_not() -> None:
    frame, rng = _table()
    cost = np.exp(3 + 0.5 * frame["a"] + rng.normal(0, 0.6, len(frame)))
    dear = cost > np.quantile(cost, 0.75)
    status = np.where(dear & (rng.random(len(frame)) < 0.3), "appraised", rng.choice(["open", "sent"], len(frame)))
    district = np.where(cost * rng.lognormal(0, 0.3, len(frame)) > np.quantile(cost, 0.9), "hill", rng.choice(["dock", "park", "mill"], len(frame)))
    assert _fails(*_halves(frame.assign(y=cost, status=status)), "LEAK04") == ("status",)
    assert not _fails(*_halves(frame.assign(y=cost, district=district)), "LEAK04")


def test_honest_pure_values_are_no_leak() -> None:
    frame, rng = _table()
    n, kids = len(frame), rng.integers(0, 4, len(frame))
    party = rng.integers(1, 8, n)  # a scale: its ends are pure
    votes = rng.random(n) < np.array([0.995, 0.97, 0.9, 0.5, 0.15, 0.04, 0.005])[party - 1]
    assert not _fails(*_halves(frame.assign(y=votes, party=party.astype(float))), "LEAK04")
    benefit = (kids > 0) & (frame["a"] + rng.normal(0, 0.3, n) < 0.5)  # nobody without children gets it
    assert not _fails(*_halves(frame.assign(y=benefit, kids=kids)), "LEAK04")
    who = np.sort(rng.integers(0, 60, n))  # all rows of one person have one outcome and one doctor
    sick = rng.random(60) < 0.4
    doctor = np.where(who == int(np.flatnonzero(sick)[0]), "Dr. Who", rng.choice(["Dr. A", "Dr. B", "Dr. C"], n))
    train, test = (frame.assign(y=sick[who], who=who, doctor=doctor)[part].reset_index(drop=True) for part in (who < 45, who >= 45))
    assert not _fails(train, test, "LEAK04", entity="who")


def test_extremes_over_rows_to_come_are_seen() -> None:
    rng = np.random.default_rng(5)
    level = pd.Series(100 + rng.normal(0, 1, 800).cumsum().round(1))
    frame = pd.DataFrame({"day": pd.date_range("2023-01-01", periods=800), "y": level, "x": rng.normal(size=800), "before": level.shift(1).rolling(3).max()})
    frame["peak"] = level[::-1].rolling(3, min_periods=1).max()[::-1]
    frame = frame.iloc[5:].reset_index(drop=True)
    assert _fails(frame[:500], frame[500:].reset_index(drop=True), "LEAK01", time="day") == ("peak",)


def test_entities_in_another_spelling_are_the_same() -> None:
    frame, rng = _table()
    frame["who"] = [f"Cust-{i}" for i in rng.integers(0, 300, len(frame))]
    inside = frame["who"].isin(frame["who"].unique()[:200])
    train, test = frame[inside].reset_index(drop=True), frame[~inside].reset_index(drop=True)
    assert not _fails(train, test, "LEAK07", entity="who")
    test.loc[:80, "who"] = [f" {name.upper()}" for name in train["who"][:81]]
    assert _fails(train, test, "LEAK07", entity="who") == ("who",)


def _survey(n: int = 4000, seed: int = 5) -> tuple[pd.DataFrame, np.random.Generator]:
    rng = np.random.default_rng(seed)
    mood = rng.normal(size=n)
    frame = pd.DataFrame({f"q{i}": np.clip(np.round(3 + 1.2 * mood + rng.normal(0, 1.3, n)), 0, 6).astype(int) for i in range(7)})
    return frame.assign(y=np.where(mood + rng.normal(0, 2, n) > 0, "yes", "no")), rng


def test_copies_among_look_alikes_are_told_by_where_they_lie() -> None:
    frame, _ = _survey()
    train, test = frame[:3000], frame[3000:]
    assert audit(train, test, target="y").findings.get("LEAK07").status.value != "fail"
    assert _fails(train, pd.concat([test[:920], train.sample(80, random_state=0)], ignore_index=True), "LEAK07")


def test_few_look_alikes_in_a_small_table_are_no_failure() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"age": rng.integers(18, 34, 190), "weight": rng.integers(18, 40, 190) * 5, "race": rng.integers(1, 4, 190),
                          "smoke": rng.integers(0, 2, 190), "visits": rng.poisson(0.7, 190), "y": rng.integers(0, 2, 190)})
    assert all(audit(*_sides_of(frame, seed), target="y").findings.get("LEAK07").status.value != "fail" for seed in range(6))


def _sides_of(frame: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    mixed = frame.sample(frac=1, random_state=seed).reset_index(drop=True)
    cut = int(0.7 * len(mixed))
    return mixed[:cut].sort_values(mixed.columns[0]), mixed[cut:].sort_values(mixed.columns[0])


@pytest.mark.parametrize("digits", [None, 2, 0])
def test_rows_made_up_between_others(digits: int | None) -> None:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(rng.normal(50, 20, (1500, 4)), columns=list("abcd")).assign(y=rng.random(1500) < 0.2)
    frame = frame if digits is None else frame.round(digits)
    assert not _fails(*_sides_of(frame, 1), "LEAK07"), "honest rows, whatever they are rounded to"
    rare = frame.loc[frame["y"], list("abcd")].to_numpy()
    ends = rng.integers(0, len(rare), (2, 250))
    made = pd.DataFrame(rare[ends[0]] + rng.random((250, 1)) * (rare[ends[1]] - rare[ends[0]]), columns=list("abcd")).assign(y=True)
    assert _fails(*_sides_of(pd.concat([frame, made], ignore_index=True), 1), "LEAK07")


def test_noise_in_measurements_beside_many_codes() -> None:
    frame, rng = _survey()
    frame = frame.assign(fee=rng.normal(30, 8, len(frame)).round(2))
    train, test = frame[:3000].reset_index(drop=True), frame[3000:].reset_index(drop=True)
    assert not _fails(train, test, "LEAK07")
    test.iloc[:40] = train.iloc[:40].assign(fee=train["fee"][:40] + rng.normal(0, 1e-4, 40))
    assert _fails(train, test, "LEAK07")


def test_means_that_differ_by_fold_are_no_noise() -> None:
    """Out-of-fold means are the same in one fold of train, and a little different in each other one and in the test rows."""
    frame, rng = _survey()
    train, test = frame[:3000].reset_index(drop=True), frame[3000:].reset_index(drop=True)
    number, fold = (train["y"] == "yes").astype(float), rng.integers(0, 5, 3000)
    encoded = np.zeros(3000)
    for i in range(5):
        encoded[fold == i] = train["q0"][fold == i].map(number[fold != i].groupby(train["q0"][fold != i]).mean())
    assert not _fails(train.assign(mean=encoded), test.assign(mean=test["q0"].map(number.groupby(train["q0"]).mean())), "LEAK07")


@pytest.mark.parametrize("name", ["self", "frame", "0"])
def test_columns_may_have_any_name(name: str) -> None:
    frame, _ = _table(400)
    train, test = _halves(frame.rename(columns={"c": name}))
    test.iloc[:10] = train.iloc[:10].to_numpy()
    assert _fails(train, test, "LEAK07")


def test_rows_copied_whole_are_told_from_namesakes() -> None:
    rng = np.random.default_rng(0)
    n = 900
    rows = pd.DataFrame({"sku": [f"S{i:05d}" for i in range(n)], "brand": rng.choice(["a", "b", "c"], n), "taste": rng.choice(["dry", "sweet"], n),
                         "litres": rng.choice([0.3, 0.5, 1.0], n), "sold": rng.integers(0, 2, n)})  # many rows are alike and are different goods
    train, test = rows[:600], rows[600:]
    assert audit(train, test, target="sold").findings.get("LEAK07").status.value != "fail"
    found = audit(train, pd.concat([test, train.sample(8, random_state=0)], ignore_index=True), target="sold").findings.get("LEAK07")
    assert found.status.value == "fail" and "8 of 308" in found.message and "sku" in found.message
    few = audit(train, pd.concat([test, train.sample(8, random_state=0).assign(sku=[f"T{i}" for i in range(8)])], ignore_index=True), target="sold")
    assert few.findings.get("LEAK07").status.value != "fail", "other goods of the same kind"


def test_iris_hides_no_default() -> None:
    from sklearn.datasets import load_iris
    from sklearn.model_selection import train_test_split

    frame = load_iris(as_frame=True).frame
    for seed in range(5):
        train, test = train_test_split(frame, test_size=0.3, stratify=frame.target, random_state=seed)
        assert audit(train, test, target="target").findings.get("LEAK04").status.value != "fail"
