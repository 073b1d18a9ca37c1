"""How a symbol is shown on the site: as nbdev does, with two differences.

Types stay as they are written: nbdev evaluates every annotation, which fails for names that are imported for type checkers only.
A class lists its public methods, each a place that links can lead to: nbdev's index knows them, its pages do not.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from unittest.mock import patch

from nbdev.showdoc import BasicMarkdownRenderer


def written(symbol: object, **_: object) -> inspect.Signature:
    """The signature with its annotations left as text."""
    return inspect.signature(symbol)


def methods(symbol: type) -> Iterator[str]:
    """One line for each public method or property that a class defines itself: name, parameters, what it does."""
    for name, member in vars(symbol).items():
        function = getattr(member, "__func__", None) or getattr(member, "fget", None) or member
        if name.startswith("_") or not inspect.isfunction(function):
            continue
        parameters = [p for p in inspect.signature(function).parameters if p not in ("self", "cls")]
        call = name if isinstance(member, property) else f"{name}({', '.join(parameters)})"
        summary = (inspect.getdoc(function) or "").partition("\n")[0]
        yield f"- [`{call}`]{{#{symbol.__qualname__.lower()}.{name.lower()}}} {summary}".rstrip()


class Renderer(BasicMarkdownRenderer):
    """nbdev's renderer with types as written and the methods of a class."""

    def __init__(self, sym: object, name: str | None = None, title_level: int = 3) -> None:
        with patch("fastcore.docments.signature", written):
            super().__init__(sym, name=name, title_level=title_level)

    def _repr_markdown_(self) -> str:
        listed = list(methods(self.sym)) if inspect.isclass(self.sym) else []
        return "\n\n".join([super()._repr_markdown_(), *(["\n".join(listed)] if listed else [])])
