"""Writes what `make generate` derives from tasks into the working folder, where a copy of the chart lies."""

from __future__ import annotations

from pathlib import Path

from audiojob_types.generate.chart_values import write
from audiojob_types.generate.crd import write_crds
from audiojob_types.generate.tasks_doc import tasks_page

write_crds(Path("crds"))
write(Path("chart"))
Path("tasks.md").write_text(tasks_page(), encoding="utf-8")
