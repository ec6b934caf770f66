"""The domains that persons are drawn from: everything the renderer can do, and what a small model can learn.

Holds figures only; the styles' own modules say what they mean.
"""

from dataclasses import dataclass

from xmdpt.persons.appearance import Direction, Logo, Pattern
from xmdpt.persons.camera import ViewStyle
from xmdpt.persons.chance import Range
from xmdpt.persons.limbs import ArmPosture, PoseStyle, Posture
from xmdpt.persons.wardrobe import Dye, WardrobeStyle


@dataclass(frozen=True)
class SceneryStyle:
    """What surrounds to expect.

    Attributes:
        background: grey level of a person's background above, 0..1.
        background_tint: standard deviation of its three colours.
        background_change: what is added to it below.
        light: middle of where light comes from, not of unit length.
        light_spread: standard deviation of its x, new in every picture.
        ambience: 0..1, of one person.
    """

    background: Range
    background_tint: float
    background_change: Range
    light: Direction
    light_spread: float
    ambience: Range


@dataclass(frozen=True)
class Domain:
    """What pictures to expect.

    Attributes:
        name: as it is called for.
        poses, views, wardrobe, scenery: the parts.
    """

    name: str
    poses: PoseStyle
    views: ViewStyle
    wardrobe: WardrobeStyle
    scenery: SceneryStyle


_ANY_DYE = Dye(grey_share=0.35, saturation=(0.2, 0.9), value=(0.25, 0.95))
_VIVID_DYE = Dye(grey_share=0.2, saturation=(0.55, 0.95), value=(0.4, 0.95))

VARIED = Domain(
    name="varied",
    poses=PoseStyle(
        postures=(
            (Posture.STAND, 0.35),
            (Posture.WALK, 0.25),
            (Posture.GESTURE, 0.25),
            (Posture.STEP, 0.10),
            (Posture.SIT, 0.05),
        ),
        calm_arms=((ArmPosture.DOWN, 0.75), (ArmPosture.HIP, 0.15), (ArmPosture.FORWARD, 0.10)),
        busy_arms=(
            (ArmPosture.DOWN, 0.45),
            (ArmPosture.HIP, 0.18),
            (ArmPosture.RAISED, 0.12),
            (ArmPosture.FORWARD, 0.13),
            (ArmPosture.SIDE, 0.12),
        ),
        raised=(95, 150),
        side=(45, 95),
        stretch=1.0,
        stride=(8, 32),
    ),
    views=ViewStyle(
        yaws=(((0, 60), 0.5), ((90, 25), 0.1), ((-90, 25), 0.1), ((180, 45), 0.2), ((0, 180), 0.1)),
        pitch_spread=4,
        full_body_share=0.6,
        height_share=(0.80, 0.95),
        upper_body_metres=(0.84, 1.24),
        jitter_metres=0.025,
    ),
    wardrobe=WardrobeStyle(
        sleeves=((-0.05, 0.04), (0.25, 0.18), (0.55, 0.30), (1.1, 0.12), (1.85, 0.36)),
        feminine_sleeves=((-0.05, 0.12), (0.25, 0.18), (0.55, 0.30), (1.1, 0.12), (1.85, 0.28)),
        hems=((-0.14, 1), (-0.06, 1)),
        feminine_hems=((-0.12, 0.30), (-0.03, 0.35), (0.04, 0.25), (0.12, 0.10)),
        leg_ends=((-0.16, 0.15), (-0.40, 0.10), (-0.62, 0.10), (-0.80, 0.65)),
        skirt_share=0.35,
        dress_share=0.5,
        legging_share=0.2,
        skirt_hem=(-0.62, -0.15),
        top_patterns=(
            (Pattern.PLAIN, 0.40),
            (Pattern.HORIZONTAL_STRIPES, 0.10),
            (Pattern.VERTICAL_STRIPES, 0.08),
            (Pattern.CHECKS, 0.08),
            (Pattern.DOTS, 0.07),
            (Pattern.BLOCK, 0.06),
            (Pattern.GRADIENT, 0.05),
            (Pattern.BLOTCHES, 0.06),
            (Pattern.SLEEVES, 0.06),
            (Pattern.DIAGONAL_STRIPES, 0.04),
        ),
        bottom_patterns=(
            (Pattern.PLAIN, 0.70),
            (Pattern.HORIZONTAL_STRIPES, 0.05),
            (Pattern.VERTICAL_STRIPES, 0.07),
            (Pattern.CHECKS, 0.07),
            (Pattern.DOTS, 0.05),
            (Pattern.BLOTCHES, 0.06),
        ),
        top_frequency=(6, 22),
        bottom_frequency=(6, 22),
        logos=((Logo.NONE, 0.6), (Logo.DISC, 0.1), (Logo.BOX, 0.1), (Logo.DIAMOND, 0.1), (Logo.TRIANGLE, 0.1)),
        logo_radius=(0.03, 0.08),
        logo_shifts=((0.0, 2), (0.07, 1)),
        top_dye=_ANY_DYE,
        bottom_dye=Dye(grey_share=0.35, saturation=(0.2, 0.8), value=(0.12, 0.9)),
        shoe_dye=Dye(grey_share=0.35, saturation=(0.1, 0.8), value=(0.1, 0.9)),
        jeans_share=0.4,
        min_contrast=0.1,
        fold_strength=(0.12, 0.4),
        looseness=(0.0, 0.03),
    ),
    scenery=SceneryStyle(
        background=(0.78, 0.96),
        background_tint=0.015,
        background_change=(-0.08, 0.03),
        light=(-0.3, -0.8, 0.6),
        light_spread=0.3,
        ambience=(0.45, 0.65),
    ),
)
"""Everything: all garments, patterns, poses, views and lights."""

_DEMO_SLEEVES = ((-0.05, 0.12), (0.25, 0.28), (0.55, 0.22), (1.85, 0.38))

DEMO = Domain(
    name="demo",
    poses=PoseStyle(
        postures=((Posture.STAND, 0.40), (Posture.WALK, 0.25), (Posture.GESTURE, 0.35)),
        calm_arms=((ArmPosture.DOWN, 0.80), (ArmPosture.HIP, 0.20)),
        busy_arms=(
            (ArmPosture.DOWN, 0.35),
            (ArmPosture.HIP, 0.20),
            (ArmPosture.RAISED, 0.20),
            (ArmPosture.SIDE, 0.25),
        ),
        raised=(120, 155),
        side=(30, 60),
        stretch=0.6,
        stride=(8, 24),
    ),
    views=ViewStyle(
        yaws=(((0, 50), 0.70), ((90, 12), 0.05), ((-90, 12), 0.05), ((180, 35), 0.20)),
        pitch_spread=1.5,
        full_body_share=1.0,
        height_share=(0.84, 0.94),
        upper_body_metres=(1.0, 1.0),
        jitter_metres=0.012,
    ),
    wardrobe=WardrobeStyle(
        sleeves=_DEMO_SLEEVES,
        feminine_sleeves=_DEMO_SLEEVES,
        hems=((-0.08, 1), (-0.04, 1)),
        feminine_hems=((-0.08, 1), (-0.03, 1), (0.04, 1)),
        leg_ends=((-0.28, 0.3), (-0.80, 0.7)),
        skirt_share=0.45,
        dress_share=0.5,
        legging_share=0.0,
        skirt_hem=(-0.45, -0.22),
        top_patterns=(
            (Pattern.PLAIN, 0.68),
            (Pattern.BLOCK, 0.10),
            (Pattern.SLEEVES, 0.12),
            (Pattern.HORIZONTAL_STRIPES, 0.10),
        ),
        bottom_patterns=((Pattern.PLAIN, 1.0),),
        # The torso is half a metre: at most five stripes of each colour.
        top_frequency=(5, 10),
        bottom_frequency=(5, 10),
        logos=((Logo.NONE, 0.88), (Logo.DISC, 0.03), (Logo.BOX, 0.03), (Logo.DIAMOND, 0.03), (Logo.TRIANGLE, 0.03)),
        logo_radius=(0.06, 0.09),
        logo_shifts=((0.0, 1),),
        top_dye=_VIVID_DYE,
        bottom_dye=_VIVID_DYE,
        shoe_dye=_VIVID_DYE,
        jeans_share=0.3,
        min_contrast=0.35,
        fold_strength=(0.05, 0.15),
        looseness=(0.0, 0.02),
    ),
    scenery=SceneryStyle(
        background=(0.82, 0.90),
        background_tint=0.008,
        background_change=(-0.06, -0.03),
        light=(-0.3, -0.8, 0.6),
        light_spread=0.0,
        ambience=(0.6, 0.6),
    ),
)
"""Whole persons in calm poses, plain vivid clothes and one light: what a small model learns cleanly."""

DOMAINS = {domain.name: domain for domain in (VARIED, DEMO)}
"""Every domain by its name."""
