"""A task model's held-out quality, beside its latencies on `/metrics`: a new version is compared in both."""

from collections.abc import Mapping


def publish(model: str, version: str, figures: Mapping[str, float]) -> None:
    """`figures`: 0 to 1 by the name of the measure. Called once, in the process that serves."""
    from prometheus_client import Gauge  # noqa: PLC0415 - BentoML sets its multi-process mode before the first import

    gauge = Gauge(
        "naru_model_quality", "Quality on held-out data, measured when the version was trained.",
        ["model", "version", "measure"], multiprocess_mode="mostrecent",
    )  # fmt: skip
    for measure, value in figures.items():
        gauge.labels(model, version, measure).set(value)
