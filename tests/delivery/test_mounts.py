"""The chart gives each image the paths that it writes; that these are all is what tests of the images show."""

import pytest

from tests.chart.rendering import KIND, containers, pods, rendered
from tests.delivery.conftest import writable

GIVEN = {"/dev/shm"}
"""Every container engine gives 64 MiB there, and the chart more where an engine needs it."""


@pytest.mark.parametrize("image", ["gateway", "sentiment", "recommendation", "llm-cpu"])
def test_the_chart_mounts_every_path_that_an_image_writes(image: str) -> None:
    of_image = [
        container
        for _, pod in pods(rendered(KIND))
        for container in containers(pod)
        if container["image"].startswith(f"ghcr.io/naru-serving/{image}:")
    ]
    assert of_image
    for container in of_image:
        mounted = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
        assert set(writable(image)) - GIVEN <= mounted
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
