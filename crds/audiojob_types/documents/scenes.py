"""``scenes``: a film as a list of scenes, which Compose makes of pictures, clips, narration and texts.

People and programs write it. Media are named by the inputs of the phase: never a path, a key or an address.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from audiojob_types.base import WireModel

MAX_SCENES: Final = 120
MAX_MILLISECONDS: Final = 30 * 60_000
LEAST_MILLISECONDS: Final = 200
MAX_OVERLAYS: Final = 4
MAX_CHARACTERS: Final = 500
MAX_SUBTITLE_CHARACTERS: Final = 4_000

InputName = Annotated[str, Field(pattern=r"^[a-z0-9][-_.a-z0-9]*$", max_length=63)]
Colour = Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$")]
Milliseconds = Annotated[int, Field(strict=True, ge=0, le=MAX_MILLISECONDS)]
Decibels = Annotated[int, Field(strict=True, ge=-60, le=0)]


class Position(StrEnum):
    """Where a text stands."""

    TOP = "Top"
    CENTRE = "Centre"
    BOTTOM = "Bottom"


class TextSize(StrEnum):
    """How large a text is, by the frame's shorter side."""

    SMALL = "Small"
    MEDIUM = "Medium"
    LARGE = "Large"


class Look(StrEnum):
    """What keeps a text readable on any picture."""

    OUTLINE = "Outline"
    BOX = "Box"  # on a dark box that lets the picture through


class Fit(StrEnum):
    """What becomes of a picture of another shape than the film."""

    COVER = "Cover"  # it fills the film; what is too much is cut off at two sides
    CONTAIN = "Contain"  # all of it is shown, between black bars


class Transition(StrEnum):
    """How a scene begins. None changes the film's length."""

    CUT = "Cut"
    FADE = "Fade"  # the scene before goes black, this one comes out of it
    CROSS_FADE = "CrossFade"  # the last picture of the scene before stays while this one covers it


class Overlay(WireModel):
    """A text on the picture, for as long as its scene."""

    content: Annotated[str, Field(min_length=1, max_length=MAX_CHARACTERS)]
    position: Position = Position.BOTTOM
    size: TextSize = TextSize.MEDIUM
    look: Look = Look.OUTLINE
    colour: Colour = "#FFFFFF"


class Scene(WireModel):
    """One scene: what is seen, what is said, and for how long."""

    title: Annotated[str, Field(min_length=1, max_length=200)] | None = None  # of a chapter that begins here
    picture: InputName | None = None
    clip: InputName | None = None
    colour: Colour | None = None
    fit: Fit = Fit.COVER
    clip_start_milliseconds: Annotated[int, Field(strict=True, ge=0, le=86_400_000)] = 0
    clip_sound_decibels: Decibels | None = None  # the level of the clip's own sound; None: it is not heard
    narration: InputName | None = None
    subtitle: Annotated[str, Field(min_length=1, max_length=MAX_SUBTITLE_CHARACTERS)] | None = None
    duration_milliseconds: Annotated[int, Field(strict=True, ge=LEAST_MILLISECONDS, le=MAX_MILLISECONDS)] | None = None
    pause_milliseconds: Annotated[int, Field(strict=True, ge=0, le=60_000)] = 0  # after the narration, where no
    # duration is set
    texts: Annotated[tuple[Overlay, ...], Field(max_length=MAX_OVERLAYS)] = ()
    transition: Transition = Transition.CUT

    @model_validator(mode="after")
    def _shows_one_thing(self) -> Self:
        shown = [name for name in ("picture", "clip", "colour") if getattr(self, name) is not None]
        if len(shown) != 1:
            raise ValueError(f"must have exactly one of picture, clip, colour; it has {' and '.join(shown) or 'none'}")
        if self.clip is None and self.clip_start_milliseconds:
            raise ValueError("clipStartMilliseconds needs a clip")
        if self.clip is None and self.clip_sound_decibels is not None:
            raise ValueError("clipSoundDecibels needs a clip")
        if self.duration_milliseconds is None and self.narration is None and self.clip is None:
            raise ValueError("needs durationMilliseconds, or a narration that says how long it is")
        return self

    @property
    def inputs(self) -> tuple[tuple[str, str], ...]:
        """The inputs that the scene names, by field."""
        named = (("picture", self.picture), ("clip", self.clip), ("narration", self.narration))
        return tuple((field, name) for field, name in named if name is not None)


class Music(WireModel):
    """Music under the whole film, again from its beginning where it is shorter."""

    input: InputName
    level_decibels: Decibels = -12
    ducking_decibels: Annotated[int, Field(strict=True, ge=0, le=40)] = 12  # how much quieter while somebody speaks
    fade_milliseconds: Annotated[int, Field(strict=True, ge=0, le=20_000)] = 2_000  # at the film's end


class SceneList(WireModel):
    """The whole film."""

    version: Literal[1] = 1
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{1,8}){0,2}$", max_length=20)] | None = None
    title: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    thumbnail_milliseconds: Milliseconds | None = None  # where the thumbnail is taken; None: a tenth in
    music: Music | None = None
    scenes: Annotated[tuple[Scene, ...], Field(min_length=1, max_length=MAX_SCENES)]
