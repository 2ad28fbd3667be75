"""Live bars by phase, until the job has ended."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from audiojob_dev.demo.tools import Cluster, ToolError
from audiojob_dev.demo.view import phase_rows
from audiojob_types.resources.job import AudioJob

_STYLES = {"Succeeded": "green", "Failed": "red", "Cancelled": "yellow", "Running": "cyan"}


def follow(cluster: Cluster, namespace: str, name: str, console: Console, *, limit_seconds: float) -> AudioJob:
    """Show the job's bars until it has ended and return it. Raises :class:`ToolError` past the limit."""
    end = time.monotonic() + limit_seconds
    shown = ""
    done = None
    with Live(console=console, refresh_per_second=8, transient=False) as live:
        for job in _versions(cluster, namespace, name):
            live.update(_drawn(job, name))
            line = f"  {job.status.state} {job.status.phase or '-'}: {job.status.message or ''}"
            if not console.is_terminal and line != shown:  # a log or CI: one line for each change, no bars
                console.print(line, markup=False, highlight=False)
                shown = line
            done = job if job.status.state.finished else None
            if done or time.monotonic() > end:
                break
    if not console.is_terminal:
        console.print()  # what is drawn last has no end of line there
    if done:
        return done
    raise ToolError(f"AudioJob {name} has not ended within {limit_seconds:.0f} s; see: kubectl describe aj {name}")


def _versions(cluster: Cluster, namespace: str, name: str) -> Iterator[AudioJob]:
    """Every version of the job that the API server shows, starting with the present one."""
    command = [cluster.kubectl_path, *(["--kubeconfig", str(cluster.kubeconfig)] if cluster.kubeconfig else [])]
    command += ["--context", cluster.context, "-n", namespace, "get", "audiojob", name, "-o", "json", "--watch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            buffer: list[str] = []
            for line in process.stdout:  # pretty-printed objects, each closed by a brace in the first column
                buffer.append(line)
                if line.rstrip() == "}":
                    yield AudioJob.model_validate(json.loads("".join(buffer)))
                    buffer.clear()
        finally:
            process.terminate()


def _drawn(job: AudioJob, name: str) -> Group:
    table = Table.grid(padding=(0, 2))
    for row in phase_rows(job):
        style = _STYLES.get(row.state, "dim")
        table.add_row(
            Text(f"{row.name:<12}", style=style),
            ProgressBar(total=100, completed=row.percent, width=40, complete_style=style, finished_style=style),
            f"{row.percent:>3} %",
            Text(row.state, style=style),
            Text(row.detail, style="dim"),
        )
    status = job.status
    title = Text.assemble(
        (f"{name}  ", "bold"), (f"{status.state}  {status.percent} %  ", "bold"), status.message or ""
    )
    return Group(title, table)
