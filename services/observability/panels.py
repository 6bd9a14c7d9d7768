"""The panels that all dashboards are built of: each with a unit, and with a sentence on what it tells."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import common, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as builder
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import heatmap as heatmap_model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
WIDTH, HEIGHT = 8, 8
"""Of a panel: a third of the screen."""

Panel = heatmap.Panel | stat.Panel | table.Panel | timeseries.Panel


@dataclass(frozen=True, slots=True)
class Query:
    expr: str
    legend: str = ""
    exemplars: bool = False
    """Show single requests too, each a link to its trace."""
    dashed: bool = False
    """A line that others are compared with: a promise, a limit."""

    def target(self, ref: str) -> prometheus.Dataquery:
        made = prometheus.Dataquery().expr(self.expr).ref_id(ref).datasource(SOURCE)
        return made.legend_format(self.legend).exemplar(self.exemplars).range()

    def instant(self, ref: str) -> prometheus.Dataquery:
        made = prometheus.Dataquery().expr(self.expr).ref_id(ref).datasource(SOURCE)
        return made.legend_format(self.legend).instant()


def promise(expr: str, legend: str) -> Query:
    return Query(expr, legend, dashed=True)


def _ref(index: int) -> str:
    return chr(ord("A") + index)


_DASHED = [
    model.DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [8, 8]}),
    model.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": "text"}),
]


def graph(
    title: str, unit: str, description: str, *queries: Query, stacked: bool = False, width: int = WIDTH
) -> timeseries.Panel:
    """Lines over time, from zero."""
    made = (
        timeseries.Panel().title(title).unit(unit).description(description).datasource(SOURCE)
        .span(width).height(HEIGHT).min(0).line_width(1).show_points(common_model.VisibilityMode.NEVER)
        .fill_opacity(30 if stacked else 0)
        .legend(common.VizLegendOptions().display_mode(common_model.LegendDisplayMode.LIST)
                .placement(common_model.LegendPlacement.BOTTOM).show_legend(True))
        .tooltip(common.VizTooltipOptions().mode(common_model.TooltipDisplayMode.MULTI)
                 .sort(common_model.SortOrder.DESCENDING))
    )  # fmt: skip
    if stacked:
        made.stacking(common.StackingConfig().mode(common_model.StackingMode.NORMAL))
    for index, query in enumerate(queries):
        made.with_target(query.target(_ref(index)))
        if query.dashed:
            made.override_by_query(_ref(index), _DASHED)
    return made


def above(limit: float) -> list[model.Threshold]:
    """Red from there on."""
    return [model.Threshold(color="green"), model.Threshold(value=limit, color="red")]


def below(limit: float) -> list[model.Threshold]:
    """Red up to there."""
    return [model.Threshold(color="red"), model.Threshold(value=limit, color="green")]


def number(title: str, unit: str, description: str, query: Query, limits: Sequence[model.Threshold] = ()) -> stat.Panel:
    """One number now, red beyond its limit."""
    steps = list(limits) or [model.Threshold(color="green")]
    return (
        stat.Panel().title(title).unit(unit).description(description).datasource(SOURCE)
        .span(4).height(HEIGHT // 2).with_target(query.target("A")).no_value("-")
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(builder.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps))
    )  # fmt: skip


def density(title: str, unit: str, description: str, buckets: str) -> heatmap.Panel:
    """How many requests fell into each bucket of a histogram, over time."""
    query = prometheus.Dataquery().expr(buckets).ref_id("A").datasource(SOURCE).exemplar(True).range()
    return (
        heatmap.Panel().title(title).description(description).datasource(SOURCE).span(12).height(HEIGHT)
        .with_target(query.format(PromQueryFormat.HEATMAP).legend_format("{{le}}"))
        .calculate(False).unit(unit).show_tooltip()
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .color(heatmap.HeatmapColorOptions().mode(heatmap_model.HeatmapColorMode.SCHEME).scheme("Oranges").steps(64))
    )  # fmt: skip


def rows(title: str, unit: str, description: str, *queries: Query, link: tuple[str, str] | None = None) -> table.Panel:
    """A table of what is now, a row for each set of labels; `link`: text and address for each row."""
    made = (
        table.Panel().title(title).unit(unit).description(description).datasource(SOURCE).span(24).height(HEIGHT)
        .show_header(True)
        .with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
        .override_by_name("Time", [model.DynamicConfigValue(id_val="custom.hidden", value=True)])
    )  # fmt: skip
    for index, query in enumerate(queries):
        made.with_target(query.instant(_ref(index)).format(PromQueryFormat.TABLE))
        made.override_by_name(
            f"Value #{_ref(index)}" if len(queries) > 1 else "Value",
            [model.DynamicConfigValue(id_val="displayName", value=query.legend)],
        )
    if link is not None:
        text, address = link
        made.data_links([builder.DashboardLink(text).url(address).target_blank(True)])
    return made
