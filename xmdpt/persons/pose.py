"""Poses: random joint rotations, and the transform of every bone that they make.

Directions are in the body's axes: x to the person's left, y to the back, z up. Angles in degrees.
Does not move vertices (`xmdpt.persons.rasteriser`) nor place a camera.
"""

from dataclasses import dataclass

import numpy as np

from xmdpt.persons.body import Body
from xmdpt.persons.chance import choose
from xmdpt.persons.limbs import PoseStyle, arm_directions, leg_directions
from xmdpt.persons.rotations import X_AXIS, Y_AXIS, Z_AXIS, Matrix, Vector, aim, rotation

# The person's left is +x; a side's name ends its bones' names.
_SIDES = (("L", 1), ("R", -1))


@dataclass
class Joints:
    """Rotations of the bones that turn, by name; every other bone follows its parent.

    Attributes:
        relative: [3, 3] to the parent.
        in_torso: [3, 3] to the chest for arms, to the pelvis for legs: such a bone points where it is told to.
    """

    relative: dict[str, Matrix]
    in_torso: dict[str, Matrix]


def sample_joints(rng: np.random.Generator, body: Body, heads: Matrix, style: PoseStyle) -> Joints:
    """Draw a pose.

    Args:
        rng: source of chance.
        body: for its bones.
        heads: [B, 3] bone heads of the identity, metres.
        style: what to expect.
    """
    joints = Joints({}, {})
    posture = choose(rng, style.postures)
    _bend_spine(rng, joints)
    leading = 1 if rng.random() < 0.5 else -1

    def bone(start: str, end: str) -> Vector:
        return heads[body.index_of_bone[end]] - heads[body.index_of_bone[start]]

    for side, sign in _SIDES:
        thigh, shin = leg_directions(rng, posture, style, sign, is_leading=sign == leading)
        upper_leg = rotation(Z_AXIS, sign * abs(rng.normal(0, 6))) @ aim(
            bone(f"upperleg01.{side}", f"lowerleg01.{side}"), thigh
        )
        lower_leg = aim(upper_leg @ bone(f"lowerleg01.{side}", f"foot.{side}"), shin) @ upper_leg
        joints.in_torso[f"upperleg01.{side}"] = upper_leg
        joints.in_torso[f"lowerleg01.{side}"] = lower_leg
        joints.in_torso[f"foot.{side}"] = rotation(Z_AXIS, sign * rng.uniform(0, 15))

        upper, lower = arm_directions(rng, posture, style, sign, is_leading=sign == leading)
        upper_arm = aim(bone(f"upperarm01.{side}", f"lowerarm01.{side}"), upper)
        lower_arm = aim(upper_arm @ bone(f"lowerarm01.{side}", f"wrist.{side}"), lower) @ upper_arm
        # The shoulder gives way to an arm above the horizontal.
        elevation = max(0.0, np.degrees(np.arctan2(upper[2], abs(upper[0]))))
        joints.relative[f"clavicle.{side}"] = rotation(Y_AXIS, -sign * 0.25 * elevation)
        joints.in_torso[f"upperarm01.{side}"] = upper_arm
        joints.in_torso[f"lowerarm01.{side}"] = lower_arm
    return joints


def bone_transforms(body: Body, heads: Matrix, joints: Joints) -> Matrix:
    """Return [B, 3, 4] float64: what each bone does to a point at rest.

    Args:
        body: for its skeleton.
        heads: [B, 3] bone heads of the identity, metres.
        joints: the pose.
    """
    transforms = np.zeros((len(body.parents), 3, 4))
    chest = body.index_of_bone["spine01"]
    for index, (name, parent) in enumerate(zip(body.bone_names, body.parents, strict=True)):
        if parent < 0:
            transforms[index, :, :3] = np.eye(3)
            continue
        if name in joints.relative:
            turned = transforms[parent, :, :3] @ joints.relative[name]
        elif name in joints.in_torso:
            torso = chest if "arm" in name else 0
            turned = transforms[torso, :, :3] @ joints.in_torso[name]
        else:
            transforms[index] = transforms[parent]
            continue
        head = transforms[parent, :, :3] @ heads[index] + transforms[parent, :, 3]
        transforms[index, :, :3] = turned
        transforms[index, :, 3] = head - turned @ heads[index]
    return transforms


def _bend_spine(rng: np.random.Generator, joints: Joints) -> None:
    bend = rotation(Z_AXIS, rng.normal(0, 6)) @ rotation(Y_AXIS, rng.normal(0, 4)) @ rotation(X_AXIS, rng.normal(0, 5))
    joints.relative["spine05"] = rotation(Y_AXIS, rng.normal(0, 2))
    joints.relative["spine03"] = joints.relative["spine01"] = bend
    joints.relative["neck02"] = rotation(Z_AXIS, rng.normal(0, 12)) @ rotation(X_AXIS, rng.normal(0, 6))
    joints.relative["head"] = (
        rotation(Z_AXIS, rng.normal(0, 12)) @ rotation(Y_AXIS, rng.normal(0, 5)) @ rotation(X_AXIS, rng.normal(0, 6))
    )
