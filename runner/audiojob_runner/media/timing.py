"""Which part of what ffmpeg decodes is played, and when: options and filters that hold it to what the file says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# Silence in the gaps of sound: most formats of sound alone have no timeline.
_FILLED: Final = "aresample=async=1"
# What is before sound that does not start late is the delay of its coding. Behind a change of layout ffmpeg makes the
# filters anew, and then sound starts where the change is.
_NO_DELAY: Final = "asetpts='if(lt(STARTT,0.05),PTS-STARTPTS,PTS)'"
# Of sound that starts late the part that gets silence before it. Filters that are made anew see nothing of it.
_FIRST_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Timing:
    """How one sound track is to be read.

    ``seconds`` of it are played, and what is decoded behind them is padding; None is all of it. So is what comes
    ``lead_seconds`` before the beginning. ``timeline``: the container says when each piece plays; sound that
    starts ``late_seconds`` late has silence before it. ``shifted``: ffmpeg would leave it out unless the film is read
    too. ``past_end``: read on behind the end that the header names; ``unnamed``: it names none.
    """

    seconds: float | None = None
    lead_seconds: float = 0.0
    timeline: bool = False
    late_seconds: float = 0.0
    shifted: bool = False
    past_end: bool = False
    unnamed: bool = False


PLAIN: Final = Timing()


def timing_options(timing: Timing) -> list[str]:
    """Options before the input."""
    options = ["-ignore_length", "1"] if timing.past_end or timing.unnamed else []
    if timing.lead_seconds:
        # ffmpeg counts from the first packet, and not from the beginning.
        options += ["-itsoffset", f"-{timing.lead_seconds:.6f}"]
    elif timing.shifted:
        # MPEG-TS begins anywhere. ffmpeg counts from the first stream that is used, unless an offset is given.
        options += ["-itsoffset", "0.000001"]
    return options


def timing_filters(timing: Timing) -> list[str]:
    """The first filters of the chain."""
    bounds = ["start=0"] if timing.lead_seconds else []
    if timing.seconds is not None:
        bounds.append(f"duration={timing.seconds:.6f}")
    filters = [f"atrim={':'.join(bounds)}"] if bounds else []
    if timing.timeline:
        filters.append(_late(timing.late_seconds) if timing.late_seconds else f"{_FILLED},{_NO_DELAY}")
    return filters


def _late(seconds: float) -> str:
    """Silence before the first sound, and then both by their time, in the unit that ``ainterleave`` counts in."""
    end = f"{seconds + _FIRST_SECONDS:.6f}"
    return (
        f"asplit[first][rest];[first]atrim=end={end},{_FILLED}:first_pts=0,asettb=AVTB[begun];"
        f"[rest]atrim=start={end},{_FILLED},asettb=AVTB[on];[begun][on]ainterleave,asettb=1/sr"
    )
