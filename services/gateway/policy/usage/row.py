"""A row of usage: what one key of one tenant used of one model on one day."""

import msgspec

RowKey = tuple[str, str, str, str, str]


class Row(msgspec.Struct):
    day: str
    """`2026-01-31`, UTC."""
    tenant: str
    key: str
    model: str
    currency: str
    """Empty where the model has no price."""
    requests: int = 0
    """That reached an endpoint."""
    input_tokens: int = 0
    output_tokens: int = 0
    estimated_tokens: int = 0
    """Of these, tokens that no engine counted: see `used`."""
    cost: float = 0.0
    """In the currency."""

    @property
    def of(self) -> RowKey:
        return self.day, self.tenant, self.key, self.model, self.currency


def merge(rows: dict[RowKey, Row], new: Row) -> None:
    """Add a row to those known."""
    old = rows.get(new.of)
    if old is None:
        rows[new.of] = new
        return
    old.requests += new.requests
    old.input_tokens += new.input_tokens
    old.output_tokens += new.output_tokens
    old.estimated_tokens += new.estimated_tokens
    old.cost += new.cost
