"""A dashboard's frame: its name, its variables and the way to the others."""

from collections.abc import Iterable, Sequence

from grafana_foundation_sdk.builders import dashboard as builder
from grafana_foundation_sdk.models import dashboard as model

from services.observability.panels import SOURCE, Panel

TAG = "naru"
Variable = builder.DatasourceVariable | builder.QueryVariable | builder.TextBoxVariable


def choice(name: str, label: str, query: str) -> builder.QueryVariable:
    """Some or all of a label's values; all of them is also what has no such label, as on a laptop."""
    return (
        builder.QueryVariable(name).label(label).query(query).datasource(SOURCE)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True).include_all(True).all_value(".*")
        .current(model.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )  # fmt: skip


def text(name: str, label: str, value: str, description: str) -> builder.TextBoxVariable:
    return (
        builder.TextBoxVariable(name).label(label).default_value(value).description(description)
        .current(model.VariableOption(selected=True, text=value, value=value))
    )  # fmt: skip


DATASOURCE = builder.DatasourceVariable("datasource").label("Data source").type("prometheus")
NAMESPACE = choice("namespace", "Namespace", "label_values(naru_model_info, namespace)")
MODEL = choice("model", "Model", 'label_values(naru_model_info{namespace=~"$namespace"}, model)')
LANGUAGE_MODEL = choice(
    "model", "Model", 'label_values(naru_model_info{namespace=~"$namespace",task=~"chat|embedding"}, model)'
)
TASK_MODEL = choice(
    "model", "Model", 'label_values(naru_model_info{namespace=~"$namespace",task!~"chat|embedding"}, model)'
)
VERSION = choice(
    "version", "Version", 'label_values(naru_version_weight{namespace=~"$namespace",model=~"$model"}, version)'
)
TENANT = choice("tenant", "Tenant", 'label_values(naru_tokens_total{namespace=~"$namespace"}, tenant)')
POOL = choice("pool", "Node pool", "label_values(naru:node_pool:info, pool)")
GPU_PRICE = text("gpu_price", "Price of a GPU hour", "2.50", "What one GPU costs in an hour, in your currency.")
RUNBOOKS = text("runbooks", "Runbooks", "docs/runbooks", "Where the folder docs/runbooks of the project is reached.")


def board(
    name: str, title: str, description: str, variables: Iterable[Variable], *sections: tuple[str, Sequence[Panel]]
) -> model.Dashboard:
    """`name`: of its file, and in its address (`/d/naru-<name>`); a section is a heading and panels of whole rows."""
    made = (
        builder.Dashboard(f"Naru / {title}").uid(f"naru-{name}").description(description).tags([TAG])
        .refresh("30s").time("now-1h", "now").timezone("browser").readonly()
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(builder.DashboardLink("Naru").type(model.DashboardLinkType.DASHBOARDS).tags([TAG])
              .as_dropdown(False).include_vars(True).keep_time(True))
        .annotation(_alerts())
    )  # fmt: skip
    for variable in (DATASOURCE, NAMESPACE, *variables):
        made.with_variable(variable)
    for heading, panels in sections:
        made.with_row(builder.Row(heading))
        for panel in panels:
            made.with_panel(panel)
    found = made.build()
    for number, placed in enumerate(found.panels or [], 1):
        placed.id_val = number
    return found


def _alerts() -> builder.AnnotationQuery:
    """A mark on every graph where an alert began to fire."""
    return (
        builder.AnnotationQuery().name("Alerts").datasource(SOURCE).enable(True).icon_color("red")
        .expr('ALERTS{alertname=~"Naru.+",alertstate="firing"}')
    )  # fmt: skip
