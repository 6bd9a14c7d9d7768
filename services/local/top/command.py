"""`naru top`: what the gateway does now, on a screen that lives, as a text, or as JSON for scripts."""

import json
import time
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from services.local.plan import addresses
from services.local.top.figures import Figures
from services.local.top.rows import printed
from services.local.top.watch import Watch, WatchError

WIDE = 150
"""Columns that the tables need: a narrower terminal breaks lines, and loses nothing."""
Url = Annotated[
    str | None, typer.Option(help="A gateway's admin port, http://host:8082; this machine's where left out.")
]
Interval = Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")]
Window = Annotated[float, typer.Option(min=1, help="Seconds that rates and quantiles are of.")]


def top(
    url: Url = None, interval: Interval = 1.0, window: Window = 30.0,
    once: Annotated[bool, typer.Option("--once", help="Look twice, an interval apart, print and end.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object a look, one a line.")] = False,
) -> None:  # fmt: skip
    """Models, endpoints, TTFT, TPOT, queues, tokens and errors as they are now."""
    with Watch(url or f"http://127.0.0.1:{addresses().admin.port}", window) as watch:
        if not (once or json_):
            from services.local.top.screen import Top  # noqa: PLC0415 - half a second, which no other command should pay

            Top(watch, interval).run()
            return
        try:
            watch.look()
            while True:
                time.sleep(interval)
                _print(watch.look(), as_json=json_)
                if once:
                    return
        except WatchError as error:
            typer.echo(f"naru: {error}", err=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            return


def _print(found: Figures, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(found)))
        return
    console = Console(width=max(Console().width, WIDE))
    for part in printed(found):
        console.print(part)
