"""The README's table of settings is what the code says."""

from collections.abc import Iterator
from pathlib import Path

from services.common.settings import Section
from services.recommendation.settings import RecommendationSection

README = Path(__file__).parents[2] / "services" / "recommendation" / "README.md"


def rows(section: type[Section], prefix: str) -> Iterator[str]:
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from rows(field.annotation, f"{prefix}{name.upper()}__")
        else:
            default = "unset" if field.default is None else f"`{field.default}`"
            yield f"| `{prefix}{name.upper()}` | {default} | {' '.join((field.description or '').split())} |"


def test_the_table_of_settings_is_complete() -> None:
    missing = [row for row in rows(RecommendationSection, "") if row not in README.read_text(encoding="utf-8")]
    assert not missing, "put these rows into the README:\n" + "\n".join(missing)
