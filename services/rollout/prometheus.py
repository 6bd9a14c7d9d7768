"""Prometheus' HTTP API, as far as a rollout asks it (https://prometheus.io/docs/prometheus/latest/querying/api/)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import SecretStr

from services.rollout.errors import PrometheusError


@dataclass(frozen=True, slots=True)
class Sample:
    labels: dict[str, str]
    value: float


class Prometheus:
    def __init__(
        self, url: str, token: SecretStr | None = None, matching: Mapping[str, str] | None = None, timeout: float = 5.0
    ) -> None:
        """`matching`: labels that tell the gateways meant from others that this Prometheus knows."""
        self.url, self._matching = url.rstrip("/"), dict(matching or {})
        headers = {"authorization": f"Bearer {token.get_secret_value()}"} if token else {}
        self._client = httpx.Client(headers=headers, timeout=timeout)

    def close(self) -> None:
        self._client.close()

    def selector(self, *names: str, **labels: str) -> str:
        """PromQL for the series of these names and labels."""
        given = [f"{name}={_quoted(value)}" for name, value in {**self._matching, **labels}.items()]
        return "{" + ",".join([f"__name__=~{_quoted('|'.join(names))}", *given]) + "}"

    def query(self, promql: str) -> list[Sample]:
        """An instant vector. Raises PrometheusError."""
        try:
            answer = self._client.post(f"{self.url}/api/v1/query", data={"query": promql})
            found = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise PrometheusError(
                f"Prometheus at {self.url} does not answer: {error or type(error).__name__}"
            ) from None
        except ValueError:
            raise PrometheusError(f"{self.url} answers with status {answer.status_code}, not as Prometheus") from None
        return _samples(found, self.url)


def _samples(found: Any, url: str) -> list[Sample]:
    if not isinstance(found, dict) or found.get("status") != "success":
        said = found.get("error") if isinstance(found, dict) else found
        raise PrometheusError(f"Prometheus at {url} refuses: {said}")
    if found.get("warnings"):
        raise PrometheusError(f"Prometheus at {url} answers in part: {'; '.join(found['warnings'])}")
    return [Sample(each["metric"], float(each["value"][1])) for each in found["data"]["result"]]


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
