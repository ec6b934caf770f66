"""The layout of a job's input: both pictures come back as they were, and anything else is refused."""

import pytest

from service.domain.digest import content_digest
from service.domain.inputs import PICTURE_BYTES, pack_inputs, unpack_inputs
from tests.unit.builders import pixels


def test_inputs_when_packed_and_unpacked_then_the_pictures_are_the_same() -> None:
    photo = bytes(range(256)) * (PICTURE_BYTES // 256)
    skeleton = photo[::-1]

    assert unpack_inputs(pack_inputs(photo, skeleton)) == (photo, skeleton)
    assert pack_inputs(photo, skeleton) != pack_inputs(skeleton, photo)


@pytest.mark.parametrize("length", [0, 1, PICTURE_BYTES - 1, PICTURE_BYTES + 1, 2 * PICTURE_BYTES])
def test_inputs_when_a_picture_has_another_length_then_the_error_names_it(length: int) -> None:
    with pytest.raises(ValueError, match=f"photo has {length} bytes"):
        pack_inputs(bytes(length), pixels(1))
    with pytest.raises(ValueError, match=f"skeleton has {length} bytes"):
        pack_inputs(pixels(1), bytes(length))


@pytest.mark.parametrize("length", [0, PICTURE_BYTES, 2 * PICTURE_BYTES - 1, 2 * PICTURE_BYTES + 1])
def test_inputs_when_stored_bytes_have_another_length_then_they_are_not_ours(length: int) -> None:
    with pytest.raises(ValueError, match=f"have {length} bytes, not"):
        unpack_inputs(bytes(length))


def test_digest_when_taken_then_it_is_the_sha256_of_the_bytes() -> None:
    # FIPS 180-4's example of one block.
    assert content_digest(b"abc") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
