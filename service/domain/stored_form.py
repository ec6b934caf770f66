"""How values of several versions live side by side in one queue: what is written of a value, and what is read of it.

Who shows a stored value reads what it knows of it (`known_fields`). Who acts on it must understand all of it: a field
that it does not know is none of its business to ignore. So that this happens seldom, a field which is added later has a
default that means what was so without it, is marked with `LATER`, and is written only where it says something else.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

LATER: Mapping[str, bool] = {"later": True}
"""Metadata of a dataclass' field: `field(default=0, metadata=LATER)`."""


def stored_form(value: Any) -> Any:
    """Like `dataclasses.asdict`, without the later fields that have their defaults."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = (field for field in dataclasses.fields(value) if not _is_silent(value, field))
        return {field.name: stored_form(getattr(value, field.name)) for field in fields}
    if isinstance(value, Mapping):
        return dict(value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - it is JSON's
    if isinstance(value, tuple | list):
        return [stored_form(each) for each in value]  # pyright: ignore[reportUnknownVariableType] - likewise
    return value


def known_fields(kind: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the fields that this version's dataclass has; TypeError or ValueError if they are no mapping."""
    names = {field.name for field in dataclasses.fields(kind)}
    return {name: value for name, value in dict(fields).items() if name in names}


def _is_silent(value: Any, field: "dataclasses.Field[Any]") -> bool:
    return "later" in field.metadata and getattr(value, field.name) == field.default
