"""Start vLLM for the settings of this environment. The process becomes vLLM, so signals reach it directly."""

import argparse
import os
import sys
from pathlib import Path
from typing import NoReturn

from pydantic import ValidationError

from services.common.paths import cache_dir
from services.llm import dtype, weights
from services.llm.arguments import command
from services.llm.device import DeviceError, choose, has_gpu, installed_builds, machine
from services.llm.prepare import prepare, say
from services.llm.references import ModelNotFoundError
from services.llm.settings import Settings


def main() -> NoReturn:
    argparse.ArgumentParser(prog="python -m services.llm", description=__doc__).parse_args()
    try:
        settings = Settings().llm
        device = choose(settings.device, gpu=has_gpu(), distributions=installed_builds())
        model = prepare(settings)
    except (ValidationError, DeviceError, ModelNotFoundError) as error:
        sys.exit(f"error: {error}")
    saved = weights.read(Path(model.location)) if model.local else None
    choice = dtype.choose(settings.dtype, device, machine(), saved)
    if choice.why:
        say(choice.why)
    started = command(settings, model, device, choice.dtype, cache_dir())
    say(f"starting vLLM on {device} with {model.location}")
    server = (sys.executable, "-m", "vllm.entrypoints.openai.api_server", *started.arguments)
    os.execve(server[0], server, os.environ | started.environment)  # noqa: S606 - no shell, fixed program


if __name__ == "__main__":
    main()
