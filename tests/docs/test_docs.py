"""What the documents say is what the code does: tables, variables, paths, links, and the same in both languages."""

import re
from pathlib import Path

import pytest
import yaml
from starlette.applications import Starlette
from starlette.routing import Route

from services.gateway.__main__ import build
from services.gateway.policy.keyfile import KeyFile
from services.gateway.policy.keysource import KeySource
from services.gateway.settings import GatewaySection
from tests.docs.tables import GENERATED, PIECES, REFERENCE, ROOT, regenerated, variables

DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "services/*/README.md", "loadtests/*.md", "charts/*/README.md")
    for path in ROOT.glob(pattern)
)
OUTSIDE_SETTINGS = {"NARU_CACHE", "NARU_COMPILED"}  # read before there are settings
_FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", read(path)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_what_is_generated_is_what_the_code_says() -> None:
    texts = [read(path) for path in GENERATED]
    assert all(any(f"<!-- generated: {piece} -->" in text for text in texts) for piece in PIECES)
    assert texts == [regenerated(text) for text in texts], "run python -m tests.docs.regenerate"


def test_every_route_is_in_the_reference(tmp_path: Path) -> None:
    registry = tmp_path / "registry.yaml"
    example = re.search(r"```yaml\n(models:.*?)```", read(REFERENCE), re.DOTALL)
    assert example is not None
    registry.write_text(example[1], encoding="utf-8")  # the reference's own example, so it is known to load
    app = build(GatewaySection(registry=registry), KeySource(None)).clients.config.app
    assert isinstance(app, Starlette)
    for route in app.routes:
        assert isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}:
            assert f"`{method} {route.path_format}`" in read(REFERENCE)


def test_the_example_of_a_key_file_loads() -> None:
    example = re.search(r"```yaml\n(keys:.*?)```", read(REFERENCE), re.DOTALL)
    assert example is not None
    text = example[1].replace("<64 hex digits>", "0" * 64).replace("<other 64 hex digits>", "1" * 64)
    KeyFile.model_validate(yaml.safe_load(text))


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


def test_every_folder_of_tests_is_named_in_the_readmes() -> None:
    folders = {f"tests/{path.parent.name}" for path in ROOT.glob("tests/*/test_*.py")}
    for readme in (ROOT / "README.md", ROOT / "README.ko.md"):
        assert set(re.findall(r"^\| `(tests/\w+)`", read(readme), re.MULTILINE)) == folders


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
