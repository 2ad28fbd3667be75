"""The oddities of the matrix: for each container how ffmpeg makes it, and what must come out; or why it cannot be."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.integration.runner.tasks.media.matrix.containers import Container

from audiojob_types.reasons import Reason

RATE: Final = 44_100
LEVEL: Final = 0.5
SIZE: Final = (64, 48)
LEFT, RIGHT = 440, 1_500
TAGS: Final = {"title": "Für Élise – 夜", "artist": "Björk"}


@dataclass(frozen=True, slots=True)
class Heard:
    """From when to when there is a tone of this pitch and level on each side."""

    begin: float
    end: float
    left: tuple[int, float] = (LEFT, LEVEL)
    right: tuple[int, float] = (RIGHT, LEVEL)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What must come out. ``slack``: by how many seconds the length may be off."""

    seconds: float = 2.0
    slack: float = 0.1
    channels: int = 2
    heard: tuple[Heard, ...] = (Heard(0.2, 1.8),)
    silent: tuple[tuple[float, float], ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    picture: tuple[int, int] | None = None
    film: bool = False
    refused: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Recipe:
    """Each of ``parts`` is what ffmpeg is told; the files are put behind each other, and ``kept`` of them kept."""

    parts: tuple[tuple[str, ...], ...]
    wanted: Wanted
    kept: float = 1.0
    called: str | None = None  # the name that the file goes by
    after: tuple[str, ...] = ()  # what else ffmpeg is told, in a second step that only copies
    channels: int | None = None  # asked for, where the file has different ones


BOTH: Final = f"{LEVEL}*sin(2*PI*{LEFT}*t)|{LEVEL}*sin(2*PI*{RIGHT}*t)"


def tone(sides: str = BOTH, seconds: float = 2, rate: int = RATE, layout: str = "stereo") -> tuple[str, ...]:
    """A source of sound for ffmpeg."""
    return ("-f", "lavfi", "-i", f"aevalsrc={sides}:s={rate}:d={seconds}:c={layout}")


def shown(seconds: float = 2, filters: str = "") -> tuple[str, ...]:
    """A source of pictures."""
    return ("-f", "lavfi", "-i", f"testsrc=s={SIZE[0]}x{SIZE[1]}:r=25:d={seconds}{filters}")


def plain(container: Container) -> Recipe:
    return Recipe(((*tone(), *container.sound),), Wanted())


def late(container: Container) -> Recipe | str:
    if not container.film:
        return "it has no film beside which its sound could be late"
    sources = (*shown(3), "-itsoffset", "1", *tone())
    wanted = Wanted(3, heard=(Heard(1.2, 2.8),), silent=((0, 0.9),), film=True)
    return Recipe(((*sources, *container.film, *container.sound),), wanted)


def gap(container: Container) -> Recipe | str:
    if not container.ticks:
        return "it does not say when each piece of this coding plays"
    dropped = ("-bsf:a", f"noise=drop='between(pts,{container.ticks},{2 * container.ticks})'")
    wanted = Wanted(3, heard=(Heard(0.2, 0.8), Heard(2.2, 2.8)), silent=((1.2, 1.8),))
    return Recipe(((*tone(seconds=3), *container.sound, *dropped),), wanted)


def odd_length(container: Container) -> Recipe:
    seconds = 132_266 / RATE
    return Recipe(
        ((*tone(seconds=seconds), *container.sound),),
        Wanted(seconds, 1.5 / RATE if container.exact else 0.1, heard=(Heard(0.2, 2.8),)),
    )


def changed(container: Container) -> Recipe | str:
    if not container.joins:
        return "one header is for all of it"
    mono = tone(f"{LEVEL}*sin(2*PI*{LEFT}*t)", rate=48_000, layout="mono")
    parts = ((*mono, *container.sound), (*tone(), *container.sound))
    heard = (Heard(0.2, 1.8, right=(LEFT, LEVEL)), Heard(2.3, 3.7))
    return Recipe(parts, Wanted(4, 0.2, heard=heard), channels=2)


def loud(container: Container) -> Recipe | str:
    if container.floats is None:
        return "its codings end at full scale, or are no floats"
    sound = tone(f"2.5*sin(2*PI*{LEFT}*t)|2.5*sin(2*PI*{RIGHT}*t)")
    return Recipe(((*sound, "-c:a", container.floats),), Wanted(heard=()))


def surround(container: Container) -> Recipe | str:
    if container.name in ("mp3", "ts"):
        return "its coding holds two channels"
    channels = f"{BOTH}|0|0|0|0"
    mixed = LEVEL / (1 + 2**0.5)
    heard = Heard(0.2, 1.8, (LEFT, mixed), (RIGHT, mixed))
    return Recipe(((*tone(channels, layout="5.1"), *container.sound),), Wanted(heard=(heard,), channels=6))


def mono(container: Container) -> Recipe:
    sound = tone(f"{LEVEL}*sin(2*PI*{LEFT}*t)", layout="mono")
    return Recipe(((*sound, *container.sound),), Wanted(heard=(Heard(0.2, 1.8, right=(LEFT, LEVEL)),), channels=1))


def tagged(container: Container) -> Recipe | str:
    if container.tags is None:
        return "it holds none"
    given = tuple(each for name, value in TAGS.items() for each in ("-metadata", f"{name}={value}"))
    return Recipe(((*tone(), *container.sound, *container.tags, *given),), Wanted(tags=TAGS))


def cover(container: Container) -> Recipe | str:
    if container.cover is None:
        return "it holds none, or ffmpeg writes none"
    wanted = Wanted(picture=SIZE)
    match container.cover:
        case "stream":
            picture = ("-map", "0", "-map", "1", "-c:v", "mjpeg", "-frames:v", "1", "-disposition:v:0", "attached_pic")
            sources = (*tone(), *shown(0.1))
            return Recipe(((*sources, *container.sound, *(container.tags or ()), *picture),), wanted)
        case "attachment":
            attached = (
                "-attach",
                "COVER",
                "-metadata:s:t",
                "mimetype=image/jpeg",
                "-metadata:s:t",
                "filename=cover.jpg",
            )
            return Recipe(((*tone(), *container.sound, *attached),), wanted)
        case _:
            return Recipe(((*tone(), *container.sound, "-metadata", "METADATA_BLOCK_PICTURE=COVER"),), wanted)


def misnamed(container: Container) -> Recipe:
    name = "song.wav" if container.name == "mp3" else "song.mp3"
    return Recipe(((*tone(), *container.sound),), Wanted(), called=name)


def cut_off(container: Container) -> Recipe:
    if container.promises:
        wanted = Wanted(refused=(Reason.CORRUPT_MEDIA, Reason.NOT_MEDIA))
    else:
        wanted = Wanted(2, 1.1, heard=(Heard(0.2, 0.8),))  # Ogg has a page a second
    return Recipe(((*tone(seconds=4), *container.sound),), wanted, kept=0.6)


def wide(container: Container) -> Recipe | str:
    if not container.film:
        return "it has no film"
    sources = (*shown(2, ",setsar=2"), *tone())
    # MPEG-2 has no other that is near: 2.21 to 1.
    width = 106 if container.name == "ts" else 2 * SIZE[0]
    wanted = Wanted(picture=(width, SIZE[1]), film=True)
    return Recipe(((*sources, *container.film, *container.sound),), wanted)


def turned(container: Container) -> Recipe | str:
    if container.name not in ("mp4", "mov"):
        return "it has no film, or ffmpeg writes no turn into it"
    wanted = Wanted(picture=(SIZE[1], SIZE[0]), film=True)
    made = (*shown(), *tone(), *container.film, *container.sound)
    return Recipe((made,), wanted, after=("-metadata:s:v:0", "rotate=90"))


ODDITIES: Final[dict[str, Callable[[Container], Recipe | str]]] = {
    "nothing odd": plain,
    "sound that starts late": late,
    "a gap": gap,
    "a length of no whole frames": odd_length,
    "a change of layout and rate": changed,
    "floats above full scale": loud,
    "six channels": surround,
    "one channel": mono,
    "tags": tagged,
    "a cover": cover,
    "another format's name": misnamed,
    "no end": cut_off,
    "pixels that are not square": wide,
    "a turned film": turned,
}


def picture_block(jpeg: Path) -> str:
    """A picture as Ogg files hold it."""
    data = jpeg.read_bytes()
    head = struct.pack(">II", 3, 10) + b"image/jpeg" + struct.pack(">I", 0)
    return base64.b64encode(head + bytes(16) + struct.pack(">I", len(data)) + data).decode()
