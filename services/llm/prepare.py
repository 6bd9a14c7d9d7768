"""Resolve the model of the current settings and bring it to this machine; returns at once when it is there."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from services.llm.references import Model, ModelNotFoundError, resolve
from services.llm.settings import LlmSection, Settings


def say(line: str) -> None:
    print(line, flush=True)


def prepare(settings: LlmSection) -> Model:
    """The model, checked, and its LoRA adapters, checked too. Raises ModelNotFoundError."""
    for name, folder in settings.lora.items():
        if not (folder / "adapter_config.json").is_file():
            raise ModelNotFoundError(f"lora {name!r}: {folder.absolute()} has no adapter_config.json")
    return resolve(settings.model, download=_download, say=say)


def _download(repository: str, revision: str | None, say: Callable[[str], None]) -> Path:
    from services.llm.hub import download  # noqa: PLC0415 - half a second to import, for one kind of reference

    return download(repository, revision, say)


def main() -> None:
    argparse.ArgumentParser(prog="python -m services.llm.prepare", description=__doc__).parse_args()
    try:
        model = prepare(Settings().llm)
    except (ValidationError, ModelNotFoundError) as error:
        sys.exit(f"error: {error}")
    say(f"ready: {model.location}")


if __name__ == "__main__":
    main()
