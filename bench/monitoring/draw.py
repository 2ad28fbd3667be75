# /// script
# dependencies = ["matplotlib>=3.9"]
# ///
"""Draws what bench/monitoring/boards.py measured: ``uv run bench/monitoring/draw.py build/boards.json FOLDER``.

A PNG for each board. A script of its own, with its own environment: nothing of audiojob draws.
"""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl  # type: ignore[import-not-found] # only in the environment that uv makes for this script

mpl.use("agg")
from matplotlib import pyplot as plt  # type: ignore[import-not-found]

_COLUMNS = 3
_LEGEND = re.compile(r"\{\{(\w+)\}\}")
_MOST = 8  # lines with a name of their own


def label(legend: str, metric: dict[str, str]) -> str:
    """What Grafana writes beside a line."""
    if legend:
        return _LEGEND.sub(lambda match: metric.get(match[1], ""), legend).strip()
    return " ".join(value for name, value in metric.items() if not name.startswith("__")) or "value"


def draw(board: str, panels: dict[str, list[dict[str, Any]]], start: float, file: Path, about: str) -> None:
    """One board: its panels in the order of the board."""
    rows = math.ceil(len(panels) / _COLUMNS)
    figure, axes = plt.subplots(rows, _COLUMNS, figsize=(16, 3 * rows), squeeze=False)
    cells = [axis for row in axes for axis in row]
    for axis, (title, queries) in zip(cells, panels.items(), strict=False):
        lines = [(label(each["legend"], one["metric"]), one["values"]) for each in queries for one in each["series"]]
        for name, values in lines:
            axis.plot([(at - start) / 60 for at, _ in values], [float(value) for _, value in values], label=name)
        axis.set_title(title, fontsize=10)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
        axis.set_ylim(bottom=min(0, axis.get_ylim()[0]))
        if lines:
            axis.legend(*(each[:_MOST] for each in axis.get_legend_handles_labels()), fontsize=6, loc="upper left")
        else:
            axis.text(0.5, 0.5, "unmeasured", ha="center", transform=axis.transAxes)
    for axis in cells[len(panels) :]:
        axis.axis("off")
    figure.suptitle(f"{board} - {about}", fontsize=12)
    figure.tight_layout()
    figure.savefig(file, dpi=60)
    plt.close(figure)


def main() -> int:
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    measured = json.loads(source.read_text())
    boards: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for each in measured["panels"]:
        boards.setdefault(each["board"], {}).setdefault(each["panel"], []).append(each)
    folder.mkdir(parents=True, exist_ok=True)
    for board, panels in boards.items():
        draw(board, panels, measured["start"], folder / f"{board}.png", measured["about"])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
