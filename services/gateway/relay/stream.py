"""What one endpoint streams, on its way to the client: cut into events, read, metered, passed on as it came."""

from typing import Protocol

from services.common.errors import NaruError, UpstreamError, UpstreamTruncated
from services.gateway.relay.carrier import Carrier
from services.gateway.relay.dialects import NOTHING, Reading
from services.gateway.relay.lane import Lane
from services.gateway.relay.meter import Meter
from services.gateway.relay.mover import Mover
from services.gateway.relay.sse import EventSplitter, EventTooLargeError, payload
from services.gateway.upstream.exchange import Exchange


class Owner(Protocol):
    """Whose answer it is."""

    carrier: Carrier
    committed: bool
    """Whether some event went to the client."""

    def commit(self) -> None:
        """The first one is about to."""

    def abort(self, error: NaruError) -> None: ...


class Stream:
    """`take` is for the data of an answer; `rest` belongs to its end."""

    __slots__ = (
        "_call", "_carrier", "_exchange", "_lane", "_last", "_meter", "_mover", "_owner", "_speaking", "_splitter",
    )  # fmt: skip

    def __init__(
        self, owner: Owner, meter: Meter, exchange: Exchange, splitter: EventSplitter, mover: Mover | None
    ) -> None:
        self._owner, self._carrier = owner, owner.carrier
        self._call, self._meter = meter.call, meter
        self._exchange, self._splitter, self._mover = exchange, splitter, mover
        self._lane: Lane | None = None
        self._speaking = False
        """Some content went to the client."""
        self._last = b""
        """The events with which the end came."""

    @property
    def rest(self) -> bytes:
        """What goes to the client with the end."""
        return self._last + self._splitter.rest

    def missing(self) -> UpstreamError | None:
        """The endpoint's answer has ended: what it lacks to be whole."""
        rest = self._splitter.rest
        if rest:
            self._meter.read(self._call.dialect.read_event(payload(rest)))
        # A whole stream says that it is whole; one that just stops was cut off.
        if self._meter.done or self._meter.failed:
            return None
        return UpstreamTruncated("the engine's stream ended before it was complete")

    def settle(self) -> None:
        """The meter is to be right."""
        if self._lane is not None:
            self._lane.settle()

    def take(self, data: bytes) -> None:
        self.settle()
        line = self._splitter.alone(data)
        if line is None or (self._mover is not None and self._mover.moved):
            self._take_pieces(data)
            return
        reading = self._read(line)  # most pieces: one event, which goes on as it came
        if not (reading.usage_only and self._call.hide_usage):
            self._pass_on(data, reading.content)
        if reading.plain:  # most events: some more text
            self._shorten(line, reading)

    def _take_pieces(self, data: bytes) -> None:
        self._exchange.lane = None
        try:
            events = self._splitter.feed(data)
        except EventTooLargeError:
            self._owner.abort(UpstreamError("the engine sent an event larger than allowed"))
            return
        content, kept = 0, []
        line, reading = b"", NOTHING
        for came in events:
            event = came if self._mover is None else self._mover.event(came)
            if event is None:
                continue
            line = payload(event)
            reading = self._read(line)
            content += reading.content
            if not (reading.usage_only and self._call.hide_usage):
                kept.append(event)
        if kept:
            self._pass_on(b"".join(kept), content)
        if reading.plain and not self._splitter.rest and not (self._mover is not None and self._mover.moved):
            self._shorten(line, reading)

    def _read(self, data: bytes) -> Reading:
        """What an event's data means, with the books kept."""
        reading = self._call.dialect.read_event(data)
        if not (reading.plain and self._speaking):
            self._meter.read(reading)
        if self._mover is not None:
            self._mover.transcript.add(data, reading)
        if reading.text and self._call.trace.said is not None:
            self._call.trace.said.append(reading.text)
        return reading

    def _pass_on(self, data: bytes, content: int) -> None:
        """Events for the client, so many of them content."""
        if not self._owner.committed:
            self._owner.commit()
        if self._meter.done and self._exchange.complete:
            self._last = data  # one write takes them and the end
        else:
            self._carrier.write(data)
        if content:
            self._meter.content_left(content)
            if not self._speaking:
                self._speaking = True
                self._exchange.content_began()

    def _shorten(self, line: bytes, reading: Reading) -> None:
        """Some more text, with which the piece ended: what follows is most likely alike, and may take the short way."""
        write = self._carrier.chunks
        if write is None or not reading.text or self._call.trace.said is not None:
            return
        if self._lane is None:
            transcript = None if self._mover is None else self._mover.transcript
            lane = Lane(write, self._meter, transcript)
            if not lane.learn(self._call.dialect, line, reading.text):
                return
            self._lane = lane
        self._exchange.lane = self._lane.ready()
