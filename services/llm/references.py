"""From a model reference to what vLLM can load. A wrong one fails here, before vLLM starts, saying what was tried."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from services.common.packages import PackageUnavailableError
from services.llm.packaged import MODELS, CorruptModelError, Say, prepare

FORMS = "packaged:<name>, hf:<organisation>/<name>[@<revision>], s3://<bucket>/<prefix> or a folder's path"

_CONFIGS = ("config.json", "params.json")
_WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.gguf")
_STREAMED_WEIGHTS = "runai_model_streamer"


class ModelNotFoundError(ValueError):
    """A model reference that cannot be resolved; the message says what was tried and what would do."""


@dataclass(frozen=True)
class Model:
    """What vLLM's `--model` gets."""

    location: str
    """A folder, or an object store's address."""
    local: bool
    """Whether everything is in the folder, so that vLLM has nothing to ask a hub for."""


class Download(Protocol):
    """Brings a hub's repository to this machine and returns its folder; see `services.llm.hub`."""

    def __call__(self, repository: str, revision: str | None, say: Say) -> Path: ...


def resolve(reference: str, *, download: Download, say: Say) -> Model:
    """Bring the model to this machine, if need be, and check that it looks like one.

    Raises ModelNotFoundError.
    """
    if not reference:
        raise ModelNotFoundError(f"the reference is empty; a reference is {FORMS}")
    scheme, separator, rest = reference.partition(":")
    if separator and scheme == "packaged":
        return Model(str(_packaged(rest, say)), local=True)
    if separator and scheme == "hf":
        return Model(str(_from_hub(rest, download, say)), local=True)
    if reference.startswith("s3://"):
        return Model(_object_store(reference), local=False)
    return Model(str(_folder(reference)), local=True)


def _packaged(name: str, say: Say) -> Path:
    if name not in MODELS:
        raise ModelNotFoundError(f"there is no packaged model {name!r}; there are: {', '.join(MODELS)}")
    try:
        return prepare(MODELS[name], say)
    except (PackageUnavailableError, CorruptModelError) as error:
        raise ModelNotFoundError(str(error)) from error


def _from_hub(rest: str, download: Download, say: Say) -> Path:
    repository, at, revision = rest.partition("@")
    owner, slash, name = repository.partition("/")
    if not (owner and slash and name) or "/" in name or (at and not revision):
        raise ModelNotFoundError(f"'hf:{rest}' is not hf:<organisation>/<name>[@<revision>]")
    return _checked(download(repository, revision or None, say), f"hf:{rest}")


def _object_store(reference: str) -> str:
    bucket, _, prefix = reference.removeprefix("s3://").partition("/")
    if not bucket or not prefix.strip("/"):
        raise ModelNotFoundError(f"{reference!r} is not s3://<bucket>/<prefix>")
    if find_spec(_STREAMED_WEIGHTS) is None:
        raise ModelNotFoundError(
            f"{reference}: vLLM streams from S3 with the package runai-model-streamer[s3], which is not installed"
        )
    return reference


def _folder(reference: str) -> Path:
    path = Path(reference).expanduser().absolute()
    if path.is_dir():
        return _checked(path, reference)
    if path.exists():
        raise ModelNotFoundError(
            f"{reference!r}: {path} is a file; give the folder that holds config.json and the weights"
        )
    raise ModelNotFoundError(f"{reference!r}: tried the folder {path}, which does not exist; a reference is {FORMS}")


def _checked(folder: Path, reference: str) -> Path:
    if not any((folder / name).is_file() for name in _CONFIGS):
        raise ModelNotFoundError(f"{reference}: {folder} has no {' or '.join(_CONFIGS)}")
    if not any(next(folder.glob(pattern), None) for pattern in _WEIGHTS):
        raise ModelNotFoundError(f"{reference}: {folder} has no weights ({', '.join(_WEIGHTS)})")
    return folder
