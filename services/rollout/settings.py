"""What a rollout finds in the environment; all else stands on its command line: `NARU_ROLLOUT__<FIELD>`."""

from pydantic import Field, SecretStr

from services.common.settings import Section, ServiceSettings


class RolloutSection(Section):
    prometheus: str = Field(default="http://127.0.0.1:9090", pattern=r"^https?://")
    """Address of Prometheus, or of anything that answers its HTTP API; `naru rollout --prometheus` overrides it."""
    prometheus_token: SecretStr | None = None
    """Bearer token sent to it."""


class Settings(ServiceSettings):
    rollout: RolloutSection = RolloutSection()
