"""The repository that a Triton pod serves, made by the very script of its manifest."""

import subprocess
from pathlib import Path

from tests.deployment.cluster import pod_spec, rendered


def prepare(image: Path, models: Path) -> None:
    """Run the pod's first container.

    Args:
        image: what is `/app/model_repository` there.
        models: what is `/models`; a folder.
    """
    (init,) = pod_spec(rendered("triton").workloads["triton"])["initContainers"]
    (script,) = init["args"]
    here = script.replace("/app/model_repository", str(image)).replace("/models", str(models))
    subprocess.run([*init["command"], here], check=True)
