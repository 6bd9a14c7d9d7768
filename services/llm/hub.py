"""Download a model from the Hugging Face hub.

`huggingface_hub` reads HF_TOKEN, HF_HUB_OFFLINE, HF_ENDPOINT and HF_HOME itself, when it is imported.
"""

from pathlib import Path

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import HFValidationError, RevisionResolutionError

from services.llm.packaged import Say
from services.llm.references import ModelNotFoundError

_SMALL_FILES = ("*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken")
_MAX_REASON = 300
"""Characters of the hub's own message that are shown; the rest repeats it."""


def download(repository: str, revision: str | None, say: Say) -> Path:
    """The repository's folder in the hub's own cache. Pickled weights are fetched only where no safetensors exist.

    Raises ModelNotFoundError.
    """
    named = f"hf:{repository}" + (f"@{revision}" if revision else "")
    say(f"{named}: {'looking in the local cache' if constants.HF_HUB_OFFLINE else 'downloading what is missing'}")
    try:
        for weights in ("*.safetensors", "*.bin"):
            folder = Path(snapshot_download(repository, revision=revision, allow_patterns=[*_SMALL_FILES, weights]))
            if next(folder.glob(weights), None):
                break
    except (OSError, HFValidationError, RevisionResolutionError) as error:
        raise ModelNotFoundError(f"{named}: {_reason(error)}") from error
    return folder


def _reason(error: Exception) -> str:
    said = " ".join(str(error).split())[:_MAX_REASON] or type(error).__name__
    tried = "its local cache only, because HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else constants.ENDPOINT
    return f"tried {tried}: {said}"
