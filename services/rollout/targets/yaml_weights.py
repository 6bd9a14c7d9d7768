"""Puts weights into a registry's text and leaves every other character of it as it is."""

from typing import Any

import yaml

from services.rollout.errors import TargetError

Edit = tuple[int, int, str]
"""From and to which character, and what comes there."""


def with_weights(text: str, model: str, weights: dict[str, int]) -> str:
    """Raises TargetError where the text can't be changed in place: an alias, a merge key, no such version."""
    wanted = _wanted(_parsed(text), model, weights)
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    edits = [_edit(root, model, label, weight) for label, weight in weights.items()]
    for begin, end, new in sorted(edits, reverse=True):
        text = text[:begin] + new + text[end:]
    if _parsed(text) != wanted:
        raise TargetError(
            f"the weights of {model!r} can't be changed without changing something else: give each of its versions a "
            "`weight` of its own, without anchors (&), aliases (*) and merge keys (<<)"
        )
    return text


def _wanted(registry: Any, model: str, weights: dict[str, int]) -> Any:
    """A copy on the way to the weights: what an alias shares is one object."""
    entry = registry["models"][model]
    changed = {label: {**entry["versions"][label], "weight": weight} for label, weight in weights.items()}
    entry = {**entry, "versions": {**entry["versions"], **changed}}
    return {**registry, "models": {**registry["models"], model: entry}}


def _parsed(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise TargetError(f"the registry is not YAML: {error}") from None


def _edit(root: Any, model: str, label: str, weight: int) -> Edit:
    version = root
    for key in ("models", model, "versions", label):
        version = _value(version, key)
    if not isinstance(version, yaml.MappingNode):
        raise TargetError(f"the registry has no version {label!r} of {model!r} that is a mapping of its own")
    old = _value(version, "weight")
    if old is not None:
        return old.start_mark.index, old.end_mark.index, str(weight)
    return _insertion(version, weight)


def _insertion(version: yaml.MappingNode, weight: int) -> Edit:
    """A weight where there was none: as the first of the version's fields."""
    if version.flow_style:
        at = version.start_mark.index + 1
        return at, at, f"weight: {weight}{', ' if version.value else ''}"
    first = version.start_mark
    return first.index, first.index, f"weight: {weight}\n{' ' * first.column}"


def _value(node: object, key: str) -> Any:
    """What stands under a key; of two, the last, which is the one that counts. None where there is none."""
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in reversed(node.value) if name.value == key), None)
