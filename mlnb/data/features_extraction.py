""" """
#| export
from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import numpy as np

from mlnb.core.errors import listed
from ..core.files import write_atomic
from ..data.features_base import FeatureError, FeatureStep
from ..data.features_text import texts

if TYPE_CHECKING:
    import pandas as pd
    from pydantic import BaseModel


#| export
PROMPT = """Fill in the fields from the text. Answer with one JSON object that fits the schema and with nothing else.
Use only what the text says. {instructions}

Schema: {schema}

Text: {text}"""


def extract(
    text: str,  # what to read
    form: type[BaseModel],  # the fields, as a pydantic model
    client: Callable[[str], str],  # prompt to the text of the answer
    instructions: str = "",  # what else the model should know
    tries: int = 3,  # how often it is asked at the most
) -> BaseModel:  # the fields, validated
    "The fields of one text. Raises `FeatureError` when no answer fits."
    schema = json.dumps(form.model_json_schema(), sort_keys=True)
    prompt = PROMPT.format(instructions=instructions, schema=schema, text=text)
    asked, wrong = prompt, ""
    for _ in range(max(tries, 1)):
        try:
            answer = client(asked)
        except Exception as error:  # a client may raise anything; what it said is part of the failure
            wrong = f"the client raised {type(error).__name__}: {error}"
            continue
        try:
            return form.model_validate_json(_json(str(answer)))
        except ValueError as error:
            wrong = _problem(error)
            asked = f"{prompt}\n\nThe last answer did not fit: {wrong[:500]}\nAnswer again."
    raise FeatureError(f"No answer fitted {form.__name__} in {max(tries, 1)} tries; the last problem: {wrong[:300]}")


def _problem(error: ValueError) -> str:
    "What does not fit, in a line."
    found = error.errors() if hasattr(error, "errors") else []
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'the answer'}: {e['msg']}, found {str(e.get('input'))[:60]!r}" for e in found[:5]) or str(error)


def _json(answer: str) -> str:
    "What stands between the first and the last brace."
    start, end = answer.find("{"), answer.rfind("}")
    return answer[start:end + 1] if 0 <= start < end else answer



#| export
class LlmExtraction(FeatureStep):
    "Structured fields read from text by a language model (pattern llm_extraction)."

    def __init__(
        self,
        form: type[BaseModel] | None = None,  # the fields, as a pydantic model
        client: Callable[[str], str] | None = None,  # prompt to the text of the answer
        instructions: str = "",  # what else the model should know
        cache: str | Path | None = None,  # folder in which answers are kept; none are when None
        model: str = "",  # name and version of the model, part of an answer's key
        tries: int = 3,  # how often it is asked at the most, per text
        on_failure: str = "raise",  # "raise", or "flag" to leave the fields of failed rows missing
    ) -> None:
        self.form = form
        self.client = client
        self.instructions = instructions
        self.cache = cache
        self.model = model
        self.tries = tries
        self.on_failure = on_failure

    def _learn(self, frame: pd.DataFrame, y: Any) -> None:
        if self.form is None or self.client is None:
            raise FeatureError("LlmExtraction needs form, a pydantic model of the fields, and client, a function from a prompt to an answer. "
                               "Pattern tfidf needs neither.")
        if self.on_failure not in ("raise", "flag"):
            raise FeatureError(f"on_failure is {self.on_failure!r}; allowed are {listed(('raise', 'flag'))}.")
        self.columns_, self.fields_ = list(frame.columns), _fields(self.form)
        self.failures_: list[dict[str, object]] = []
        if not self.fields_:
            raise FeatureError(f"{self.form.__name__} has no field that is a number, a boolean or a Literal, so nothing would become a feature.")

    def _make(self, frame: pd.DataFrame) -> np.ndarray:
        self.failures_, parts = [], []
        for name in self.columns_:
            words = texts(frame[name])
            answers = {text: self._answer(text) for text in dict.fromkeys(words)}
            self.failures_ += [{"row": row, "column": name, "text": _key(text, "")[:16], "problem": answers[text]}
                               for row, text in enumerate(words) if isinstance(answers[text], str)]
            parts.append(np.array([_numbers(answers[text], self.fields_) for text in words]))
        if self.failures_ and self.on_failure == "raise":
            first = self.failures_[0]
            raise FeatureError(f"{len(self.failures_)} of {len(frame) * len(self.columns_)} texts could not be read, in rows "
                               f"{listed((f['row'] for f in self.failures_), 8)}. The first problem: {first['problem']} Answers that fitted are kept; "
                               "run again, or set on_failure='flag' to go on without these rows.")
        return np.hstack(parts)

    def _answer(self, text: str) -> Mapping[str, Any] | str:
        "The fields as plain values, or what went wrong."
        if not text.strip():
            return "the text is empty"
        assert self.form is not None and self.client is not None
        about = json.dumps([self.form.model_json_schema(), self.instructions, self.model], sort_keys=True)
        file = None if self.cache is None else Path(self.cache) / f"{_key(text, about)}.json"
        if file is not None and file.exists():
            try:
                return self.form.model_validate_json(file.read_text()).model_dump()
            except (ValueError, OSError):
                pass  # a damaged answer is asked for again
        try:
            found = extract(text, self.form, self.client, self.instructions, self.tries)
        except FeatureError as error:
            return str(error)
        if file is not None:
            write_atomic(file, found.model_dump_json())
        return found.model_dump()

    def _names(self) -> list[str]:
        return [f"{name}_{field}" for name in self.columns_ for field in
                [*(f"{key}_{choice}" if choice is not None else key for key, choice in self.fields_), "failed"]]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        return tags



#| export
def _key(text: str, about: str) -> str:
    return hashlib.sha256(f"{about}\n{text}".encode()).hexdigest()


def _fields(form: type[BaseModel]) -> list[tuple[str, Any]]:
    "Field and choice of each feature; the choice is None for numbers and booleans."
    found: list[tuple[str, Any]] = []
    for name, field in form.model_fields.items():
        kinds = [kind for kind in (get_args(field.annotation) or (field.annotation,)) if kind is not type(None)]
        if get_origin(field.annotation) is Literal:
            found += [(name, choice) for choice in get_args(field.annotation)]
        elif len(kinds) == 1 and get_origin(kinds[0]) is Literal:
            found += [(name, choice) for choice in get_args(kinds[0])]
        elif kinds and all(kind in (int, float, bool) for kind in kinds):
            found.append((name, None))
    return found


def _numbers(answer: Mapping[str, Any] | str, fields: list[tuple[str, Any]]) -> list[float]:
    if isinstance(answer, str):
        return [np.nan] * len(fields) + [1.0]
    found = []
    for name, choice in fields:
        value = answer[name]
        found.append(np.nan if value is None else float(value) if choice is None else float(value == choice))
    return [*found, 0.0]


