"""The alert rules as an object of the Prometheus operator: `python -m deploy.kubernetes.prometheus_rule`.

It owns nothing of the rules; `deploy/prometheus/xmdpt.rules.yml` does, and a test holds the object to it.
"""

import textwrap
from pathlib import Path

_DEPLOY = Path(__file__).resolve().parents[1]
RULES = _DEPLOY / "prometheus/xmdpt.rules.yml"
OBJECT = _DEPLOY / "kubernetes/components/monitoring/rules.yaml"
_HEAD = """\
# Made of deploy/prometheus/xmdpt.rules.yml by `python -m deploy.kubernetes.prometheus_rule`: change that file.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: xmdpt
spec:
"""


def as_object(rules: str) -> str:
    """The rules' text, without what stands before its first key, as the object's."""
    return _HEAD + textwrap.indent(rules[rules.index("groups:") :], "  ")


if __name__ == "__main__":
    OBJECT.write_text(as_object(RULES.read_text("utf-8")), "utf-8")
