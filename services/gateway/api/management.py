"""`/admin/keys` and `/admin/usage` on the admin port, for who holds the admin key."""

import csv
import hmac
import io
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, FastAPI, Query
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount

from services.common.errors import InternalError, InvalidField, NaruError, NotFound, Unauthenticated, Unavailable
from services.gateway.api.errors import error_response
from services.gateway.api.heading import read_heading
from services.gateway.policy.keyfile import (
    Key,
    KeyFileError,
    KeyTakenError,
    Name,
    Quota,
    add_key,
    digest,
    new_secret,
    remove_key,
)
from services.gateway.policy.keysource import KeySource
from services.gateway.policy.usage.ledger import Ledger, UsageError
from services.gateway.policy.usage.row import Row
from services.gateway.registry import Priority

SHOWN = 8
"""Digits of a key's hash that are shown: enough to tell two apart."""


class NewKey(Quota):
    """A key to be made."""

    name: Name
    tenant: Name
    models: frozenset[str] | None = None
    priority: Priority | None = None


class Management:
    """What the routes do. `settle` enters what waits to be written down."""

    def __init__(self, secret: str, keys: KeySource, ledger: Ledger, settle: Callable[[], None]) -> None:
        self._secret, self._keys, self._ledger, self._settle = secret.encode(), keys, ledger, settle

    def check(self, request: Request) -> None:
        """Raises Unauthenticated."""
        given = read_heading(request.scope["headers"]).key or ""
        if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._secret):
            raise Unauthenticated("send the admin key as 'Authorization: Bearer <key>'")

    def list_keys(self) -> list[dict[str, Any]]:
        return [described(key) for key in self._keys.authenticator.keyring.keys]

    async def create_key(self, new: NewKey) -> dict[str, Any]:
        """The key as it will be listed, and this once the key itself. Raises InvalidField, InternalError."""
        secret = new_secret()
        key = Key(sha256=digest(secret), **dict(new))
        try:
            add_key(self._keys.writable, key)
            await self._keys.reread()
        except KeyTakenError as error:
            raise InvalidField(str(error), param="name") from None
        except KeyFileError as error:
            raise InternalError(str(error)) from None
        return {**described(key), "key": secret}

    async def revoke_key(self, name: str) -> None:
        """Raises NotFound, InternalError."""
        try:
            found = remove_key(self._keys.writable, name)
            await self._keys.reread()
        except KeyFileError as error:
            raise InternalError(str(error)) from None
        if not found:
            raise NotFound("there is no such key in the key file; GET /admin/keys lists the keys")

    async def usage(self, first: date, last: date, tenant: str | None, model: str | None) -> list[Row]:
        """Raises InvalidField, Unavailable."""
        if first > last:
            raise InvalidField("from: it is after to", param="from")
        self._settle()
        try:
            rows = await self._ledger.read(first, last)
        except UsageError as error:
            raise Unavailable(str(error), retry_after=1) from None
        wanted = (row for row in rows if tenant in (None, row.tenant) and model in (None, row.model))
        return sorted(wanted, key=lambda row: row.of)


def described(key: Key) -> dict[str, Any]:
    """A key without what could be used."""
    return {**key.model_dump(mode="json", exclude_defaults=True), "sha256": f"{key.sha256[:SHOWN]}…"}


def management_routes(management: Management) -> list[BaseRoute]:
    """For the admin port; `/admin` and below."""
    app = FastAPI(
        docs_url=None, redoc_url=None, openapi_url=None, dependencies=[Depends(management.check)],
        exception_handlers={NaruError: on_naru_error, RequestValidationError: on_invalid},
    )  # fmt: skip
    app.include_router(_router(management))
    return [Mount("/admin", app)]


def _router(management: Management) -> APIRouter:
    router = APIRouter()

    @router.get("/keys")
    async def list_keys() -> dict[str, Any]:
        return {"data": management.list_keys()}

    @router.post("/keys")
    async def create_key(new: NewKey) -> Response:
        return JSONResponse(await management.create_key(new), 201)

    @router.delete("/keys/{name}")
    async def revoke_key(name: str) -> Response:
        await management.revoke_key(name)
        return Response(status_code=204)

    _add_usage(router, management)
    return router


def _add_usage(router: APIRouter, management: Management) -> None:
    @router.get("/usage")
    async def usage(  # noqa: PLR0913, PLR0917 - one for each parameter of the query
        request: Request,
        first: Annotated[date | None, Query(alias="from")] = None,
        last: Annotated[date | None, Query(alias="to")] = None,
        tenant: str | None = None,
        model: str | None = None,
        format_: Annotated[Literal["json", "csv"] | None, Query(alias="format")] = None,
    ) -> Response:
        """Of today where no day is given."""
        last = last or max(first or date.min, datetime.now(UTC).date())
        rows = await management.usage(first or last, last, tenant, model)
        if format_ == "csv" or (format_ is None and "text/csv" in request.headers.get("accept", "")):
            return PlainTextResponse(as_csv(rows), media_type="text/csv")
        return Response(msgspec.json.encode({"data": rows}), media_type="application/json")


def as_csv(rows: Sequence[Row]) -> str:
    """With a line that names the columns."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(Row.__struct_fields__)
    writer.writerows(msgspec.structs.astuple(row) for row in rows)
    return out.getvalue()


async def on_naru_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, NaruError)
    return error_response(error, request.url.path)


async def on_invalid(request: Request, error: Exception) -> Response:
    """A field or a parameter is wrong; its value is not repeated."""
    assert isinstance(error, RequestValidationError | ValidationError)
    fault = error.errors()[0]
    name = ".".join(map(str, fault["loc"][1:])) or "the body"
    return error_response(InvalidField(f"{name}: {fault['msg']}", param=name), request.url.path)
