"""A model without a healthy endpoint that is wanted: since when, and how long until it is up."""


class Activation:
    """Of one model. Times and spans in seconds of one clock."""

    __slots__ = ("_since", "_took", "_wanted")

    def __init__(self) -> None:
        self._since: float | None = None
        """When the first request came that found no endpoint."""
        self._wanted = 0.0
        """When the last one did."""
        self._took: float | None = None
        """How long it took the last time."""

    def want(self, now: float, timeout: float) -> None:
        """A request found no endpoint. After `timeout` without any, the next one's wait begins anew."""
        if not self.pending(now, timeout):
            self._since = now
        self._wanted = now

    def pending(self, now: float, timeout: float) -> bool:
        """Whether it is still wanted: also after those who asked have gone, for as long as each would have waited."""
        return self._since is not None and now < self._wanted + timeout

    def ready(self, now: float, timeout: float) -> None:
        """An endpoint is healthy."""
        if self._since is not None and self.pending(now, timeout):
            self._took = now - self._since
        self._since = None

    def left(self, now: float, timeout: float) -> float:
        """About how long it will still take: as long as the last time, at first as long as it may.

        What takes longer than that is expected to take as long again.
        """
        if self._since is None:
            return 0.0
        waited = now - self._since
        left = (timeout if self._took is None else self._took) - waited
        return left if left > 0 else waited
