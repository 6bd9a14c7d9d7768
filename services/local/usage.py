"""What tenants used, added up over days and keys."""

from typing import Any

COLUMNS = (
    "tenant", "model", "requests", "input_tokens", "output_tokens", "estimated_tokens", "cost", "currency",
)  # fmt: skip
AMOUNTS = ("requests", "input_tokens", "output_tokens", "estimated_tokens", "cost")


def summed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each tenant, model and currency, in this order."""
    sums: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in rows:
        whose = (row["tenant"], row["model"], row["currency"])
        total = sums.setdefault(whose, {**row, **dict.fromkeys(AMOUNTS, 0)})
        for amount in AMOUNTS:
            total[amount] += row[amount]
    return [
        {column: round(total[column], 6) if column == "cost" else total[column] for column in COLUMNS}
        for _, total in sorted(sums.items(), key=lambda item: item[0])
    ]
