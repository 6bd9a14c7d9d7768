"""What Prometheus computes and watches: each module is a file of rules."""

from services.observability.rules import causes, cluster, objectives, versions
from services.observability.rules.rule import Group


def files() -> dict[str, tuple[Group, ...]]:
    """Groups of rules by the name of their file."""
    return {
        "objectives": (
            objectives.RECORDED, objectives.RECORDED_LONG, objectives.ALERTS, objectives.ALERTS_LONG,
        ),
        "versions": (versions.RECORDED, versions.ALERTS),
        "causes": (causes.ALERTS,),
        "cluster": (cluster.RECORDED, cluster.ALERTS),
    }  # fmt: skip
