""" """
#| export
from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mlnb.core.errors import InputError, listed
from ..core.items_data import FEATURE_PATTERNS, ONE_HOT_MAX
from ..data.features_measures import Measures


#| export
PATTERNS: Mapping[str, str] = MappingProxyType({row[2]: row[1] for row in FEATURE_PATTERNS.rows})  # pattern -> kind of column
FAMILIES = ("trees", "distances")
SKEWED = 1.0  # skewness from which the right tail is called long
FEW_ROWS = 2_000  # rows up to which data is called limited
BENT = 0.1  # signal that bins have to find beyond order
MANY_LEVELS = 1_000  # levels from which a category is of very high cardinality
PER_LEVEL = 5  # rows per level below which a mean per level is not worth much



#| export
def numeric_pattern(
    m: Measures,  # of a column of numbers
    family: str = "trees",  # "trees" or "distances"
) -> tuple[str, str]:  # pattern and reason
    "The pattern for a column of numbers."
    if m.circle:
        return "cyclical_encoding", f"{m.circle}: {m.levels} whole numbers on a circle of {m.period}, whose ends touch"
    if m.rows <= FEW_ROWS and m.bend >= BENT and m.tells and m.levels > ONE_HOT_MAX:
        return "bin_to_categorical", (f"the relation to the target bends (signal {m.strength:.2f} by bins, {m.straight:.2f} by order) and "
                                      f"{m.rows:,} rows are few")
    long, log = m.skewness or 0.0, m.skewness_log or 0.0
    if long > SKEWED and abs(log) < abs(long) / 2:
        zeros = f"; {m.below_zero:.1%} are negative and keep their sign" if m.below_zero else ""
        return "log_transform", f"long right tail: skewness {long:.1f}, {log:.1f} after the logarithm{zeros}"
    shape = f"skewness {long:.1f}" + (", which the logarithm does not mend" if long > SKEWED else "")
    if family == "distances":
        return "standardize", f"{shape}; the model measures distances"
    return "raw_value", f"{shape}; trees take numbers as they are"



#| export
def level_pattern(
    m: Measures,  # of a column of categories
) -> tuple[str, str]:  # pattern and reason
    "The pattern for a column of categories."
    per = m.rows * (1 - m.missing) / max(m.levels, 1)
    if m.levels <= ONE_HOT_MAX:
        return "one_hot", f"{m.levels} levels, not more than {ONE_HOT_MAX}"
    if (m.levels > MANY_LEVELS or per < PER_LEVEL) and m.strength is not None and not m.tells:
        return "embedding", (f"{m.levels:,} levels with {per:.1f} rows each; their means tell no more about the target than chance "
                             f"({m.strength:.2f}, chance {m.chance:.2f})")
    signal = "" if m.strength is None else f"; signal {m.strength:.2f} across folds, chance {m.chance:.2f}"
    return "target_encoding", f"{m.levels:,} levels, more than {ONE_HOT_MAX}{signal}"



#| export
OUT: Mapping[str, str] = {"id": "identifies a row: {levels:,} values in {rows:,} rows", "constant": "always the same", "empty": "holds nothing"}


def column_pattern(
    m: Measures,  # of any column
    family: str = "trees",  # "trees" or "distances": what the model does with numbers
    time: str = "",  # the column that says when a row happened
) -> tuple[str, str]:  # pattern, empty when the column is left out, and reason
    "The pattern for a column, by the rules of the methodology."
    if family not in FAMILIES:
        raise InputError(f"family is {family!r}; allowed are {listed(FAMILIES)}: what the model does with numbers.")
    if m.kind in OUT:
        return "", OUT[m.kind].format(levels=m.levels, rows=m.rows)
    if m.kind == "boolean":
        return "raw_value", "yes or no, which is a number already"
    if m.kind == "datetime":
        if time and m.name != time:
            return "time_since_event", f"a date beside {time}: how long before it"
        return "cyclical_encoding", "a date: its hour, weekday and month, as far as they vary"
    if m.kind == "text":
        return "tfidf", "free text: the readable measure to beat"
    return numeric_pattern(m, family) if m.kind == "numeric" else level_pattern(m)


