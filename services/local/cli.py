"""`naru`: runs the local stack and talks to it."""

import asyncio
import sys
import time
from collections import deque
from pathlib import Path
from typing import Annotated

import httpx
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from services.common.paths import state_dir
from services.local import chat as chatting
from services.local import commands, detach, key, output, plan, preflight, state
from services.local.rollout import rollout_app
from services.local.supervisor import Supervisor
from services.local.top.command import top

app = typer.Typer(
    help="Naru: every model behind one door. This command runs it on one machine.", no_args_is_help=True,
    add_completion=False, pretty_exceptions_enable=False,
)  # fmt: skip

Services = Annotated[
    list[str] | None, typer.Argument(help=f"What to start: {', '.join(preflight.SERVICES)}; all where left out.")
]


app.add_typer(commands.keys_app, name="keys")
app.add_typer(rollout_app, name="rollout")
app.command("usage")(commands.usage)
app.command("top")(top)


def fail(message: str, code: int = 1) -> typer.Exit:
    typer.echo(f"naru: {message}", err=True)
    return typer.Exit(code)


def addresses() -> plan.Addresses:
    try:
        return plan.addresses()
    except ValidationError as error:
        faults = [f"NARU_{'__'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
        raise fail("; ".join(faults), 2) from None


@app.command()
def up(
    services: Services = None,
    detach_: Annotated[bool, typer.Option("--detach", "-d", help="Return when everything is ready.")] = False,
) -> None:
    """Start the stack; Ctrl-C stops it."""
    found = addresses()
    try:
        wanted = preflight.chosen(services or [])
    except ValueError as error:
        raise fail(str(error), 2) from None
    stale = state.read()
    if stale is not None and not stale.supervisor.alive():
        detach.stop()  # a supervisor that was killed may have left services behind
    if problems := list(preflight.problems(wanted)):
        raise fail("cannot start:\n" + "\n".join(f"  - {problem}" for problem in problems))
    if detach_:
        _up_detached(wanted, found)
    else:
        _up_here(wanted, found)


def _up_here(wanted: tuple[str, ...], found: plan.Addresses) -> None:
    secret = key.development_key()
    made = plan.make(found, wanted, secret, state_dir())
    out = output.Output(wanted)
    supervisor = Supervisor(made, out.say, out.tell, lambda: out.ready(made, secret))
    out.tell(f"starting {', '.join(wanted)}; logs are kept in {state.logs()}")
    asyncio.run(supervisor.run())


def _up_detached(wanted: tuple[str, ...], found: plan.Addresses) -> None:
    began = time.monotonic()
    try:
        detach.start(wanted, typer.echo)
    except detach.StartError as error:
        raise fail(str(error)) from None
    except KeyboardInterrupt:
        detach.stop()
        raise fail("interrupted; stopped again", 130) from None
    typer.echo(f"ready after {time.monotonic() - began:.0f} s")
    typer.echo(output.welcome(plan.make(found, wanted, key.development_key(), state_dir()), key.development_key()))


@app.command()
def down() -> None:
    """Stop the stack, and whatever a killed one left behind."""
    typer.echo("stopped" if detach.stop() else "nothing is running")


@app.command()
def status() -> None:
    """What runs, and how it is."""
    current = state.running()
    if current is None:
        raise fail("nothing is running: start it with 'naru up'")
    table = Table("service", "phase", "for", "process", "note")
    for name, service in current.services.items():
        age = f"{time.time() - service.since:.0f} s"
        table.add_row(name, service.phase, age, str(service.process.pid if service.process else ""), service.detail)
    Console().print(table)
    typer.echo(f"gateway: {current.gateway}")


@app.command()
def models() -> None:
    """The models the gateway serves."""
    base = f"http://127.0.0.1:{addresses().http.port}"
    try:
        answer = httpx.get(
            f"{base}/v1/models", headers={"authorization": f"Bearer {key.development_key()}"}, trust_env=False
        )
    except httpx.HTTPError:
        raise fail(f"nothing answers at {base}: start the stack with 'naru up'") from None
    if answer.status_code != 200:
        raise fail(answer.json()["error"]["message"])
    table = Table("model", "task", "versions", "ready")
    for model in answer.json()["data"]:
        table.add_row(model["id"], model["task"], ", ".join(model["versions"]), "yes" if model["ready"] else "no")
    Console().print(table)


@app.command()
def logs(
    services: Services = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Last lines of each service.")] = 20,
) -> None:
    """The services' logs."""
    names = tuple(services or (*preflight.SERVICES, "naru"))
    files = {name: state.logs() / f"{name}.log" for name in names}
    known = {name: file for name, file in files.items() if file.exists()}
    if not known:
        raise fail(f"no logs of {', '.join(names)} in {state.logs()}")
    ends = {name: _tail(name, file, lines) for name, file in known.items()}
    try:
        while follow:
            time.sleep(0.2)
            ends = {name: _news(name, known[name], end) for name, end in ends.items()}
    except KeyboardInterrupt:
        return


def _tail(name: str, file: Path, lines: int) -> int:
    with file.open("rb") as opened:
        for line in deque(opened, maxlen=lines):
            _show(name, line)
        return opened.tell()


def _news(name: str, file: Path, end: int) -> int:
    if file.stat().st_size < end:
        end = 0  # a new file was begun
    with file.open("rb") as opened:
        opened.seek(end)
        for line in opened:
            _show(name, line)
        return opened.tell()


def _show(name: str, line: bytes) -> None:
    typer.echo(output.prefixed(name, line.decode("utf-8", "replace").rstrip("\n"), colour=sys.stdout.isatty()))


@app.command()
def chat(
    prompt: Annotated[str, typer.Argument(help="The question.")] = "What is a ferry?",
    model: Annotated[str | None, typer.Option(help="The model; the local one where left out.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens the answer may have.")] = 128,
) -> None:
    """Ask a question; shows TTFT and TPOT as they were felt here."""
    found = addresses()
    base = f"http://127.0.0.1:{found.http.port}"
    try:
        question = chatting.Question(model or found.llm.llm.served_name, prompt, max_tokens)
        felt = chatting.ask(base, key.development_key(), question, lambda text: typer.echo(text, nl=False))
    except chatting.ChatError as error:
        raise fail(str(error)) from None
    typer.echo(f"\n\n{felt}")


def main() -> None:
    app()


if __name__ == "__main__":
    main()
