"""What is found in a photo from which a pose is taken: one person, or why there is no pose.

Nothing is found here (`service.ports.persons`).
"""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from service.domain.pose import KeyPoints

FrameOfPose = Literal["photo", "person"]
"""What the model's square stands for: all of the photo, or the frame around the person."""


class Frame(NamedTuple):
    """A part of a photo, in px; it may reach beyond the photo."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class PersonInPhoto:
    """The one person.

    Attributes:
        key_points: in the photo's own frame.
        frame: around the person, of the aspect 176 / 256, as tight as in the photos that the model was trained on.
    """

    key_points: KeyPoints
    frame: Frame

    def pose(self, frame: FrameOfPose) -> KeyPoints:
        """The key points in one of the two frames."""
        if frame == "photo":
            return self.key_points
        left, top, width, height = self.frame
        return replace(self.key_points, size=(width, height), origin=(left, top))


@dataclass(frozen=True)
class UnsuitablePhoto:
    """No pose can be taken from the photo.

    Attributes:
        code: `no_person`, `several_persons`, `person_too_small` or `person_out_of_frame`.
        detail: what the photo must show, and what was found.
    """

    code: str
    detail: str


UNSUITABLE_CODES = ("no_person", "several_persons", "person_too_small", "person_out_of_frame")
Finding = PersonInPhoto | UnsuitablePhoto
