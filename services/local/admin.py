"""A gateway's admin API, as the commands use it."""

from typing import Any
from urllib.parse import quote

import httpx


class AdminError(RuntimeError):
    """It could not be done; the message says why."""


class Admin:
    def __init__(self, url: str, key: str) -> None:
        """`url`: of the admin port, `http://host:8082`."""
        self._url, self._key = url.rstrip("/"), key

    def ask(
        self, method: str, path: str, *, body: Any = None, params: dict[str, str] | None = None, missing: bool = False
    ) -> httpx.Response:
        """With `missing`, a 404 is an answer. Raises AdminError."""
        headers = {"authorization": f"Bearer {self._key}"}
        try:
            answer = httpx.request(
                method, self._url + quote(path), headers=headers, json=body, params=params, trust_env=False, timeout=10
            )
        except (httpx.HTTPError, httpx.InvalidURL):
            raise AdminError(f"nothing answers at {self._url}: start the stack with 'naru up', or see --url") from None
        if answer.status_code == 404 and not _error(answer):
            raise AdminError(f"{self._url} has no admin API: start the gateway with NARU_GATEWAY__ADMIN__API_KEY")
        if answer.is_success or (missing and answer.status_code == 404):
            return answer
        raise AdminError(_reason(answer))


def _reason(answer: httpx.Response) -> str:
    return str(_error(answer).get("message") or f"the gateway answered with status {answer.status_code}")


def _error(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()["error"]
    except (ValueError, LookupError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}
