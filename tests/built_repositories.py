"""Networks by rule and the repositories built of them, each made once a run; not to be written to.

They are for tests that need a certain variant. What the project ships may be any: tests of that read its manifest.
"""

from functools import cache
from pathlib import Path

from export.repository import build_repository
from export.weights import networks_of, read_origin
from tests.run_folder import made_once
from xmdpt.nn.bundle import load_bundle, save_bundle
from xmdpt.nn.loading import WeightPaths
from xmdpt.nn.pipeline import Pipeline, build_pipeline
from xmdpt.nn.untrained import fill_untrained
from xmdpt.repository import Precision
from xmdpt.spec import VARIANTS

# Of the demo's weights, so that a byte each does not hold them as it does those of the rule.
_SCALE = 1.1
_SHIPPED = Path(__file__).resolve().parents[1] / "model_repository" / "demo.safetensors"


@cache
def tiny_networks() -> Pipeline:
    """The variant tiny with the weights of the rule."""
    pipeline = build_pipeline(VARIANTS["tiny"])
    fill_untrained(pipeline)
    return pipeline


@cache
def tiny_repository() -> Path:
    """Its graphs; about 10 s."""
    return _built("tiny", None, "fp32", "tiny")


@cache
def demo_weights() -> Path:
    """A bundle of the variant demo with weights that nobody trained."""

    def make(path: Path) -> None:
        pipeline = build_pipeline(VARIANTS["demo"])
        fill_untrained(pipeline)
        for tensor in pipeline.state_dict().values():
            tensor.mul_(_SCALE)
        save_bundle(pipeline, path, {"origin": "made by rule for tests"})

    return made_once("some.safetensors", make)


@cache
def demo_networks() -> Pipeline:
    """What that bundle holds."""
    return load_bundle(VARIANTS["demo"], demo_weights())


@cache
def demo_repository() -> Path:
    """Its graphs, which share the weights; about 10 s."""
    return _built("demo", demo_weights(), "fp32", "demo")


@cache
def lowered_repository(kind: str, precision: Precision) -> Path:
    """A repository whose large products have this precision; about 10 s.

    Args:
        kind: `tiny` by rule, or `shipped`: demo with the project's weights.
        precision: of its large products.
    """
    variant, bundle = ("demo", _SHIPPED) if kind == "shipped" else (kind, None)
    return _built(variant, bundle, precision, f"{kind}-{precision}")


def _built(variant_name: str, bundle: Path | None, precision: Precision, folder: str) -> Path:
    variant, paths = VARIANTS[variant_name], WeightPaths(bundle)

    def make(out: Path) -> None:
        build_repository(
            variant,
            (lambda: networks_of(variant, paths)) if bundle else tiny_networks,
            read_origin(variant, paths),
            out,
            lambda _line: None,
            bundle=bundle,
            precision=precision,
        )

    return made_once(folder, make)
