"""How symbols are shown on the site: nbdev's own pages, with three differences.

Symbols come from the exported module: nbdev runs parts of each notebook instead, which breaks when a part needs another.
Types stay as they are written: nbdev evaluates annotations, which fails for names that are imported for type checkers only.
A class lists its public methods, each a place that links can lead to: nbdev's index knows them, its pages do not.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from unittest.mock import patch

from nbdev.doclinks import NbdevLookup
from nbdev.process import Processor
from nbdev.showdoc import BasicMarkdownRenderer

PRIVATE = re.compile(
    r"\[(`(?:[\w.]+\.)?_\w*(?:\(\))?`)\]\([^)\s]*\)"
)  # a link that nbdev makes to a helper no page shows


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


def show_doc(symbol: object, name: str | None = None, title_level: int = 3, **_: object) -> str:
    """What a page says about a symbol, in Markdown, with links."""
    with patch("fastcore.docments.signature", written):
        shown = BasicMarkdownRenderer(symbol, name=name, title_level=title_level)._repr_markdown_()
    line = inspect.getsourcelines(inspect.unwrap(symbol))[1]
    shown = shown.replace("#LNone)", f"#L{line})")  # nbdev counts lines by the bare name alone
    listed = "\n".join(methods(symbol)) if inspect.isclass(symbol) else ""
    return NbdevLookup().linkify("\n\n".join(filter(None, [shown, listed])))


class Documentation(Processor):
    """Fill the cells that document a symbol; nbdev has put one below each exported function or class."""

    def cell(self, cell: dict) -> None:
        source = cell.get("source") or ""
        if cell["cell_type"] == "markdown":
            cell["source"] = PRIVATE.sub(r"\1", source)
        if cell["cell_type"] != "code" or not re.search(r"^show_doc\(", source, re.MULTILINE):
            return
        page = Path(self.nb.path_).stem
        call = ast.Expression(ast.parse(source).body[-1].value)
        try:
            names = {**vars(import_module("mlnb." + re.sub(r"^\d+[a-z]*_", "", page))), "show_doc": show_doc}
            shown = eval(compile(call, page, "eval"), names)
        except Exception as error:
            raise RuntimeError(f"{page}: {ast.unparse(call)}: {type(error).__name__}: {error}") from error
        cell["outputs"] = [
            {"output_type": "display_data", "metadata": {}, "data": {"text/markdown": shown.splitlines(True)}}
        ]
