"""The width that a picture of full height gets from the photo's aspect."""

import pytest

from service.domain.request import width_of_aspect


@pytest.mark.parametrize(
    ("size", "width_px"),
    [
        ((256, 256), 256),
        ((176, 256), 176),
        ((1100, 750), 375),
        ((750, 1101), 174),
        ((1000, 250), 1024),
        ((4096, 16), 1024),
        ((16, 4096), 1),
        ((16, 16384), 1),
    ],
)
def test_width_when_a_photo_has_this_size_then_its_aspect_within_the_bounds(
    size: tuple[int, int], width_px: int
) -> None:
    assert width_of_aspect(*size) == width_px
