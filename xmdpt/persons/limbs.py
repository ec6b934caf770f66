"""What a body does as a whole and what its arms and legs do then, as directions they point in.

Directions are unit-free vectors in the torso's axes: x to the person's left, y to the back, z up. Angles in degrees.
Does not turn bones (`xmdpt.persons.pose`).
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np

from xmdpt.persons.chance import Range, Shares, choose
from xmdpt.persons.rotations import Vector


class Posture(Enum):
    """What the whole body does."""

    STAND = "stand"
    WALK = "walk"
    GESTURE = "gesture"
    STEP = "step"
    SIT = "sit"


class ArmPosture(Enum):
    """What one arm does."""

    DOWN = "down"
    HIP = "hip"
    RAISED = "raised"
    FORWARD = "forward"
    SIDE = "side"


@dataclass(frozen=True)
class PoseStyle:
    """What poses to expect.

    Attributes:
        postures: shares.
        calm_arms: shares while standing, walking or sitting.
        busy_arms: shares in a gesture or on a step.
        raised: angle of a raised upper arm from hanging, degrees.
        side: the same of one held to the side.
        stretch: 0..1, how far a forearm held to the side points away at most.
        stride: angle of the leading thigh in a walk, degrees.
    """

    postures: Shares[Posture]
    calm_arms: Shares[ArmPosture]
    busy_arms: Shares[ArmPosture]
    raised: Range
    side: Range
    stretch: float
    stride: Range


def leg_directions(
    rng: np.random.Generator, posture: Posture, style: PoseStyle, sign: int, *, is_leading: bool
) -> tuple[Vector, Vector]:
    """Return where thigh and shin point; thigh angles are forward from hanging."""
    apart = abs(rng.normal(0, 4)) + 1
    forward, knee = rng.normal(0, 5), abs(rng.normal(0, 6))
    match posture:
        case Posture.WALK if is_leading:
            forward, knee = rng.uniform(*style.stride), rng.uniform(2, 12)
        case Posture.WALK:
            forward, knee = -rng.uniform(*style.stride), rng.uniform(10, 45)
        case Posture.STEP if is_leading:
            forward = rng.uniform(25, 75)
            knee = forward * rng.uniform(0.8, 1.4)
            apart += abs(rng.normal(0, 8))
        case Posture.SIT:
            forward = rng.uniform(30, 80)
            knee = forward + rng.uniform(-10, 20)
    outward = sign * _sin(apart)
    return (
        np.array([outward, -_sin(forward), -_cos(forward)]),
        np.array([0.6 * outward, -_sin(forward - knee), -_cos(forward - knee)]),
    )


def arm_directions(
    rng: np.random.Generator, posture: Posture, style: PoseStyle, sign: int, *, is_leading: bool
) -> tuple[Vector, Vector]:
    """Return where upper arm and forearm point."""
    is_busy = posture in (Posture.GESTURE, Posture.STEP)
    match choose(rng, style.busy_arms if is_busy else style.calm_arms):
        case ArmPosture.DOWN:
            outward, forward, bend = rng.uniform(6, 25), rng.normal(0, 10), abs(rng.normal(0, 15)) + 5
            if posture is Posture.WALK:
                # Arms swing against the legs.
                forward, bend = rng.uniform(5, 30) * (-1 if is_leading else 1), rng.uniform(10, 45)
            return _hanging(sign, outward, forward), _hanging(sign, 0.6 * outward, forward + bend)
        case ArmPosture.HIP:
            upper = _hanging(sign, rng.uniform(35, 50), rng.uniform(-25, -5))
            return upper, _vector(-sign * rng.uniform(0.5, 0.9), rng.uniform(-0.5, -0.15), -rng.uniform(0.3, 0.7))
        case ArmPosture.RAISED:
            upper = _hanging(sign, rng.uniform(*style.raised), rng.uniform(0, 30))
            return upper, _vector(sign * rng.uniform(-0.6, 0.5), rng.uniform(-0.4, 0.1), rng.uniform(0.4, 1))
        case ArmPosture.FORWARD:
            upper = _hanging(sign, rng.uniform(5, 30), rng.uniform(10, 50))
            return upper, _vector(-sign * rng.uniform(-0.1, 0.7), -rng.uniform(0.5, 1), rng.uniform(-0.3, 0.9))
        case ArmPosture.SIDE:
            upper = _hanging(sign, rng.uniform(*style.side), rng.uniform(-5, 20))
            outward = sign * rng.uniform(0.2, 1) * style.stretch
            return upper, _vector(outward, rng.uniform(-0.5, 0), rng.uniform(-0.7, 0.5))


def _hanging(sign: int, outward: float, forward: float) -> Vector:
    """Return where a limb points that is lifted outward and forward from hanging, in degrees."""
    return _vector(sign * _sin(outward), -_sin(forward) * _cos(outward), -_cos(outward) * _cos(forward))


def _vector(x: float, y: float, z: float) -> Vector:
    return np.array([x, y, z])


def _sin(degrees: float) -> float:
    return float(np.sin(np.radians(degrees)))


def _cos(degrees: float) -> float:
    return float(np.cos(np.radians(degrees)))
