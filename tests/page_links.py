"""Links and anchors of processed pages, checked without rendering them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

FENCE = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)
INLINE_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
MARKDOWN_LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
HTML_LINK = re.compile(r"""\b(?:href|src)\s*=\s*["']([^"']+)["']""")
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*\s*$", re.MULTILINE)
HTML_ID = re.compile(r"""\bid\s*=\s*["']([^"']+)["']""")
SPAN_ID = re.compile(r"\]\{#([\w.-]+)")
OUTPUT_FILE = re.compile(r"^output-file:\s*(\S+)", re.MULTILINE)


def texts(page: Path) -> Iterator[str]:
    """Markdown and HTML of a page: its markdown cells and what its code cells show."""
    for cell in json.loads(page.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            yield "".join(cell["source"])
        for output in cell.get("outputs", []):
            for kind in ("text/markdown", "text/html"):
                yield "".join(output.get("data", {}).get(kind, ""))


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return FENCE.sub("", "\n\n".join(texts(page)))


def links(page: Path) -> list[str]:
    text = prose(page)
    return MARKDOWN_LINK.findall(INLINE_CODE.sub(lambda code: "`" * len(code[0]), text)) + HTML_LINK.findall(text)


def anchors(page: Path) -> set[str]:
    """Identifiers on a page, made from headings as Pandoc makes them, repeated headings numbered."""
    text, found = prose(page), set()
    for heading in HEADING.findall(text):
        explicit = re.search(r"\{[^}]*#([\w.-]+)[^}]*\}\s*$", heading)
        name = explicit[1] if explicit else identifier(heading)
        unique, number = name, 0
        while unique in found:
            number += 1
            unique = f"{name}-{number}"
        found.add(unique)
    return found | set(HTML_ID.findall(text)) | set(SPAN_ID.findall(text))


def identifier(heading: str) -> str:
    """Pandoc's rule: formatting and punctuation go, blanks become hyphens, lower case, nothing before the first letter."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r"\s*\{[^}]*\}\s*$", "", heading))
    plain = re.sub(r"[^\w\s.-]", "", plain.replace("`", "").replace("*", ""))
    return re.sub(r"^[^a-z]+", "", re.sub(r"\s+", "-", plain.strip()).lower(), flags=re.IGNORECASE) or "section"


def output_file(page: Path) -> str:
    """The name that the page has on the site."""
    match = OUTPUT_FILE.search(next(texts(page), ""))
    return match[1] if match else page.with_suffix(".html").name


def broken(pages: Path, site: str) -> list[str]:
    """Links between the pages of a folder that lead nowhere; addresses outside `site` are not followed."""
    files = {page.name: page for page in sorted(pages.glob("*.ipynb"))}
    by_name = files | {output_file(page): page for page in files.values()}
    known = {page: anchors(page) for page in files.values()}
    found = []
    for page in files.values():
        for link in dict.fromkeys(links(page)):
            if link.startswith(site):
                link = link.removeprefix(site).lstrip("/") or "index.html"
            elif re.match(r"[a-z][a-z0-9+.-]*:|//", link, re.IGNORECASE):
                continue
            name, _, anchor = link.partition("#")
            target = by_name.get(name.removeprefix("./")) if name else page
            if target is None:
                if not (name and (pages / name).is_file()):
                    found.append(f"{page.name}: {link}: no such page")
            elif anchor and anchor not in known[target]:
                found.append(f"{page.name}: {link}: no such place on {target.name}")
    return found
