"""Whether an object is what its kind allows: Kubernetes' own schemas, KEDA's types, and ours for the other kinds.

Unknown keys are mistakes everywhere. Ours hold no more than the fields that the manifests use.
"""

from itertools import chain
from typing import Any

import jsonschema
import kubernetes_validate
from cloudcoil.models.keda.v1alpha1 import ScaledObject
from pydantic import ValidationError

KUBERNETES_VERSION = "1.37"
_SECONDS = {"type": "string", "pattern": r"^\d+s$"}
_TEXT = {"type": "string", "minLength": 1}
_TEXTS = {"type": "object", "additionalProperties": _TEXT}
_PORT = {"type": "integer", "minimum": 1, "maximum": 65535}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": required | (optional or {}),
        "required": list(required),
        "additionalProperties": False,
    }


def _list(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item, "minItems": 1}


def _kind(api_version: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = _object({"name": _TEXT, "namespace": _TEXT}, {"labels": _TEXTS, "annotations": _TEXTS})
    head = {"apiVersion": {"const": api_version}, "kind": {"const": kind}, "metadata": metadata}
    return _object(head | {"spec": spec})


_RELABELING = _object({"targetLabel": _TEXT, "replacement": _TEXT})
_SCRAPE = _object({"port": _TEXT, "path": _TEXT, "interval": _SECONDS}, {"relabelings": _list(_RELABELING)})
_SELECTOR = _object({"matchLabels": _TEXTS})
_DURATION = {"type": "string", "pattern": r"^(\d+(ms|s|m|h|d|w|y))+$"}
_RECORD = _object({"record": _TEXT, "expr": _TEXT}, {"labels": _TEXTS})
_ALERT = _object(
    {"alert": _TEXT, "expr": _TEXT, "labels": _TEXTS, "annotations": _TEXTS},
    {"for": _DURATION, "keep_firing_for": _DURATION},
)
_GROUP = _object({"name": _TEXT, "rules": _list({"anyOf": [_RECORD, _ALERT]})}, {"interval": _DURATION})
_TLS = _object({"mode": {"const": "Terminate"}, "certificateRefs": _list(_object({"kind": _TEXT, "name": _TEXT}))})
_LISTENER = _object(
    {"name": _TEXT, "hostname": _TEXT, "port": _PORT, "protocol": {"const": "HTTPS"}, "tls": _TLS},
    {"allowedRoutes": _object({"namespaces": _object({"from": {"enum": ["All", "Same"]}})})},
)
_PATH = _object({"type": {"enum": ["Exact", "PathPrefix"]}, "value": {"type": "string", "pattern": "^/"}})
_ROUTE_RULE = _object(
    {"matches": _list(_object({"path": _PATH})), "backendRefs": _list(_object({"name": _TEXT, "port": _PORT}))},
    {"timeouts": _object({"request": _SECONDS})},
)
_SCHEMAS = {
    "PodMonitor": _kind(
        "monitoring.coreos.com/v1",
        "PodMonitor",
        _object({"selector": _SELECTOR, "podMetricsEndpoints": _list(_SCRAPE)}),
    ),
    "PrometheusRule": _kind("monitoring.coreos.com/v1", "PrometheusRule", _object({"groups": _list(_GROUP)})),
    "Gateway": _kind(
        "gateway.networking.k8s.io/v1",
        "Gateway",
        _object({"gatewayClassName": _TEXT, "listeners": _list(_LISTENER)}),
    ),
    "HTTPRoute": _kind(
        "gateway.networking.k8s.io/v1",
        "HTTPRoute",
        _object(
            {
                "parentRefs": _list(_object({"name": _TEXT, "sectionName": _TEXT})),
                "hostnames": _list(_TEXT),
                "rules": _list(_ROUTE_RULE),
            }
        ),
    ),
}


def schema_mistakes(manifest: dict[str, Any]) -> list[str]:
    """What is wrong with it as an object of its kind."""
    try:
        if manifest["kind"] == "ScaledObject":
            known = ScaledObject.model_validate(manifest).model_dump(mode="json", by_alias=True, exclude_unset=True)
            return _unknown_keys(manifest, known, "ScaledObject")
        if manifest["kind"] in _SCHEMAS:
            jsonschema.validate(manifest, _SCHEMAS[manifest["kind"]])
        else:
            checked = kubernetes_validate.validate(manifest, KUBERNETES_VERSION, strict=True)
            assert checked == KUBERNETES_VERSION
    except (ValidationError, jsonschema.ValidationError) as error:
        return [str(error)]
    except kubernetes_validate.SchemaNotFoundError:
        return [f"{manifest['apiVersion']} {manifest['kind']}: no schema is known"]
    return []


def _unknown_keys(given: Any, known: Any, path: str) -> list[str]:
    """The types drop what they do not know."""
    if isinstance(given, dict):
        unknown = [f"{path}.{key}: unknown" for key in given if key not in known]
        inner = [_unknown_keys(given[key], known[key], f"{path}.{key}") for key in given if key in known]
        return [*unknown, *chain.from_iterable(inner)]
    if isinstance(given, list):
        pairs = zip(given, known, strict=True)
        return list(chain.from_iterable(_unknown_keys(a, b, f"{path}[]") for a, b in pairs))
    return []
