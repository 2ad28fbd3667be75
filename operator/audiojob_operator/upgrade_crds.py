"""``python -m audiojob_operator.upgrade_crds FILE…``: bring the cluster's CRDs to those of a release.

Helm installs CRDs and never upgrades them; the chart runs this before an upgrade. Each FILE holds one CRD as JSON. CRDs
of a later release are left alone, since earlier ones lack fields that stored objects have. Then, and when a right is
missing, nothing is changed and the exit status is 1.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from audiojob_kube.client import KubeClient, connect
from audiojob_kube.config import load_connection
from audiojob_kube.errors import ApiError, Conflict, NotFound, TransportError
from audiojob_kube.objects import Object
from audiojob_kube.resources import CUSTOMRESOURCEDEFINITIONS
from audiojob_operator.doctor.schema import fields_served
from audiojob_types.constants import ANNOTATION_RELEASE

_MANAGER: Final = "audiojob-crds"
_NAMED: Final = 3  # of the fields that would be lost
_ATTEMPTS: Final = 5  # while others write the same CRD
_POLLS, _POLL_SECONDS = 60, 0.5
_EXIT_REFUSED: Final = 1
_EXIT_USAGE: Final = 64
_RELEASE: Final = re.compile(r"^(\d+)\.(\d+)\.(\d+)(-.+)?$")


class RefusedError(Exception):
    """Why no CRD was changed, and the way out."""


def going_back(installed: Object, ours: Object) -> str | None:
    """Why our CRD must not replace the installed one; None if it may."""
    name, there, here = ours["metadata"]["name"], _release(installed), _release(ours)
    lost = sorted((fields_served(installed) or frozenset()) - (fields_served(ours) or frozenset()))
    later = (_order(there) or ()) > (_order(here) or ())
    if not later and not lost:
        return None
    why = f"is of release {there or 'unknown'}, this chart's of {here}"
    if lost:
        some = ", ".join(lost[:_NAMED])
        why += f", which lacks {len(lost)} of its fields ({some}{', …' if len(lost) > _NAMED else ''})"
    return (
        f"CRD {name} {why}. Nothing was changed. Upgrade with the chart of release {there or 'that made it'} or a "
        "later one, or set crds.upgrade to false: programs work with CRDs of later releases."
    )


def _release(crd: Object) -> str:
    return str((crd["metadata"].get("annotations") or {}).get(ANNOTATION_RELEASE, ""))


def _order(release: str) -> tuple[int, int, int, bool] | None:
    """Sorts releases; one that is to become a release comes before it."""
    found = _RELEASE.match(release)
    return (int(found[1]), int(found[2]), int(found[3]), found[4] is None) if found is not None else None


async def upgrade(client: KubeClient, crds: Sequence[Object]) -> list[str]:
    """Create or replace all of them, and wait until they are served. Returns what was done, a line each.

    Raises :class:`RefusedError` before anything is changed, ApiError or TransportError.
    """
    installed = [await _installed(client, crd["metadata"]["name"]) for crd in crds]
    pairs = list(zip(installed, crds, strict=True))
    if refused := [why for there, ours in pairs if there is not None and (why := going_back(there, ours))]:
        raise RefusedError("\n".join(refused))
    return [await _put(client, there, ours) for there, ours in pairs]


async def _installed(client: KubeClient, name: str) -> Object | None:
    try:
        return await client.get(CUSTOMRESOURCEDEFINITIONS, name)
    except NotFound:
        return None


async def _put(client: KubeClient, there: Object | None, ours: Object) -> str:
    name = ours["metadata"]["name"]
    for _ in range(_ATTEMPTS):
        try:
            if there is None:
                await client.create(CUSTOMRESOURCEDEFINITIONS, ours)
            else:
                # A merge patch takes lists as a whole: of server-side apply, rules that helm once set would remain.
                metadata = {**ours["metadata"], "resourceVersion": there["metadata"]["resourceVersion"]}
                body = {"metadata": metadata, "spec": ours["spec"]}
                await client.patch_merge(CUSTOMRESOURCEDEFINITIONS, name, body)
            break
        except Conflict:
            there = await _installed(client, name)
            if there is not None and (why := going_back(there, ours)):
                raise RefusedError(why) from None
    else:
        raise RefusedError(f"CRD {name}: others keep changing it. Upgrade again once they have ended.")
    await _until_established(client, name)
    return f"CRD {name}: {'created' if there is None else 'upgraded'} ({_release(ours)})"


async def _until_established(client: KubeClient, name: str) -> None:
    for _ in range(_POLLS):
        status = (await client.get(CUSTOMRESOURCEDEFINITIONS, name)).get("status") or {}
        conditions = {each["type"]: each["status"] for each in status.get("conditions") or ()}
        if conditions.get("Established") == "True":
            return
        await asyncio.sleep(_POLL_SECONDS)
    raise RefusedError(f"CRD {name} is not served: kubectl describe crd {name} says why.")


async def _run(crds: Sequence[Object]) -> None:
    client = connect(load_connection(None, None), user_agent=_MANAGER, field_manager=_MANAGER)
    try:
        print("\n".join(await upgrade(client, crds)))
    finally:
        await client.aclose()


def main(files: Sequence[str]) -> int:
    """The process: 0 when the CRDs are those of the files, 1 when they were left alone, 64 without files."""
    if not files:
        print("audiojob upgrade_crds: name the files of the CRDs", file=sys.stderr)
        return _EXIT_USAGE
    crds = [json.loads(Path(file).read_text(encoding="utf-8")) for file in files]
    try:
        asyncio.run(_run(crds))
    except (RefusedError, ApiError, TransportError) as error:
        print(f"audiojob upgrade_crds: {error}", file=sys.stderr)
        return _EXIT_REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
