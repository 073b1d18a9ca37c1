""" """
#| export
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mlnb.core.context import Context, MissingPart, finding, verifier
from ..core.errors import MlnbError, listed
from ..core.findings import Finding, Findings
from ..core.items_data import ONE_HOT_MAX
from ..data.features_plan import LATER, Plan, build
from ..data.features_rules import PATTERNS

if TYPE_CHECKING:
    import pandas as pd


#| export
KINDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {  # check -> kinds of columns, kinds of patterns
    "FE-NUM": (("numeric", "boolean"), ("numerical",)), "FE-CAT": (("categorical",), ("categorical",)),
    "FE-TIME": (("datetime",), ("temporal",)), "FE-TEXT": (("text",), ("text",))}
_ALSO = {"FE-NUM": {"cyclical_encoding", "one_hot", "target_encoding", "embedding"}, "FE-CAT": {"bin_to_categorical"}}
_NAMES = {"FE-NUM": "numbers", "FE-CAT": "categories", "FE-TIME": "times", "FE-TEXT": "free text"}


def covered(
    code: str,  # FE-NUM, FE-CAT, FE-TIME or FE-TEXT
    plan: Plan,  # what is planned
    kinds: Mapping[str, str],  # column -> kind, of the columns a model may use
) -> Finding:  # pass, fail or not applicable
    "Whether each column of a kind has one pattern of its kind, or a reason to have none."
    wanted, groups = KINDS[code]
    own = [name for name, kind in kinds.items() if kind in wanted]
    if not own:
        return finding(code, "not_applicable", f"The data has no column of {_NAMES[code]}.")
    allowed = {pattern for pattern, kind in PATTERNS.items() if kind in groups} | _ALSO.get(code, set())
    paired = {name for _, *two in plan.pairs for name in two}
    wrong: dict[str, str] = {}
    for name in own:
        main = [p for p in plan.columns.get(name, ()) if p not in LATER or code == "FE-TIME"]
        misfits = [p for p in main if p not in allowed]
        if misfits:
            wrong[name] = f"{', '.join(misfits)} is no pattern for {_NAMES[code]}"
        elif len(main) > 1:
            wrong[name] = f"has {len(main)} patterns ({', '.join(main)})"
        elif not main and not plan.left_out.get(name) and name not in paired and not plan.columns.get(name):
            wrong[name] = "has no pattern and no reason to be left out"
    good = len(own) - len(wrong)
    message = f"{good} of {len(own)} columns of {_NAMES[code]} have one pattern of their kind, or a reason to be left out."
    if wrong:
        message += " " + listed((f"{name} {why}" for name, why in wrong.items()), 5) + "."
    return finding(code, "fail" if wrong else "pass", message, value=good, threshold=len(own), columns=tuple(wrong),
                   evidence={"patterns": {name: list(plan.columns.get(name, ())) for name in own}, "wrong": wrong})



#| export
def cross_fit_gap(
    step: Any,  # an unfitted transformer whose fit_transform takes a target
    frame: pd.DataFrame,  # training rows
    y: np.ndarray,  # their target, shape (n,)
    random_state: int = 0,  # shuffles
) -> tuple[float, float]:  # largest correlation of a feature with the shuffled target, and what chance allows
    "How much the features of the training rows know about a target that nobody can know."
    import pandas as pd

    shuffled = np.random.default_rng(random_state).permutation(np.asarray(y))
    features = np.asarray(step.fit_transform(frame, shuffled), dtype=float)
    codes = pd.factorize(shuffled, sort=True)[0].astype(float) if shuffled.dtype.kind not in "iuf" else shuffled.astype(float)
    found = []
    for column in features.T:
        there = ~np.isnan(column)
        if there.sum() > 10 and column[there].std() > 0 and codes[there].std() > 0:
            found.append(float(np.corrcoef(column[there], codes[there])[0, 1]))
    return max(found, default=0.0), 4.5 / max(len(frame), 1) ** 0.5



#| export
def future_test(
    features: Callable[[pd.DataFrame], np.ndarray],  # makes features of a table, shape (n, features)
    frame: pd.DataFrame,  # rows
    time: str,  # column that says when a row happened
    keep: Iterable[str] = (),  # further columns that stay as they are, such as the entity
) -> tuple[int, int]:  # earlier rows whose features changed, and earlier rows in all
    "Whether features of earlier rows change when later rows do."
    from mlnb.data.features_history import clock

    when = clock(frame[time], time)[0]
    if np.isnan(when).all():
        return 0, 0
    limit = np.nanmedian(when)
    early, late = when <= limit, when > limit
    spoilt = frame.copy()
    for name in frame.columns.difference([time, *keep]):
        column = frame[name]
        if column.dtype.kind in "iuf":
            spoilt[name] = np.where(late, -7.0e5 - np.arange(len(frame)), column.to_numpy(dtype=float, na_value=np.nan))
        elif column.dtype.kind == "b":
            spoilt[name] = np.where(late, ~column.to_numpy(dtype=bool), column)
    before, after = (np.asarray(features(table))[early] for table in (frame, spoilt))
    same = (before == after) | ((before != before) & (after != after))
    return int((~same).any(axis=1).sum()), int(early.sum())



#| export
TRIED = 5_000  # rows the trials run on


def plan_findings(
    plan: Plan,  # what is planned
    frame: pd.DataFrame,  # training rows
    kinds: Mapping[str, str],  # column -> kind, of the columns a model may use
    y: np.ndarray | None = None,  # the target, shape (n,)
    levels: Mapping[str, int] | None = None,  # column -> distinct values; counted when None
    pipeline: Any = None,  # a fitted pipeline, whose steps before the model are tried too
) -> Findings:  # FE-NUM, FE-CAT, FE-TIME, FE-TEXT, FE-INTER
    "Hold a plan against the data."
    found = {code: covered(code, plan, kinds) for code in KINDS}
    wide = [name for name in plan.having("one_hot") if name in frame and (levels or {}).get(name, frame[name].nunique()) > ONE_HOT_MAX]
    if wide and found["FE-CAT"].status == "pass":
        found["FE-CAT"] = found["FE-CAT"].replace(status="warn", columns=tuple(wide), message=(
            f"{listed(wide)} has more than {ONE_HOT_MAX} levels and is one_hot; rare levels share a column there. Consider target_encoding."))
    if plan.having("target_encoding") and y is not None and found["FE-CAT"].status in ("pass", "warn"):
        found["FE-CAT"] = _tried_encoding(found["FE-CAT"], plan, frame, y)
    if found["FE-TIME"].status in ("pass", "not_applicable") and plan.time and plan.time in frame:
        found["FE-TIME"] = _tried_future(found["FE-TIME"], plan, frame, pipeline)
    found["FE-INTER"] = _pairs(plan, kinds)
    return Findings(found.values())


def _only(plan: Plan, *patterns: str) -> Plan:
    "The part of a plan with some patterns."
    columns = {name: kept for name, own in plan.columns.items() if (kept := tuple(p for p in own if p in patterns))}
    return Plan(columns, time=plan.time, entity=plan.entity, lags=plan.lags, windows=plan.windows)


def _tried_encoding(base: Finding, plan: Plan, frame: pd.DataFrame, y: np.ndarray) -> Finding:
    head = frame.head(TRIED)
    gap, chance = cross_fit_gap(build(_only(plan, "target_encoding")), head, np.asarray(y)[:len(head)])
    told = f"Encodings of a shuffled target correlate with it by {gap:.3f}; chance allows {chance:.3f}."
    more = {"cross_fit": {"correlation": gap, "chance": chance, "rows": len(head)}}
    if gap > chance:
        return base.replace(status="fail", message=f"The target encoding is not cross-fitted. {told}", value=gap, threshold=chance,
                            columns=tuple(plan.having("target_encoding")), evidence={**base.evidence, **more})
    return base.replace(message=f"{base.message} {told}", evidence={**base.evidence, **more})


def _tried_future(base: Finding, plan: Plan, frame: pd.DataFrame, pipeline: Any) -> Finding:
    part = _only(plan, *LATER, "time_since_event", "cyclical_encoding")
    trials: dict[str, Callable[[pd.DataFrame], np.ndarray]] = {}
    if part.columns:
        trials["the plan"] = lambda table: build(part).fit_transform(table)
    if pipeline is not None and len(getattr(pipeline, "steps", ())) > 1:
        trials["the fitted pipeline"] = lambda table: pipeline[:-1].transform(table)
    rows = frame.head(TRIED)
    found = {name: future_test(trial, rows, plan.time, [plan.entity] if plan.entity else []) for name, trial in trials.items()}
    if not found:
        return base
    worst = max(found, key=lambda name: found[name][0])
    changed, early = found[worst]
    more = {"future_test": {name: {"changed": c, "rows": n} for name, (c, n) in found.items()}}
    if changed:
        return base.replace(status="fail", value=changed, threshold=0, evidence={**base.evidence, **more}, columns=tuple(part.columns),
                            message=f"Features of {worst} know the future: {changed:,} of {early:,} earlier rows change when later rows are replaced.")
    return base.replace(status="pass", message=f"{base.message} Replacing all later rows changes none of {early:,} earlier rows.",
                        evidence={**base.evidence, **more})


def _pairs(plan: Plan, kinds: Mapping[str, str]) -> Finding:
    numbers = [name for name, kind in kinds.items() if kind == "numeric"]
    if len(numbers) < 2:
        return finding("FE-INTER", "not_applicable", "The data has fewer than two columns of numbers, so there is nothing to combine.")
    unknown = [f"{a} {p} {b}" for p, a, b in plan.pairs if PATTERNS.get(p) != "interaction" or not {a, b} <= set(kinds)]
    if unknown:
        return finding("FE-INTER", "fail", f"{listed(unknown)}: a pair is one of ratios, differences and polynomial, of two columns of the data.",
                       evidence={"pairs": [list(pair) for pair in plan.pairs]})
    if plan.pairs:
        return finding("FE-INTER", "pass", f"{len(plan.pairs)} combined features: {listed(f'{p} of {a} and {b}' for p, a, b in plan.pairs)}.",
                       value=len(plan.pairs), evidence={"pairs": [list(pair) for pair in plan.pairs]})
    if plan.pairs_measured:
        return finding("FE-INTER", "pass", f"{plan.pairs_measured:,} combinations of two columns were measured, and none adds to the columns themselves.",
                       value=0, evidence={"measured": plan.pairs_measured})
    return finding("FE-INTER", "warn", f"No pair of the {len(numbers)} columns of numbers is combined, and none was measured.")



#| export
@verifier(*KINDS, "FE-INTER")
def feature_check(
    context: Context,  # parts train and records; better with pipeline
    code: str,  # FE-NUM, FE-CAT, FE-TIME, FE-TEXT or FE-INTER
) -> Finding:  # what it came to
    "Decide one of the five checks for a project."
    records, config, train = context["records"], context["config"], context["train"]
    if "feature_plan" not in records:  # type: ignore[operator]
        raise MissingPart("feature_plan", "Write records/feature_plan.yaml, with: mlnb features DATA --target COLUMN")
    plan = Plan.from_record(records["feature_plan"], config.time or "", config.entity or "")  # type: ignore[index, attr-defined]
    roles = {config.target, config.entity, *config.exclude, *config.protected}  # type: ignore[attr-defined]
    kinds = {name: kind for name, kind in train.kinds.items() if name not in roles}  # type: ignore[attr-defined]
    frame = train.frame(limit=4 * TRIED)  # type: ignore[attr-defined]
    y = None
    if config.target in frame:  # type: ignore[attr-defined]
        frame = frame[frame[config.target].notna()].reset_index(drop=True)  # type: ignore[attr-defined]
        y = frame.pop(config.target).to_numpy()  # type: ignore[attr-defined]
    try:
        pipeline = context.maybe("pipeline") if code == "FE-TIME" else None
    except MlnbError:  # a model that cannot be loaded is another check's matter
        pipeline = None
    return next(f for f in plan_findings(plan, frame, kinds, y, pipeline=pipeline) if f.code == code)


