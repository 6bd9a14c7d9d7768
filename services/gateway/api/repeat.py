"""A connection's next request mostly has the last one's head, but for its body's length: then it is not parsed again.

The same bytes mean the same. The caller's key is looked at for every request all the same: it may have been revoked.
"""

import re
from typing import Self

import msgspec

from services.gateway.api.heading import Heading

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)[ \t]*\r\n", re.IGNORECASE)
_LONGEST = 12
"""Digits of a length."""


class Repeat(msgspec.Struct, frozen=True, gc=False):
    """A head, cut where its body's length stands."""

    before: bytes
    after: bytes
    heading: Heading

    @classmethod
    def of(cls, data: bytes, heading: Heading) -> Self | None:
        """`data`: a request that was read as `heading`, with its head in one piece; None where it gives no length."""
        end = data.find(b"\r\n\r\n") + 4
        found = _LENGTH.search(data, 0, end)
        if found is None or int(found[1]) != heading.length:
            return None
        return cls(data[: found.start(1)], data[found.end(1) : end], heading)

    def match(self, data: bytes) -> tuple[int, int] | None:
        """Where the body begins, and its length; None where the data begins with any other head."""
        before = self.before
        if not data.startswith(before):
            return None
        begin = len(before)
        end = data.find(b"\r", begin, begin + _LONGEST)
        if end < 0:
            return None
        digits = data[begin:end]
        if not digits.isdigit() or not data.startswith(self.after, end):
            return None
        return end + len(self.after), int(digits)
