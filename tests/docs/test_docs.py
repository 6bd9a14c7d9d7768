"""What the documents say is what the code does: tables, variables, paths, links, and the same in both languages."""

import re
from pathlib import Path

import pytest

from tests.docs.tables import REFERENCE, ROOT, TABLES, regenerated, variables

DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "services/*/README.md", "loadtests/*.md")
    for path in ROOT.glob(pattern)
)
OUTSIDE_SETTINGS = {"NARU_CACHE"}  # services/common/paths.py reads it before there are settings
_FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", read(path)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_generated_tables_are_the_codes() -> None:
    text = read(REFERENCE)
    assert all(f"<!-- generated: {table} -->" in text for table in TABLES)
    assert text == regenerated(text), "run python -m tests.docs.regenerate"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_variable_exists(document: Path) -> None:
    known = {variable for variable, _ in variables()} | OUTSIDE_SETTINGS
    for mentioned in set(re.findall(r"NARU_[A-Z0-9_]+", read(document))):
        section = mentioned.endswith("_") and any(variable.startswith(mentioned) for variable in known)
        assert section or mentioned in known, f"{mentioned} is read by no service"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_link_resolves(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", _FENCE.sub("", read(document))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (document.parent / path).resolve() if path else document
        assert linked.exists(), f"{target} does not exist"
        assert not anchor or anchor in anchors(linked), f"{target}: there is no such heading"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_file_that_is_named_exists(document: Path) -> None:
    folders = (ROOT, document.parent, ROOT / "services" / "gateway")
    for path in re.findall(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|md|toml|yaml|json))`", _FENCE.sub("", read(document))):
        assert any((folder / path).exists() for folder in folders), f"{path} does not exist"


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([\w-]+):", read(ROOT / "Makefile"), re.MULTILINE))
    named = {target for path in DOCUMENTS for target in re.findall(r"(?:^|`)make ([a-z-]+)", read(path), re.MULTILINE)}
    assert named <= targets


def test_both_readmes_show_the_same_commands_and_figures() -> None:
    english, korean = read(ROOT / "README.md"), read(ROOT / "README.ko.md")
    assert _FENCE.findall(english) == _FENCE.findall(korean)
    assert figures(english) == figures(korean)


def figures(text: str) -> list[list[str]]:
    """The numbers of each table row, in order."""
    return [re.findall(r"\d+(?:[.,]\d+)*", line) for line in _FENCE.sub("", text).splitlines() if line.startswith("|")]
