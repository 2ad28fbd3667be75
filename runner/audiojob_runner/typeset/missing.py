"""What no font can show: a few signs are left out with a warning, a whole script is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from audiojob_runner.errors import PhaseError
from audiojob_runner.lyrics.scripts import script_of
from audiojob_runner.typeset.clusters import clusters
from audiojob_runner.typeset.fonts import Fonts
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason

MOST_MISSING: Final = 0.2
_MOST_NAMED: Final = 10


def check_shown(texts: Iterable[str], fonts: Fonts) -> list[str]:
    """Warnings of what is left out. Raises :class:`PhaseError` where it is more than a fifth of the letters."""
    letters, missing = 0, Counter[str]()
    for text in texts:
        letters += sum(each[0].isalpha() for each in clusters(text))
        missing.update(each[0] for each in fonts.lacks(text) if not each.isspace())
    if not missing:
        return []
    scripts = Counter[str]()
    for sign, count in missing.items():
        if (script := script_of(sign)) is not None:
            scripts[script] += count
    if scripts.total() > letters * MOST_MISSING:
        script, _ = scripts.most_common(1)[0]
        raise PhaseError(
            ExitCode.USAGE,
            Reason.INVALID_SPEC,
            f"The text cannot be shown: no font here has letters of its script ({script}).",
            "Ask the administrator for a font of that script in the folder of fonts (docs/karaoke.md).",
        )
    named = " ".join(f"{sign} (U+{ord(sign):04X})" for sign, _ in missing.most_common(_MOST_NAMED))
    more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
    return [f"Left out, because no font here has them: {named}{more}."]
