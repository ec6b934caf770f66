"""Recipes of training runs, read from TOML: every name must be known and every value of its type."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from xmdpt.evaluation.mistakes import InputError
from xmdpt.spec import VARIANTS, Variant
from xmdpt.training.autoencoder import AutoencoderConfig
from xmdpt.training.denoiser import DenoiserConfig

Config = TypeVar("Config")
_SHIPPED = Path(__file__).parent / "configs"


@dataclass(frozen=True)
class Recipe:
    """A recipe file.

    Attributes:
        variant: what is trained.
        seed: of the initial weights and of all that is drawn.
        denoiser: its recipe.
        autoencoder: its recipe; None for the sizes whose autoencoder is frozen.
    """

    seed: int
    denoiser: DenoiserConfig
    variant: str | None = None
    autoencoder: AutoencoderConfig | None = None

    def description(self, part: str) -> dict[str, Any]:
        """Return all that a run of one part depends on, as JSON knows it."""
        return {"variant": self.variant, "seed": self.seed, part: asdict(getattr(self, part))}


def read_recipe(config: str, variant: str | None = None) -> tuple[Recipe, Variant]:
    """Return a recipe and the variant that it is for.

    Args:
        config: "demo" or "paper", or the path of a TOML file like those two.
        variant: in the place of the file's own.

    Raises:
        InputError: there is no such file, or it does not hold a recipe.
    """
    path = _SHIPPED / f"{config}.toml" if config in shipped_recipes() else Path(config)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; --config is {', '.join(shipped_recipes())} or a file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from None
    name = variant or values.get("variant")
    if name not in VARIANTS:
        given = f"not {name}" if name else "which the recipe leaves open"
        raise InputError(f"{path}: --variant must be one of {', '.join(sorted(VARIANTS))}, {given}")
    return _parsed(Recipe, {**values, "variant": name}, str(path)), VARIANTS[str(name)]


def shipped_recipes() -> list[str]:
    """Return the names of the recipes that come with the project."""
    return sorted(path.stem for path in _SHIPPED.glob("*.toml"))


def _parsed(kind: type[Config], values: Mapping[str, Any], where: str) -> Config:
    hints = get_type_hints(kind)
    if unknown := sorted(values.keys() - hints.keys()):
        raise InputError(f"{where}: unknown {unknown[0]}; known are {', '.join(hints)}")
    given = {name: _value(hints[name], value, f"{where}: {name}") for name, value in values.items()}
    required = {field.name for field in fields(kind) if field.default is not None}  # type: ignore[arg-type]
    if missing := sorted(required - given.keys()):
        raise InputError(f"{where}: {missing[0]} is missing")
    try:
        return kind(**given)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from None


def _value(hint: Any, value: Any, where: str) -> Any:
    if get_origin(hint) is UnionType:
        hint = next(option for option in get_args(hint) if option is not type(None))
        if value is None:
            return None
    if is_dataclass(hint):
        if not isinstance(value, dict):
            raise InputError(f"{where} must be a table")
        return _parsed(hint, value, where)  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        if not isinstance(value, list) or len(value) != len(get_args(hint)):
            raise InputError(f"{where} must be {len(get_args(hint))} numbers in brackets")
        return tuple(_value(part, one, where) for part, one in zip(get_args(hint), value, strict=True))
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint is float and is_number and 0 <= value < float("inf"):
        return float(value)
    if (hint is int and is_number and math.isfinite(value) and value == int(value) >= 0) or (
        hint in (bool, str) and isinstance(value, hint)
    ):
        return hint(value)
    wanted = {float: "a number from 0", int: "a whole number from 0", bool: "true or false", str: "text"}[hint]
    raise InputError(f"{where} must be {wanted}, not {value!r}")
