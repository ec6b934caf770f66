"""The layout of a job's input blob: the photo's pixels, then the skeleton's.

It holds bytes only; the gateway writes them, the engine reads them, neither knows the layout.
"""

from xmdpt.spec import IMAGE_SIZE

# uint8 [256,256,3] RGB, rows from the top, no header.
PICTURE_BYTES = IMAGE_SIZE * IMAGE_SIZE * 3


def pack_inputs(photo: bytes, skeleton: bytes) -> bytes:
    """Join the two pictures.

    Args:
        photo: uint8 [256,256,3] RGB as 196,608 bytes.
        skeleton: likewise.

    Raises:
        ValueError: one of them has another length.
    """
    for name, picture in (("photo", photo), ("skeleton", skeleton)):
        if len(picture) != PICTURE_BYTES:
            msg = f"the {name} has {len(picture)} bytes, not {PICTURE_BYTES}"
            raise ValueError(msg)
    return photo + skeleton


def unpack_inputs(content: bytes) -> tuple[bytes, bytes]:
    """Undo `pack_inputs`: photo and skeleton.

    Raises:
        ValueError: the bytes are not what `pack_inputs` made.
    """
    if len(content) != 2 * PICTURE_BYTES:
        raise ValueError(f"the stored pictures have {len(content)} bytes, not {2 * PICTURE_BYTES}")
    return content[:PICTURE_BYTES], content[PICTURE_BYTES:]
