"""Forms without a browser: fields of any model, drafts, files that change or are broken, and the widgets in both directions."""

from __future__ import annotations

import asyncio
import datetime
import enum
import threading
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, model_validator

from mlnb.core.errors import ConfigError
from mlnb.core.form_fields import FieldSpec, field_specs, placed, spec_at, to_data, to_draft
from mlnb.core.form_state import FormState
from mlnb.core.form_values import changed_paths, check_draft, get_at, merge_drafts, put_at
from mlnb.core.forms import Form
from mlnb.core.record_model import Part, note
from mlnb.core.records import RECORDS, load, new, record_model

TRAP = "<img src=x onerror=alert(1)>"


class Step(Part):
    name: str = note("", "Name", "what is done")
    days: int = note(1, "Days", "how long", ge=1)


class Limits(Part):
    low: float = note(0.0, "Low", "lower limit")
    high: float = note(10.0, "High", "upper limit")

    @model_validator(mode="after")
    def ordered(self) -> Limits:
        if self.low > self.high:
            raise ValueError("low lies above high")
        return self


class Everything(Part):
    "One field of each kind."

    name: str = note("", "Name", "what it is called")
    remark: str | None = note(None, "Remark", "what else")
    count: int = note(3, "Count", "how many")
    share: float = note(0.5, "Share", "0 to 1", ge=0, le=1)
    maybe: float | None = note(None, "Maybe", "a number, or none")
    yes: bool = note(False, "Yes", "yes or no")
    known: bool | None = note(None, "Known", "yes, no, or not known")
    task: Literal["", "classification", "regression"] = note("", "Task", "one of two")
    words: list[str] = note([], "Words", "some words")
    numbers: list[int] = note([], "Numbers", "some numbers")
    steps: list[Step] = note([], "Steps", "in order")
    limits: Limits = note(Limits, "Limits", "from, to")
    prices: dict[str, float] = note({}, "Prices", "name: price")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Foreign(BaseModel):
    """A model that nobody made for forms."""

    colour: Colour = Colour.RED
    day: datetime.date | None = None
    choice: Literal["a", None] = None
    needed: int
    deep: Annotated[Annotated[str, Field(max_length=3)], "x"] = ""
    either: int | str = 0
    anything: Any = None
    maybe_group: Step | None = None
    pair: tuple[str, ...] = ()


def group(model: type[BaseModel]) -> FieldSpec:
    return FieldSpec("", "", kind="group", fields=field_specs(model))


def start(model: type[BaseModel]) -> dict:
    return to_draft(group(model), {})  # type: ignore[return-value]


@pytest.fixture
def state(tmp_path: Path) -> FormState:
    return FormState(Everything, tmp_path / "all.yaml")


def test_kinds_of_all_fields() -> None:
    kinds = {spec.name: spec.kind for spec in field_specs(Everything)}
    assert kinds == {
        "name": "text", "remark": "text", "count": "int", "share": "float", "maybe": "float", "yes": "bool", "known": "bool",
        "task": "choice", "words": "list", "numbers": "list", "steps": "list", "limits": "group", "prices": "yaml",
    }  # fmt: skip
    assert {spec.name for spec in field_specs(Everything) if spec.nullable} == {"remark", "maybe", "known"}


def test_kinds_of_a_foreign_model() -> None:
    specs = {spec.name: spec for spec in field_specs(Foreign)}
    assert {name: spec.kind for name, spec in specs.items()} == {
        "colour": "choice", "day": "date", "choice": "choice", "needed": "int", "deep": "text", "either": "yaml", "anything": "yaml",
        "maybe_group": "yaml", "pair": "list",
    }  # fmt: skip
    assert specs["colour"].choices == ("red", "blue") and specs["colour"].default == "red" and specs["choice"].nullable
    state = FormState(Foreign)
    assert set(state.errors) == {"needed"} and state.record is None
    state.set("needed", "3")
    state.set("day", "2026-03-01")
    assert state.record == Foreign(needed=3, day=datetime.date(2026, 3, 1))
    assert "Needed" in Form(state)._repr_html_() and {"Colour", "Day"} <= set(controls(Form(state).widget))


def test_every_record_has_a_form_that_gives_back_its_template() -> None:
    for name in RECORDS:
        model = record_model(name)
        specs = field_specs(model)
        checked = check_draft(model, specs, start(model), start(model))
        assert checked.errors == {} and checked.record == new(name), name
        assert all(spec.title for spec in specs)


@pytest.mark.parametrize(("path", "typed", "data"), [
    ("count", " 5 ", 5), ("count", "-1", -1), ("share", "0.25", 0.25), ("share", "1e-1", 0.1), ("maybe", "", None), ("remark", "  ", None),
    ("known", None, None), ("prices", "a: 1.5\nb: 2", {"a": 1.5, "b": 2}), ("prices", "", {}),
    ("name", " kept ", " kept "),
])  # fmt: skip
def test_typed_to_data_and_back(path: str, typed: object, data: object) -> None:
    spec = spec_at(field_specs(Everything), path)
    assert to_data(spec, typed) == data
    assert to_data(spec, to_draft(spec, data)) == data


@pytest.mark.parametrize(("path", "typed", "words"), [
    ("count", "five", "not a whole number"), ("count", "1.5", "not a whole number"), ("share", "nan", "can be used"), ("share", "inf", "can be used"),
    ("share", "0,5", "not a number"), ("prices", "a: [1", "not valid YAML"),
    ("prices", "!!python/object/apply:os.system [true]", "not valid YAML"),
])  # fmt: skip
def test_what_cannot_be_read_says_why(path: str, typed: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        to_data(spec_at(field_specs(Everything), path), typed)


def test_errors_stand_where_they_belong() -> None:
    draft = start(Everything)
    for path, value in {"share": "7", "task": "regresion", "numbers": ["1", "x"], "steps": [{"name": "a", "days": "0"}], "prices": "a: much"}.items():
        draft = put_at(draft, path, value)
    draft = put_at(draft, "limits.low", "20")
    checked = check_draft(Everything, field_specs(Everything), draft, start(Everything))
    assert set(checked.errors) == {"share", "task", "numbers.1", "steps.0.days", "prices", "limits"}
    assert "at most 1" in checked.errors["share"] and "Did you mean 'regression'" in checked.errors["task"]
    assert "Low lies above high" in checked.errors["limits"] and "a: " in checked.errors["prices"]
    assert checked.record == Everything() and checked.blocks("limits.low") and not checked.blocks("name")


def test_record_level_errors_block_everything() -> None:
    class Pair(BaseModel):
        a: int = 1
        b: int = 2

        @model_validator(mode="after")
        def differ(self) -> Pair:
            if self.a == self.b:
                raise ValueError("a and b have to differ")
            return self

    checked = check_draft(Pair, field_specs(Pair), {"a": "2", "b": "2"}, {"a": "1", "b": "2"})
    assert checked.errors == {"": "A and b have to differ."} and checked.record is None and checked.blocks("a")


def test_paths() -> None:
    specs = field_specs(Everything)
    assert spec_at(specs, "steps.12.days").kind == "int"
    for path in ("nothing", "limits.nothing", "words.x", "name.0", ""):
        with pytest.raises(ConfigError):
            spec_at(specs, path)
    assert placed("prices.a.b", specs) == ("prices", "a.b") and placed("", specs) == ("", "")
    draft = start(Everything)
    assert get_at(put_at(draft, "limits.low", "1"), "limits.low") == "1" and draft["limits"]["low"] == "0"
    assert changed_paths(specs, draft, put_at(draft, "limits.low", "1")) == ["limits.low"]
    mine, theirs = put_at(draft, "name", "m"), put_at(put_at(draft, "name", "t"), "limits.high", "5")
    merged, clash = merge_drafts(specs, draft, mine, theirs)
    assert (merged["name"], merged["limits"]["high"], clash) == ("m", "5", ["name"])


def test_saves_what_is_right_and_only_that(state: FormState) -> None:
    state.set("name", "churn")
    state.set("share", "half")
    assert not state.save() and state.dirty and "Share" in state.status
    assert "churn" in state.path.read_text() and "half" not in state.path.read_text()
    state.set("share", "0.75")
    assert state.save() and state.status == "Saved." and not state.dirty
    again = FormState(Everything, state.path)
    assert again.draft == state.draft and again.record == state.record


def test_typing_a_value_back_makes_it_clean(state: FormState) -> None:
    state.set("name", "x")
    state.set("name", "")
    assert not state.dirty and state.save() and not state.path.exists(), "nothing changed, so no file appears"


def test_lists(state: FormState) -> None:
    assert [state.add("steps"), state.add("steps")] == [0, 1]
    state.set("steps.1.name", "train")
    state.set("steps.0.days", "0")
    assert not state.save() and not state.path.exists(), "a list is written as a whole"
    state.remove("steps", 0)
    assert state.save() and FormState(Everything, state.path).get("steps") == [{"name": "train", "days": "1"}]
    state.remove("steps", 7)
    with pytest.raises(ConfigError, match="no list"):
        state.add("name")


def test_returned_parts_are_copies(state: FormState) -> None:
    state.set("words", ["a"])
    state.get("words").append("b")
    assert state.get("words") == ["a"]


def test_comments_and_other_peoples_edits_stay(state: FormState) -> None:
    state.set("name", "churn")
    state.save()
    text = state.path.read_text().replace("name: churn", "name: churn  # as sales calls it").replace("count: 3", "count: 4")
    state.path.write_text(text)
    state.set("maybe", "2.5")
    assert state.get("count") == "3" and state.save()
    assert state.get("count") == "4" and "# as sales calls it" in state.path.read_text() and "maybe: 2.5" in state.path.read_text()


def test_same_field_changed_on_both_sides_keeps_mine_and_says_so(state: FormState) -> None:
    state.set("name", "one")
    state.save()
    state.path.write_text(state.path.read_text().replace("one", "two"))
    state.set("name", "three")
    assert state.refresh() and "kept as it is here: Name" in state.status
    assert state.save() and "name: three" in state.path.read_text()
    assert not state.refresh()


@pytest.mark.parametrize("broken", ["name: [", "nme: x\n", "limits: 3\n", "- 1\n", "", "\x00", "a: &a [*a]\n"])
def test_a_broken_file_is_never_written_over(state: FormState, broken: str) -> None:
    state.set("name", "churn")
    state.save()
    state.path.write_text(broken)
    state.set("name", "fraud")
    assert not state.save() and state.problem and state.status.startswith("Not saved.")
    assert state.path.read_text() == broken and state.get("name") == "fraud"
    assert FormState(Everything, state.path).problem
    state.path.unlink()
    assert state.save() and state.problem == "" and "fraud" in state.path.read_text()


def test_a_wrong_value_in_the_file_is_shown_and_can_be_mended(state: FormState) -> None:
    state.path.write_text("# mine\nname: churn\ntask: regresion  # to settle\nlimits:\n  low: 1.0\n  high: much\n")
    state.reload()
    assert set(state.errors) == {"task", "limits.high"} and "line 3" in state.errors["task"] and state.get("task") == "regresion"
    state.set("name", "fraud")
    assert not state.save() and "churn" in state.path.read_text(), "the file is mended first"
    state.set("task", "regression")
    state.set("limits.high", "5")
    assert state.save() and not state.errors
    text = state.path.read_text()
    assert "# mine" in text and "# to settle" in text and "high: 5.0" in text and "fraud" in text


def test_unwritable_place_is_said_and_nothing_is_lost(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    state = FormState(Everything, tmp_path / "file" / "all.yaml")
    state.set("name", "churn")
    assert not state.save() and "Cannot write" in state.status and state.dirty and state.get("name") == "churn"


def test_every_record_is_written_to_where_it_is_loaded_from(tmp_path: Path) -> None:
    for name in ("problem_brief", "feature_plan", "model_card"):
        state = FormState(record_model(name), tmp_path / f"{name}.yaml")
        texts = [spec.name for spec in state.specs if spec.kind == "text"]
        state.set(*((texts[0], "something") if texts else ("columns", "amount: [log_transform]")))
        assert state.save(), state.status
        assert load(state.path, name) == state.record


# The widgets, without a browser.


def controls(widget: Any) -> dict[str, Any]:
    found = {widget.description: widget} if getattr(widget, "description", "") and hasattr(widget, "value") else {}
    for child in getattr(widget, "children", ()):
        found |= controls(child)
    return found


def texts(widget: Any) -> str:
    own = str(widget.value) if type(widget).__name__ == "HTML" else ""
    return own + "".join(texts(child) for child in getattr(widget, "children", ()))


def buttons(widget: Any) -> dict[str, Any]:
    found = {widget.description: widget} if type(widget).__name__ == "Button" else {}
    for child in getattr(widget, "children", ()):
        found |= buttons(child)
    return found


def test_widgets_in_both_directions(state: FormState) -> None:
    form = Form(state, "All")
    named = controls(form.widget)
    assert {"Name", "Count", "Yes", "Known", "Task", "Low"} <= set(named), "every control has its label"
    named["Name"].value = "churn"
    named["Known"].value = True
    named["Task"].value = "regression"
    named["Yes"].value = True
    named["Low"].value = "3"
    assert state.status == "Saved." and (state.record.known, state.record.task, state.record.yes) == (True, "regression", True)
    named["Known"].value = ""
    assert state.record.known is None
    state.path.write_text(state.path.read_text().replace("churn", "fraud").replace("regression\"", "maybe\""))
    form.look()
    assert named["Name"].value == "fraud" and named["Task"].label == "maybe (not allowed)" and "line" in texts(form.widget)
    named["Task"].value = "classification"
    assert state.status == "Saved." and state.record.task == "classification"


def test_an_error_appears_under_its_field_and_goes(state: FormState) -> None:
    form = Form(state)
    box = controls(form.widget)["Share"]
    box.value = f"{TRAP}"
    assert 'role="alert"' in texts(form.widget) and TRAP not in texts(form.widget) and not state.path.exists()
    assert box.value == TRAP, "what was typed stays for the person to correct"
    box.value = "0.1"
    assert 'role="alert"' not in texts(form.widget) and "share: 0.1" in state.path.read_text()


def test_list_buttons(state: FormState) -> None:
    form = Form(state)
    buttons(form.widget)["Add to words"].click()
    buttons(form.widget)["Add to words"].click()
    controls(form.widget)["Words 2"].value = "b"
    buttons(form.widget)["Remove Words 1"].click()
    assert state.get("words") == ["b"] and controls(form.widget)["Words 1"].value == "b"
    buttons(form.widget)["Add to steps"].click()
    assert "Days" in controls(form.widget) and state.record.steps == [Step()]


def test_the_twin_shows_the_same_and_escapes(state: FormState) -> None:
    state.set("name", TRAP)
    state.set("words", [TRAP])
    state.set("share", "half")
    form = Form(state, f"Form {TRAP}")
    html = form._repr_html_()
    assert TRAP not in html and "not a number" in html and "&lt;img" in html
    bundle = form._repr_mimebundle_()
    assert bundle["text/html"] == form._repr_html_() and "application/vnd.jupyter.widget-view+json" in bundle
    assert "<style" not in html and "<script" not in html


def test_a_form_of_some_fields(state: FormState) -> None:
    form = Form(state, fields=["name", "limits"])
    assert set(controls(form.widget)) >= {"Name", "Low", "High"} and "Count" not in controls(form.widget)
    assert "Count" not in form._repr_html_()


def test_saving_waits_for_a_pause_and_the_file_is_watched(state: FormState) -> None:
    async def session() -> None:
        form = Form(state, pause=0.05)
        named = controls(form.widget)
        for text in ("c", "ch", "chu"):
            named["Name"].value = text
        assert not state.path.exists() and state.status == "Not saved yet."
        await asyncio.sleep(0.2)
        assert state.status == "Saved."
        state.path.write_text(state.path.read_text().replace("chu", "churn"))
        await asyncio.sleep(1.3)
        assert named["Name"].value == "churn"

    asyncio.run(session())


def test_two_forms_and_a_writer_at_once_lose_nothing(tmp_path: Path) -> None:
    states = [FormState(Everything, tmp_path / "all.yaml") for _ in range(2)]

    def edit(state: FormState, field: str) -> None:
        for i in range(8):
            state.set(field, str(i))
            state.save()

    threads = [threading.Thread(target=edit, args=pair) for pair in zip(states, ("name", "remark"), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for state in states:
        state.save()
    final = FormState(Everything, tmp_path / "all.yaml")
    assert final.problem == "" and (final.get("name"), final.get("remark")) == ("7", "7")
