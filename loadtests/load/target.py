"""What is to be loaded: the models a gateway has, and what is promised of them."""

import argparse
import json
import urllib.error
import urllib.request

from services.gateway.registry import Slo, Task, load


class BenchError(RuntimeError):
    """The test can't begin; the message says what to do."""


def models(host: str | None, key: str) -> dict[Task, str]:
    """The first model of each task. Raises BenchError."""
    asked = urllib.request.Request(f"{host}/v1/models", headers={"authorization": f"Bearer {key}"})
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            listed = json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        with error:
            raise BenchError(f"{host}/v1/models answers {error.code}: give a key that is good, --key") from None
    except (OSError, ValueError, LookupError) as error:
        raise BenchError(f"no gateway answers at {host}: start one ('make up'), or see --host ({error})") from None
    return {Task(model["task"]): model["id"] for model in reversed(listed)}


def slos(options: argparse.Namespace, chat: str | None) -> dict[str, Slo]:
    """The registry's, with `--ttft` and `--tpot` in place of the chat model's own. Raises RegistryError."""
    models = {} if options.registry is None else load(options.registry).models
    found = {name: entry.slo for name, entry in models.items()}
    told = {name: value for name in ("ttft", "tpot") if (value := getattr(options, name)) is not None}
    if told and chat is not None:
        found[chat] = found.get(chat, Slo()).model_copy(update=told)
    return found
