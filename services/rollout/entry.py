"""A model's entry in the registry, as far as a rollout reads it."""

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.common.durations import Duration
from services.rollout.errors import TargetError


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Slo(_Part):
    """What users are promised; None where nothing is."""

    ttft: Duration | None = None
    tpot: Duration | None = None
    percentile: float = 95.0
    """Per cent of the requests that must keep `ttft`, and of those that must keep `tpot`."""
    availability: float | None = None
    """Per cent."""


class Version(_Part):
    weight: int = 100
    mirror: float = 0


class Entry(_Part):
    task: str
    versions: dict[str, Version] = Field(min_length=1)
    slo: Slo = Slo()

    @property
    def weights(self) -> dict[str, int]:
        return {label: version.weight for label, version in self.versions.items()}


def read_entry(models: object, name: str, where: str) -> Entry:
    """Of what stands under `models`. Raises TargetError."""
    if not isinstance(models, dict) or name not in models:
        known = ", ".join(models) if isinstance(models, dict) else "none"
        raise TargetError(f"{where} has no model {name!r}; it has: {known}")
    try:
        return Entry.model_validate(models[name])
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise TargetError(f"{where}: models.{name}: {faults}") from None
