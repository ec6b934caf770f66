"""What a generated file says of itself: that it was generated, by which software, from which seed and model.

It holds no time and no name of a person: the same request gives the same bytes.
"""

from dataclasses import dataclass

from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from xmdpt.presets import Preset


@dataclass(frozen=True)
class Provenance:
    """The marks of one picture, all of them ASCII.

    Attributes:
        software: name and version of what made it, such as `xmdpt-serve 1.0.0`.
        seed: of its first noise.
        model_digest: `sha256:<hex>` of the graphs.
        preset: as asked for.
    """

    software: str
    seed: int
    model_digest: str
    preset: Preset = Preset.EXACT


def png_chunks(provenance: Provenance) -> PngInfo:
    """As tEXt chunks: Description, Software, Seed, Preset and Model."""
    chunks = PngInfo()
    chunks.add_text("Description", "generated")
    chunks.add_text("Software", provenance.software)
    chunks.add_text("Seed", str(provenance.seed))
    chunks.add_text("Preset", provenance.preset.value)
    chunks.add_text("Model", provenance.model_digest)
    return chunks


def exif_block(provenance: Provenance) -> bytes:
    """As EXIF, for JPEG and WebP: Software, and the rest as ImageDescription."""
    exif = Image.Exif()
    marks = (f"seed {provenance.seed}", f"preset {provenance.preset.value}", f"model {provenance.model_digest}")
    exif[ExifTags.Base.ImageDescription] = "; ".join(("generated", *marks))
    exif[ExifTags.Base.Software] = provenance.software
    return exif.tobytes()
