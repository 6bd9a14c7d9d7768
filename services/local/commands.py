"""The commands of whoever gives out keys and looks at what was used: `naru keys`, `naru usage`."""

import csv
import json
import sys
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from services.local import key
from services.local.admin import Admin, AdminError
from services.local.keys import AdminKeys, FileKeys, Keys, default_file
from services.local.plan import addresses
from services.local.usage import COLUMNS, summed

keys_app = typer.Typer(help="API keys: who may call, for which tenant, and how much.", no_args_is_help=True)

Url = Annotated[str | None, typer.Option(help="A gateway's admin port, http://host:8082, instead of the key file.")]
AdminKey = Annotated[
    str | None, typer.Option(envvar="NARU_GATEWAY__ADMIN__API_KEY", help="The admin key, where --url is given.")
]
File = Annotated[
    Path | None, typer.Option(help="The key file; the one that a gateway on this machine reads where left out.")
]
Most = Annotated[int | None, typer.Option(min=1, help="Not limited where left out.")]
DAY = ["%Y-%m-%d"]


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def fail(message: str) -> typer.Exit:
    typer.echo(f"naru: {message}", err=True)
    return typer.Exit(1)


def _keys(url: str | None, admin_key: str | None, file: Path | None) -> Keys:
    if url is None:
        return FileKeys(file or default_file())
    if file is not None:
        raise fail("--url and --file exclude each other")
    return AdminKeys(Admin(url, admin_key or key.admin_key()))


@keys_app.command()
def create(  # noqa: PLR0913, PLR0917 - one for each option
    name: Annotated[str, typer.Argument(help="What people call the key.")],
    tenant: Annotated[str, typer.Option(help="Who is charged and counted.")],
    model: Annotated[
        list[str] | None, typer.Option(help="A model it may use; all where left out. Again for more.")
    ] = None,
    priority: Annotated[str | None, typer.Option(help="The class of its requests; else the model's own.")] = None,
    requests_per_minute: Most = None,
    tokens_per_minute: Most = None,
    tokens_per_day: Most = None,
    concurrent_streams: Most = None,
    url: Url = None,
    admin_key: AdminKey = None,
    file: File = None,
) -> None:
    """Make a key. It is shown once; only its hash is kept. Comments in the key file are lost."""
    wanted = {
        "name": name, "tenant": tenant, "models": model, "priority": priority,
        "requests_per_minute": requests_per_minute, "tokens_per_minute": tokens_per_minute,
        "tokens_per_day": tokens_per_day, "concurrent_streams": concurrent_streams,
    }  # fmt: skip
    try:
        secret = _keys(url, admin_key, file).create({field: value for field, value in wanted.items() if value})
    except AdminError as error:
        raise fail(str(error)) from None
    typer.echo(f"key {name!r} of tenant {tenant!r}; it is not shown again:", err=True)
    typer.echo(secret)


@keys_app.command("list")
def list_(
    url: Url = None, admin_key: AdminKey = None, file: File = None,
    format_: Annotated[Format, typer.Option("--format")] = Format.TABLE,
) -> None:  # fmt: skip
    """The keys, without what could be used of them."""
    try:
        listed = _keys(url, admin_key, file).listed()
    except AdminError as error:
        raise fail(str(error)) from None
    shown = [
        {
            "name": found["name"], "tenant": found["tenant"], "models": ", ".join(found.get("models") or ["all"]),
            "priority": found.get("priority") or "", "limits": ", ".join(_limits(found)), "sha256": found["sha256"],
        }
        for found in listed
    ]  # fmt: skip
    _show(shown, ("name", "tenant", "models", "priority", "limits", "sha256"), format_)


def _limits(found: dict[str, Any]) -> Iterator[str]:
    for limit in ("requests_per_minute", "tokens_per_minute", "tokens_per_day", "concurrent_streams"):
        if found.get(limit):
            yield f"{found[limit]} {limit.replace('_', ' ')}"


@keys_app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="The key's name.")], url: Url = None, admin_key: AdminKey = None,
    file: File = None,
) -> None:  # fmt: skip
    """Revoke a key: gateways refuse it within a second. What runs with it goes on."""
    try:
        found = _keys(url, admin_key, file).revoke(name)
    except AdminError as error:
        raise fail(str(error)) from None
    if not found:
        raise fail(f"there is no key {name!r}: 'naru keys list' shows them")
    typer.echo(f"revoked {name!r}")


def usage(  # noqa: PLR0913, PLR0917 - one for each option
    first: Annotated[datetime | None, typer.Option("--from", formats=DAY, help="First day, UTC; today.")] = None,
    last: Annotated[datetime | None, typer.Option("--to", formats=DAY, help="Last day, UTC; today.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Of one tenant.")] = None,
    model: Annotated[str | None, typer.Option(help="Of one model.")] = None,
    format_: Annotated[Format, typer.Option("--format")] = Format.TABLE,
    url: Annotated[str | None, typer.Option(help="A gateway's admin port; this machine's where left out.")] = None,
    admin_key: AdminKey = None,
) -> None:
    """Tokens and cost per tenant and model."""
    given = {"from": first and first.date().isoformat(), "to": last and last.date().isoformat(), "tenant": tenant}
    params = {name: str(value) for name, value in {**given, "model": model}.items() if value}
    base = url or f"http://127.0.0.1:{addresses().admin.port}"
    try:
        rows = Admin(base, admin_key or key.admin_key()).ask("GET", "/admin/usage", params=params).json()["data"]
    except AdminError as error:
        raise fail(str(error)) from None
    _show(summed(rows), COLUMNS, format_)


def _show(rows: list[dict[str, Any]], columns: tuple[str, ...], form: Format) -> None:
    if form is Format.JSON:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
    elif form is Format.CSV:
        writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        table = Table(*(column.replace("_", " ") for column in columns))
        for row in rows:
            table.add_row(*(str(row[column]) for column in columns))
        Console().print(table)
