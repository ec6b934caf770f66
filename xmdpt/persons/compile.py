"""Build the C code at its first use, once per source, flags and kind of processor, into a cache of the user's.

Does not know what the library does (`xmdpt.persons.rasteriser`).
"""

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from xmdpt.persons.appearance import (
    ARM_PER_METRE,
    Appearance,
    Logo,
    Pattern,
    Scenery,
    enum_declaration,
    struct_declaration,
)
from xmdpt.persons.layers import MATERIAL_OF_LAYER, Layer, Material

_SOURCES = Path(__file__).with_name("native")
# Never -ffast-math: it makes the whole process flush denormals. No contraction: the same picture on every computer.
_FLAGS = (
    "-std=gnu11", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off",
    "-shared", "-fPIC",
)  # fmt: skip
_COMPILERS = ("cc", "gcc", "clang")
_MAX_SECONDS = 120


class CompileError(RuntimeError):
    """There is no C compiler, it refused the source, or the cache cannot be written; the message says which."""


def compiled_library() -> Path:
    """Return the shared library, built now if it is not in the cache.

    Several processes may call this at once: each builds in a folder of its own, and a finished file appears at once.

    Raises:
        CompileError: it cannot be built.
    """
    layout = _layout()
    sources = [path.read_text(encoding="utf-8") for path in sorted(_SOURCES.iterdir())]
    digest = hashlib.sha256("\0".join((*sources, layout, *_FLAGS, _processor())).encode()).hexdigest()[:16]
    library = _cache() / f"rasteriser-{digest}.so"
    if library.exists():
        return library
    try:
        library.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(prefix="build-", dir=library.parent) as folder:
            built = _build(Path(folder), layout)
            os.replace(built, library)
    except OSError as error:
        raise CompileError(f"{error.filename or library.parent}: {error.strerror or error}") from None
    return library


def _build(folder: Path, layout: str) -> Path:
    compiler = next((found for name in _COMPILERS if (found := shutil.which(name))), None)
    if compiler is None:
        raise CompileError("no C compiler; install gcc")
    (folder / "layout.h").write_text(layout, encoding="utf-8")
    built = folder / "rasteriser.so"
    command = [compiler, *_FLAGS, f"-I{folder}", *map(str, sorted(_SOURCES.glob("*.c"))), "-o", str(built), "-lm"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=_MAX_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise CompileError(f"{compiler} took more than {_MAX_SECONDS} seconds") from None
    if run.returncode:
        lines = (line for line in run.stderr.splitlines() if "error" in line)
        raise CompileError(f"{compiler}: {next(lines, f'exit status {run.returncode}')}")
    return built


def _layout() -> str:
    """Return layout.h: what C must know of the Python classes, so that both sides cannot differ."""
    materials = ", ".join(str(int(MATERIAL_OF_LAYER[layer])) for layer in Layer)
    return "\n".join(
        [
            "#pragma once",
            f"#define NUM_LAYERS {len(Layer)}",
            f"#define NUM_MATERIALS {len(Material)}",
            f"#define ARM_PER_METRE {ARM_PER_METRE}f",
            *(enum_declaration(enum) for enum in (Layer, Pattern, Logo)),
            *(struct_declaration(packed) for packed in (Appearance, Scenery)),
            f"static const unsigned char layer_material[NUM_LAYERS] = {{{materials}}};",
            "",
        ]
    )


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "xmdpt"


def _processor() -> str:
    """Return what tells kinds of processor apart: a cache may be shared by computers, its code may not."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    features = next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())
    return platform.machine() + features
