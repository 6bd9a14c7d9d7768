"""The live view: what `rows.py` makes of each look, and tokens per second as they went."""

from collections import deque
from collections.abc import Iterable
from typing import ClassVar

from textual import work
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import DataTable, Footer, Header, Label, Sparkline

from services.local.top import rows
from services.local.top.figures import Figures
from services.local.top.watch import Watch, WatchError

TABLES = {"models": (rows.MODELS, rows.models), "endpoints": (rows.ENDPOINTS, rows.endpoints),
          "outcomes": (rows.OUTCOMES, rows.outcomes)}  # fmt: skip
KEPT = 240
"""Looks that the line of tokens per second goes back."""


class Top(App[None]):
    TITLE = "naru top"
    CSS = """
    #summary { padding: 0 1; }
    #trouble { padding: 0 1; width: 100%; background: $error; color: $text; display: none; }
    Sparkline { height: 2; margin: 0 1 1 1; }
    .heading { padding: 0 1; text-style: bold; color: $text-muted; }
    DataTable { height: auto; max-height: 60%; margin-bottom: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("q", "quit", "Quit"), ("space", "pause", "Pause"), ("t", "toggle_dark", "Light or dark"),
    ]  # fmt: skip

    def __init__(self, watch: Watch, interval: float) -> None:
        super().__init__()
        self._watch, self._interval = watch, interval
        self._speeds: deque[float] = deque([0.0], KEPT)
        self._paused = False
        self.sub_title = watch.url

    def compose(self) -> ComposeResult:
        yield Header(show_clock=True)
        yield Label("…", id="summary")
        yield Label("", id="trouble")
        yield Sparkline(list(self._speeds), id="speed")
        with Vertical():
            for name in TABLES:
                yield Label(name, classes="heading")
                yield DataTable(id=name, cursor_type="none", zebra_stripes=True)
        yield Footer()

    def on_mount(self) -> None:
        for name, (columns, _) in TABLES.items():
            self.query_one(f"#{name}", DataTable).add_columns(*columns)
        self.set_interval(self._interval, self._look)
        self._look()

    @work(thread=True, exclusive=True)
    def _look(self) -> None:
        if self._paused:
            return
        try:
            self.call_from_thread(self._show, self._watch.look())
        except WatchError as error:
            self.call_from_thread(self._trouble, str(error))

    def _show(self, found: Figures) -> None:
        self._trouble("")
        self.query_one("#summary", Label).update(rows.summary(found))
        if found.seconds:
            self._speeds.append(found.output_tokens_per_second)
        self.query_one(Sparkline).data = list(self._speeds)
        for name, (_, made) in TABLES.items():
            self._fill(self.query_one(f"#{name}", DataTable), made(found))

    def _fill(self, table: "DataTable[object]", made: Iterable[rows.Row]) -> None:
        table.clear()
        for row in made:
            table.add_row(*row)

    def _trouble(self, message: str) -> None:
        """What was seen last stays, below the reason why nothing newer is."""
        label = self.query_one("#trouble", Label)
        label.update(message)
        label.display = bool(message)

    def action_pause(self) -> None:
        self._paused = not self._paused
        self.sub_title = f"{self._watch.url} (paused)" if self._paused else self._watch.url

    def action_toggle_dark(self) -> None:
        self.theme = "textual-light" if self.theme == "textual-dark" else "textual-dark"
