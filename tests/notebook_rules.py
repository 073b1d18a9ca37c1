"""The rules for library notebooks, as functions from a notebook to its violations.

A violation is one line that names the notebook and, where there is one, the cell (its position and first line).
"""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

MAX_LINES, MAX_CELL_LINES, MAX_CELLS, MAX_FUNCTIONS = 250, 45, 60, 5
GROUPS = {
    "00": {"core", "datasets", "churn"},
    "01": {"framing"},
    "02": {"data"},
    "03": {"experiments"},
    "04": {"evaluation"},
    "05": {"deployment"},
    "06": {"llm"},
    "07": {"monitoring"},
    "08": {"mlops"},
    "09": {"responsible"},
    "10": {"cost"},
    "11": {"rubric"},
    "12": {"reports", "app", "cli"},
}
DEVELOPMENT_TOOLS = {"nbdev", "fastcore", "execnb", "ghapi", "fastgit"}
MACHINE_PATH = re.compile(r"/(?:work|root|tmp|home|Users)/|[A-Z]:\\\\?Users\\")
ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{4,}")
DATA_URI = re.compile(r"data:[\w/+.-]+;base64,[A-Za-z0-9+/=\s]+")
DIRECTIVE = re.compile(r"^\s*#\s*\|\s*(\w+):?\s*(.*?)\s*$")
NAME = re.compile(r"(?P<phase>\d\d)(?P<letter>[a-z]+)_(?P<module>[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)?)")
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Cell:
    number: int
    raw: dict

    @cached_property
    def source(self) -> str:
        return text(self.raw["source"])

    @property
    def is_code(self) -> bool:
        return self.raw["cell_type"] == "code"

    @cached_property
    def directives(self) -> dict[str, str]:
        """The `#| name value` lines at the top of the cell."""
        found = {}
        for line in self.source.splitlines() if self.is_code else ():
            if match := DIRECTIVE.match(line):
                found[match[1]] = match[2]
            elif line.strip():
                break
        return found

    @property
    def exported(self) -> bool:
        return not self.directives.keys().isdisjoint({"export", "exports", "exporti"})

    @property
    def code_lines(self) -> int:
        """Lines that are neither blank nor a comment."""
        return sum(1 for line in self.source.splitlines() if line.strip() and not line.lstrip().startswith("#"))

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree; empty when the cell is no plain Python (magics)."""
        try:
            return ast.parse(self.source)
        except SyntaxError:
            return ast.Module(body=[], type_ignores=[])

    @property
    def outputs(self) -> list[dict]:
        return self.raw.get("outputs", [])

    @property
    def public(self) -> list[ast.stmt]:
        """The functions and classes that this cell adds to the library for its users."""
        if not self.exported or "exporti" in self.directives:
            return []
        return [node for node in self.tree.body if isinstance(node, DEFINITIONS) and not node.name.startswith("_")]

    def __str__(self) -> str:
        lines = [line for line in self.source.splitlines() if line.strip() and not DIRECTIVE.match(line)]
        return f"cell {self.number} ({lines[0].strip()[:60] if lines else 'empty'})"


@dataclass(frozen=True)
class Notebook:
    path: Path
    raw: dict

    @classmethod
    def read(cls, path: Path) -> Notebook:
        return cls(path, json.loads(path.read_text(encoding="utf-8")))

    @cached_property
    def cells(self) -> list[Cell]:
        return [Cell(number, cell) for number, cell in enumerate(self.raw["cells"], start=1)]

    @property
    def exported(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.exported]

    @property
    def public(self) -> list[tuple[Cell, ast.stmt]]:
        return [(cell, node) for cell in self.exported for node in cell.public]

    @property
    def is_page(self) -> bool:
        """Front page and tutorials export nothing."""
        return self.path.stem == "index" or self.path.stem[2:].startswith("_tutorial_")


def text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "".join(value)


RULES: list[Callable[[Notebook], Iterator[str]]] = []


def rule(check: Callable[[Notebook], Iterator[str]]) -> Callable[[Notebook], Iterator[str]]:
    RULES.append(check)
    return check


def violations(path: Path) -> list[str]:
    """Everything a notebook breaks, one line each."""
    notebook = Notebook.read(path)
    return [f"{path.name}: {message}" for check in RULES for message in check(notebook)]


@rule
def name_and_module(notebook: Notebook) -> Iterator[str]:
    exports = [cell.directives["default_exp"] for cell in notebook.cells if "default_exp" in cell.directives]
    if notebook.is_page:
        if exports or notebook.exported:
            yield "a front page or tutorial exports nothing"
        return
    match = NAME.fullmatch(notebook.path.stem)
    if not match:
        yield "the name is not PPx_group.module.ipynb (two digits, letters, lower case)"
        return
    group = match["module"].split(".")[0]
    if not {group, group.split("_")[0]} & GROUPS.get(match["phase"], set()):
        yield f"{group} does not belong to phase {match['phase']} ({', '.join(sorted(GROUPS.get(match['phase'], set())))})"
    if match["module"].endswith(".panel") != (match["letter"] == "z" and "." in match["module"] and group != "core"):
        yield "the panel of a phase, and only that, has the letter z"
    if exports != [match["module"]]:
        yield f"needs exactly one `#| default_exp {match['module']}`, found {exports or 'none'}"


@rule
def title(notebook: Notebook) -> Iterator[str]:
    first = notebook.cells[0] if notebook.cells else None
    if first is None or first.raw["cell_type"] != "markdown" or not re.match(r"# \S", first.source):
        yield "the first cell is markdown and starts with `# Title`"
    elif not re.search(r"^> \S", first.source, re.MULTILINE):
        yield "the first cell has a subtitle: `> one line`"
    elif re.search(r"^- .*:", first.source, re.MULTILINE):
        yield "no `- key: value` list in the first cell: the site's builder takes it for settings of the page"


@rule
def size(notebook: Notebook) -> Iterator[str]:
    total = sum(cell.code_lines for cell in notebook.exported)
    if total > MAX_LINES:
        yield f"{total} exported lines; at most {MAX_LINES}: split it into another notebook"
    if len(notebook.cells) > MAX_CELLS:
        yield f"{len(notebook.cells)} cells; at most {MAX_CELLS}"
    for cell in notebook.exported:
        if cell.code_lines > MAX_CELL_LINES:
            yield f"{cell}: {cell.code_lines} lines; an exported cell has at most {MAX_CELL_LINES}"


@rule
def one_concept(notebook: Notebook) -> Iterator[str]:
    names = [node.name for _, node in notebook.public if isinstance(node, FUNCTIONS) and not is_command(node)]
    if len(names) > MAX_FUNCTIONS:
        yield f"{len(names)} public functions ({', '.join(names)}); at most {MAX_FUNCTIONS}"


@rule
def exported_imports(notebook: Notebook) -> Iterator[str]:
    for cell in notebook.exported:
        for node in ast.walk(cell.tree):
            if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
                yield f"{cell}: star import from {node.module}"
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = (
                    [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
                )
                for name in names:
                    if name.split(".")[0] in DEVELOPMENT_TOOLS:
                        yield f"{cell}: imports {name}, a development tool that users do not have"


@rule
def no_patch(notebook: Notebook) -> Iterator[str]:
    for cell in notebook.exported:
        for node in ast.walk(cell.tree):
            for decorator in getattr(node, "decorator_list", ()):
                if decorator_name(decorator).startswith("patch"):
                    yield f"{cell}: @{decorator_name(decorator)} in exported code; write the method into its class"


@rule
def documented(notebook: Notebook) -> Iterator[str]:
    for cell, node in notebook.public:
        if not ast.get_docstring(node):
            yield f"{cell}: {node.name} has no docstring"
        if isinstance(node, FUNCTIONS) and not is_command(node):
            for problem in undocumented(cell, node):
                yield f"{cell}: {node.name}: {problem}"


def undocumented(cell: Cell, function: ast.FunctionDef) -> Iterator[str]:
    """Parameters and return without annotation or without their comment."""
    comments = {token.start[0] for token in tokens(cell.source) if token.type == tokenize.COMMENT}
    arguments = function.args
    parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    ends = {default.lineno: default.end_lineno for default in [*arguments.defaults, *arguments.kw_defaults] if default}
    seen: set[int] = set()
    for parameter in filter(None, parameters):
        if parameter.annotation is None:
            yield f"parameter {parameter.arg} has no type"
        last = ends.get(parameter.end_lineno, parameter.end_lineno)
        if last not in comments:
            yield f"parameter {parameter.arg} has no comment behind it that says what it is"
        elif last in seen:
            yield f"parameter {parameter.arg} shares its line with another; one line and one comment each"
        seen.add(last)
    if function.returns is None:
        yield "the return value has no type"
    elif not is_none(function.returns) and not {function.returns.end_lineno, function.body[0].lineno - 1} & comments:
        yield "the return value has no comment behind it that says what it is"


@rule
def rhythm(notebook: Notebook) -> Iterator[str]:
    explained = False
    for cell in notebook.cells:
        if cell.raw["cell_type"] == "markdown" and cell.source.strip():
            explained = True
        elif cell.public:
            if not explained:
                yield f"{cell}: no markdown above says why this is there"
            explained = False


@rule
def shown_and_tested(notebook: Notebook) -> Iterator[str]:
    if not notebook.public:  # data alone, or a page
        return
    tests = [cell for cell in notebook.cells if cell.is_code and not cell.exported]
    if not any(isinstance(node, ast.Assert) for cell in tests for node in ast.walk(cell.tree)):
        yield "no cell asserts anything"
    if not any(output["output_type"] != "error" for cell in tests for output in cell.outputs):
        yield "no cell has an output to look at (run the notebook before committing it)"


@rule
def outputs_are_fit_to_print(notebook: Notebook) -> Iterator[str]:
    for cell in notebook.cells:
        for output in cell.outputs:
            if output["output_type"] == "error":
                yield f"{cell}: its output is an error ({output.get('ename')}); catch it and print it"
        for where, content in [("source", cell.source), *(("output", shown) for shown in shown_text(cell))]:
            plain = DATA_URI.sub("", content)
            if match := MACHINE_PATH.search(plain):
                yield f"{cell}: its {where} holds the path of one machine: …{plain[max(0, match.start() - 20) : match.end() + 20]!r}"
            if match := ADDRESS.search(plain):
                yield f"{cell}: its {where} holds a memory address: {match[0]}"


@rule
def metadata(notebook: Notebook) -> Iterator[str]:
    for key in notebook.raw["metadata"].keys() - {"kernelspec"}:
        yield f"notebook metadata holds {key!r}; only kernelspec stays"
    for cell in notebook.cells:
        for key in cell.raw["metadata"].keys() - {"tags"}:
            yield f"{cell}: cell metadata holds {key!r}; only tags stay"
    ids = [cell.raw.get("id") for cell in notebook.cells]
    for cell in notebook.cells:
        if not cell.raw.get("id") or ids.count(cell.raw["id"]) > 1:
            yield f"{cell}: needs an id of its own"


def shown_text(cell: Cell) -> Iterator[str]:
    """Every text that the outputs of a cell show; pictures are left out."""
    for output in cell.outputs:
        yield text(output.get("text", ""))
        for kind, content in output.get("data", {}).items():
            if not kind.startswith("image/") or kind == "image/svg+xml":
                yield text(content) if isinstance(content, (str, list)) else json.dumps(content)


def tokens(source: str) -> list[tokenize.TokenInfo]:
    return list(tokenize.generate_tokens(io.StringIO(source).readline))


def decorator_name(node: ast.expr) -> str:
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def is_command(node: ast.stmt) -> bool:
    """A command of the command line: its parameters carry their help in the annotation."""
    return any(
        decorator_name(decorator) in {"command", "callback"} for decorator in getattr(node, "decorator_list", ())
    )


def is_none(node: ast.expr) -> bool:
    """Nothing comes back, so there is nothing to say about it."""
    return ast.unparse(node) in ("None", "NoReturn", "Never")
