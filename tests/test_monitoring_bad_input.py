"""What a person writes for the monitor is read rightly or refused in a sentence; never taken for something else, never a traceback."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlnb.core.errors import ConfigError, InputError
from mlnb.core.records_operations import Monitoring
from mlnb.monitoring.conditions import read_alert, read_condition
from mlnb.monitoring.profile import Profile, profile
from mlnb.monitoring.schedules import next_time
from mlnb.monitoring.stream import StreamProfile
from mlnb.monitoring.watch_plan import read_plan

# conditions


def distribution(**said: Any) -> Monitoring:
    return Monitoring.model_validate({"model_performance": {"metrics": [{"name": "prediction_distribution", **said}]}})


@pytest.mark.parametrize(
    ("words", "limit"),
    [("KL divergence > 0.25 against training", 0.25), (">0.25", 0.25), ("KL > .25", 0.25), ("> 25e-2", 0.25), ("KL ≥ 0.25", 0.25),
     ("kl >= 0.25 against the training data", 0.25), ("divergence above 2", 2.0), ("", 0.1)],
)
def test_a_limit_of_the_answers_is_read(words: str, limit: float) -> None:
    assert read_plan(distribution(alert=words)).kl_limit == limit


@pytest.mark.parametrize(
    ("words", "says"),
    [("KL divergence > 10%", "no percentage"), ("> 0,1", "a point and no comma"), ("> 1,000", "a point and no comma"), ("> 0.1.5", "cannot be read"),
     ("> 0.1 or 0.2", "cannot be read"), ("KL < 0.1", "cannot be read"), ("> -0.1", "cannot be read"), ("PSI > 0.2", "cannot be read"),
     ("KL > 0.1 for 2d", "cannot be read"), ("> 1e999", "cannot be read"), ("when it looks odd", "cannot be read")],
)
def test_a_limit_of_the_answers_is_never_taken_for_another_number(words: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as error:
        read_plan(distribution(alert=words))
    assert repr(words) in str(error.value) and "KL divergence > 0.1" in str(error.value)


def test_two_limits_of_the_answers_contradict_each_other() -> None:
    with pytest.raises(ConfigError, match=r"threshold is 0\.3\. Write one number"):
        read_plan(distribution(alert="KL > 0.1", threshold=0.3))
    assert read_plan(distribution(alert="KL > 0.30", threshold=0.3)).kl_limit == 0.3


def test_numbers_are_written_in_several_ways_in_every_condition() -> None:
    assert read_alert("≤ .7", "f1") == read_alert("<7e-1", "f1") == read_alert("F1 below 0.7", "f1") == (0.7, None)
    assert read_alert("drop ≥ .05", "f1") == read_alert("drop > 5 %", "f1") == (None, 0.05)
    assert read_condition("PSI ≥ .2 on tenure", "drift").limit == read_condition("PSI > 2e-1 on tenure", "drift").limit == 0.2
    for words in ("< 0,7", "drop > 0,05"):
        with pytest.raises(ConfigError, match="a point and no comma"):
            read_alert(words, "f1")
    with pytest.raises(ConfigError, match="a point and no comma"):
        read_condition("PSI > 0,2 on any feature", "drift")
    with pytest.raises(ConfigError, match="no percentage"):
        read_alert("< 70%", "f1")


# lengths of time


@pytest.mark.parametrize("span", ["999999w", "9999999d", "5000d", "0d", "-1d", "0.001 m"])
@pytest.mark.parametrize(
    ("part", "name"),
    [("concept_drift", "ground_truth_delay"), ("data_drift", "check_frequency")],
)
def test_a_length_of_time_that_is_none_is_refused_with_the_plan(span: str, part: str, name: str) -> None:
    with pytest.raises(ConfigError, match=f"{part}.{name}.* is '{span}'.*Allowed"):
        read_plan(Monitoring.model_validate({part: {name: span}}))


def test_the_longest_length_of_time_has_an_end() -> None:
    """A plan that was read must not fail in each window: the end of a wait is a date."""
    plan = read_plan(Monitoring.model_validate({"concept_drift": {"ground_truth_delay": "520w"}}))
    assert datetime.datetime(2026, 1, 1) + datetime.timedelta(seconds=plan.delay or 0) == datetime.datetime(2035, 12, 20)
    with pytest.raises(ConfigError, match=r"alerts\.repeat_after is '0h'"):
        read_plan(Monitoring.model_validate({"alerts": {"repeat_after": "0h"}}))
    with pytest.raises(ConfigError, match="too long"):
        next_time(datetime.datetime(2026, 1, 1), "999999w")


# profiles


FRAME = pd.DataFrame({"fee": [float(i % 37) / 3 for i in range(200)] + [None] * 8, "plan": ["gold", "basic", "basic", "none"] * 52})


def damaged(column: str, **damage: Any) -> str:
    data: Any = profile(FRAME, by="plan").to_dict()
    data["columns"][column].update(damage)
    return json.dumps(data)


def edges() -> list[float]:
    return list(profile(FRAME).columns["fee"].edges)


@pytest.mark.parametrize(
    ("column", "damage", "says"),
    [
        ("fee", {"edges": edges()[::-1]}, "edges rise"),
        ("fee", {"edges": [edges()[0], *edges()[:-1]]}, "edges rise"),
        ("fee", {"edges": [*edges()[:-1], float("nan")]}, "nan among its edges"),
        ("fee", {"edges": 3}, "allowed is a list"),
        ("fee", {"low": float("-inf")}, "-inf among"),
        ("fee", {"low": 99.0}, "begins at 99.0"),
        ("fee", {"variance": -1.0}, "variance -1"),
        ("fee", {"counts": [-5, 205, *[0] * (len(edges()) - 1)]}, "-5 among its counts"),
        ("fee", {"counts": [1] * (len(edges()) + 1)}, "as many rows"),
        ("fee", {"counts": [200.0, *[0] * len(edges())]}, "200.0 among its counts"),
        ("fee", {"infinite": [0, 190]}, "infinite rows"),
        ("fee", {"cells": [1, 7]}, "finer counts of 7 rows"),
        ("fee", {"missing": -8}, "-8 as missing"),
        ("fee", {"unread": 9}, "which cannot be"),
        ("fee", {"rows": 300, "missing": 100}, "the table has 208"),
        ("fee", {"kind": "float"}, "allowed are numeric"),
        ("fee", {"registers": "00"}, "registers"),
        ("plan", {"values": [["basic", 104], ["gold", 52], ["none", -52]], "rest": 104}, "-52 rows of a value"),
        ("plan", {"values": [["basic", 104], ["basic", 104]]}, "'basic' more than once"),
        ("plan", {"values": [["basic", 104]]}, "208 rows have a value"),
        ("plan", {"values": [["basic"]]}, "cannot be read"),
    ],
)
def test_a_profile_whose_figures_do_not_belong_together_is_refused(column: str, damage: dict[str, Any], says: str, tmp_path: Path) -> None:
    (tmp_path / "kept.json").write_text(damaged(column, **damage))
    for read in (lambda: Profile.load(tmp_path / "kept.json"), lambda: Profile.from_json(damaged(column, **damage), "kept.json")):
        with pytest.raises(InputError, match=says) as error:
            read()
        assert str(error.value).startswith(f"kept.json is a damaged profile: column '{column}' ") and "Make it again" in str(error.value)


def test_a_damaged_segment_is_refused() -> None:
    data: Any = profile(FRAME, by="plan").to_dict()
    data["segments"]["gold"]["columns"]["fee"]["counts"][0] += 1
    with pytest.raises(InputError, match="column 'fee'"):
        Profile.from_json(json.dumps(data))
    data: Any = profile(FRAME, by="plan").to_dict()
    data["segments"]["silver"] = data["segments"]["basic"]
    with pytest.raises(InputError, match="its segments have 312 rows, and it has 208"):
        Profile.from_json(json.dumps(data))
    assert Profile.from_json(damaged("fee")) == profile(FRAME, by="plan")


@pytest.mark.parametrize("given", [None, "reference.json", {"rows": 3}])
def test_what_is_no_profile_is_refused(given: Any, tmp_path: Path) -> None:
    made = profile(FRAME)
    made.save(tmp_path / "p.json")
    for use in (lambda: made.merge(given), lambda: StreamProfile(given), lambda: StreamProfile.load(tmp_path / "p.json", given), lambda: profile(FRAME, edges_from=given or 3),
                lambda: StreamProfile(made, earlier=given or 3)):
        with pytest.raises(InputError, match=r"and no Profile\. Give what"):
            use()
