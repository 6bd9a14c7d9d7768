"""Which endpoint served prompts that began alike, so that its engine's prefix cache holds their beginning.

A prompt is cut into blocks; a block's hash covers all the blocks before it, as in vLLM's own prefix cache, so a known
hash means a known beginning. What is remembered is bounded: blocks not met for the longest time are forgotten.
"""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import count

from services.gateway.routing.hints import Hints
from services.gateway.upstream.endpoint import Endpoint

BLOCK = 1024
"""Bytes of a block: about 256 tokens of English text. Less is computed anew before it would be worth a queue."""
LONGEST = 64
"""Blocks of one prompt that count; two prompts that are alike for so long go to one endpoint whatever follows."""

Chain = list[int]
"""The hashes of a prompt's blocks, the first block's first."""


def chain(hints: Hints, adapter: str | None) -> Chain:
    """The blocks of a request's prompt; empty where it has no whole one.

    Python's own hash is keyed anew in every process, so nobody can aim at another prompt's blocks; hashes are compared
    inside one process only. An adapter changes what every block computes to: it is hashed with them.
    """
    body, hashed = hints.body, hash(adapter)
    start = max(0, body.find(hints.prompt))
    blocks = []
    for begin in range(start, min(len(body), start + LONGEST * BLOCK) - BLOCK + 1, BLOCK):
        hashed = hash((hashed, body[begin : begin + BLOCK]))
        blocks.append(hashed)
    return blocks


class PrefixMemory:
    """Holds, for each of at most `capacity` blocks, the endpoints that served it: a bit of an integer for each."""

    def __init__(self, endpoints: Sequence[Endpoint], capacity: int) -> None:
        self._bits = {endpoint: 1 << index for index, endpoint in enumerate(endpoints)}
        self._capacity = capacity
        self._owners: OrderedDict[int, int] = OrderedDict()

    def kept(self, endpoints: Sequence[Endpoint], capacity: int) -> "PrefixMemory":
        """What is remembered of these endpoints, some of which may be new; nothing of any other."""
        made = PrefixMemory((), capacity)
        bits = {endpoint: self._bits[endpoint] for endpoint in endpoints if endpoint in self._bits}
        free = (bit for bit in (1 << index for index in count()) if bit not in bits.values())
        made._bits = bits | {endpoint: next(free) for endpoint in endpoints if endpoint not in bits}
        if len(bits) == len(self._bits):
            made._owners = self._owners  # nobody left: whatever requests of before still learn is true of both
        else:
            known = sum(bits.values())
            left = ((block, owners & known) for block, owners in self._owners.items())
            made._owners = OrderedDict(pair for pair in left if pair[1])
        return made

    def __len__(self) -> int:
        return len(self._owners)

    def matched(self, blocks: Chain, endpoints: Sequence[Endpoint]) -> list[int]:
        """How many of the first blocks each endpoint served."""
        owners, bits = self._owners, [self._bits[endpoint] for endpoint in endpoints]
        found = [len(blocks)] * len(bits)
        left = sum(bits)
        for depth, block in enumerate(blocks):
            still = left & owners.get(block, 0)
            if still != left:
                gone, left = left ^ still, still
                found = [depth if gone & bit else known for known, bit in zip(found, bits, strict=True)]
                if not left:
                    break
        return found

    def learn(self, blocks: Chain, endpoint: Endpoint) -> None:
        """`endpoint` is given this prompt."""
        owners, bit = self._owners, self._bits[endpoint]
        # Last block first: what is forgotten first is then a prompt's end, never the beginning it hangs on.
        for block in reversed(blocks):
            owners[block] = owners.get(block, 0) | bit
            owners.move_to_end(block)
        while len(owners) > self._capacity:
            owners.popitem(last=False)
