"""The shapes of a Grafana dashboard as plain dicts: panels, what they ask, and where they stand.

Which panels there are is the boards' business.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

GRID_WIDTH = 24
_STAT_HEIGHT, _SERIES_HEIGHT = 4, 8
_DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_TAG = "xmdpt"


@dataclass(frozen=True)
class Query:
    """One PromQL expression, and the name of its series."""

    expression: str
    legend: str


@dataclass(frozen=True)
class Section:
    """A title over panels; `columns` of them stand beside each other."""

    title: str
    columns: int
    panels: Sequence[Json]


def stat(title: str, description: str, unit: str, query: Query, *, red_from: float | None = None) -> Json:
    """The newest value as a number; red from that value on."""
    steps: list[Json] = [{"color": "green", "value": None}]
    if red_from is not None:
        steps.append({"color": "red", "value": red_from})
    options = {
        "colorMode": "value",
        "graphMode": "area",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    defaults = {"unit": unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    return _panel("stat", title, description, defaults, options, [query])


def at_least_one(title: str, description: str, query: Query) -> Json:
    """Likewise, a count that is red at 0."""
    panel = stat(title, description, "short", query)
    panel["fieldConfig"]["defaults"]["thresholds"]["steps"] = [
        {"color": "red", "value": None},
        {"color": "green", "value": 1},
    ]
    return panel


def series(title: str, description: str, unit: str, *queries: Query, is_stacked: bool = False) -> Json:
    """Lines over time; stacked ones are parts of a whole."""
    custom: Json = {
        "drawStyle": "line",
        "fillOpacity": 25 if is_stacked else 5,
        "lineWidth": 1,
        "showPoints": "never",
        "spanNulls": False,
    }
    if is_stacked:
        custom["stacking"] = {"mode": "normal", "group": "A"}
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return _panel("timeseries", title, description, {"unit": unit, "min": 0, "custom": custom}, options, queries)


def quantiles(title: str, description: str, metric: str, by: Sequence[str] = (), where: str = "") -> Json:
    """p50, p95 and p99 of a histogram of seconds, by these labels."""
    labels, legend = ", ".join((*by, "le")), "".join(f" {{{{{label}}}}}" for label in by)
    rate = f"sum by ({labels}) (rate({metric}_bucket{where}[$__rate_interval]))"
    queries = [Query(f"histogram_quantile({share / 100:g}, {rate})", f"p{share}{legend}") for share in (50, 95, 99)]
    return series(title, description, "s", *queries)


def rate_by(label: str, metric: str, where: str = "") -> Query:
    """Events a second of a counter, by one label."""
    return Query(f"sum by ({label}) (rate({metric}{where}[$__rate_interval]))", f"{{{{{label}}}}}")


def board(uid: str, title: str, description: str, sections: Sequence[Section]) -> Json:
    """A whole dashboard, its panels numbered and placed from left to right, from top to bottom."""
    panels: list[Json] = []
    y = 0
    for section in sections:
        panels.append(_placed(_row(section.title), len(panels) + 1, 0, y, GRID_WIDTH, 1))
        y += 1
        width = GRID_WIDTH // section.columns
        for start in range(0, len(section.panels), section.columns):
            line = section.panels[start : start + section.columns]
            height = _STAT_HEIGHT if all(panel["type"] == "stat" for panel in line) else _SERIES_HEIGHT
            for column, panel in enumerate(line):
                panels.append(_placed(panel, len(panels) + 1, column * width, y, width, height))
            y += height
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": [_TAG],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "timezone": "browser",
        "time": {"from": "now-1h", "to": "now"},
        "annotations": {"list": [_ALERTS]},
        "links": [_OTHER_BOARDS],
        "templating": {"list": [_VARIABLE]},
        "panels": panels,
    }


def _panel(kind: str, title: str, description: str, defaults: Json, options: Json, queries: Sequence[Query]) -> Json:
    targets = [
        {"refId": chr(ord("A") + i), "datasource": _DATA_SOURCE, "expr": each.expression, "legendFormat": each.legend}
        for i, each in enumerate(queries)
    ]
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": _DATA_SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": targets,
    }


def _row(title: str) -> Json:
    return {"type": "row", "title": title, "collapsed": False, "panels": []}


def _placed(panel: Json, number: int, x: int, y: int, width: int, height: int) -> Json:
    return {"id": number, **panel, "gridPos": {"x": x, "y": y, "w": width, "h": height}}


_VARIABLE: Json = {
    "name": "datasource",
    "label": "Data source",
    "type": "datasource",
    "query": "prometheus",
    "current": {},
    "hide": 0,
    "includeAll": False,
    "multi": False,
    "options": [],
    "refresh": 1,
    "regex": "",
}
_OTHER_BOARDS: Json = {
    "type": "dashboards",
    "title": "xmdpt-serve",
    "tags": [_TAG],
    "asDropdown": True,
    "includeVars": True,
    "keepTime": True,
    "targetBlank": False,
    "icon": "external link",
    "tooltip": "",
    "url": "",
}
_ALERTS: Json = {
    "name": "Alerts",
    "datasource": _DATA_SOURCE,
    "enable": True,
    "hide": False,
    "iconColor": "red",
    "expr": 'ALERTS{alertname=~"Xmdpt.*", alertstate="firing"}',
    "titleFormat": "{{alertname}}",
    "textFormat": "{{severity}}",
    "step": "15s",
}
