"""Tenants: who uses what, what it costs them, and whom the limits stop."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from services.observability.board import MODEL, TENANT, VERSION, board
from services.observability.panels import Query, graph, rows
from services.observability.promql import share, total

_AT = 'namespace=~"$namespace",model=~"$model",version=~"$version",tenant=~"$tenant"'
_LIMITS = 'namespace=~"$namespace",tenant=~"$tenant"'
_TOKENS, _COST, _REFUSED = "naru_tokens_total", "naru_cost_total", "naru_quota_refusals_total"
_RANGE = {"window": "$__range", "function": "increase"}


def tenants() -> Dashboard:
    mine = total(_TOKENS, _AT, by="tenant")
    everyone = total(_TOKENS, 'namespace=~"$namespace",model=~"$model",version=~"$version"')
    return board(
        "tenants", "Tenants", "Usage, cost and refusals of every tenant.", (MODEL, VERSION, TENANT),
        ("Usage", (
            graph("Tokens", "short", "Tokens a second.", Query(mine, "{{tenant}}"), stacked=True),
            graph("Share of all tokens", "percentunit", "Of all tenants' tokens.",
                  Query(f"{mine} / scalar({everyone})", "{{tenant}}")),
            graph("Tokens by type", "short", "Tokens a second in and out.",
                  Query(total(_TOKENS, _AT, by="tenant, type"), "{{tenant}} {{type}}")),
        )),
        ("Cost", (
            graph("Cost an hour", "short", "At the registry's prices, in the currency of each.",
                  Query(f"3600 * {total(_COST, _AT, by='tenant, currency')}", "{{tenant}} {{currency}}"),
                  stacked=True, width=12),
            graph("Cost by model, an hour", "short", "At the registry's prices, in the currency of each.",
                  Query(f"3600 * {total(_COST, _AT, by='model, currency')}", "{{model}} {{currency}}"),
                  stacked=True, width=12),
        )),
        ("Limits", (
            graph("Refused", "reqps", "Requests refused (429) for a limit of the key's or the tenant's.",
                  Query(total(_REFUSED, _LIMITS, by="tenant, scope, limit"), "{{tenant}} {{scope}} {{limit}}"),
                  width=12),
            graph("Charged without the engine's word", "percentunit", "Share of the tokens that were estimated: the "
                  "answer broke off before the engine had counted.",
                  Query(share(total("naru_estimated_tokens_total", _AT, by="tenant"), mine), "{{tenant}}"), width=12),
        )),
        ("In the time shown", (
            rows("By tenant", "short", "Sums over the time shown above.",
                 Query(total(_TOKENS, _AT, by="tenant", **_RANGE), "tokens"),
                 Query(total(_COST, _AT, by="tenant", **_RANGE), "cost"),
                 Query(total(_REFUSED, _LIMITS, by="tenant", **_RANGE), "refused")),
        )),
    )  # fmt: skip
