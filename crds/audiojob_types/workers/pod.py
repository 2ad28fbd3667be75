"""The two containers of a worker's pod, and the folder that both see.

``serve`` has the token and the store, tells phases to begin, fetches, publishes and reports; it decodes nothing.
``work`` holds libraries and networks and runs each phase's task in a process of its own; it has neither. Of the scratch
volume ``work`` sees the folder ``room`` alone. They speak by a socket in it, which is gone before the first phase.
"""

from __future__ import annotations

from typing import Final

from audiojob_types.contract import SCRATCH_ROOT

CONTAINER_SERVE: Final = "serve"
CONTAINER_WORK: Final = "work"
# The last words of the containers' commands.
COMMANDS: Final = {CONTAINER_SERVE: "serve", CONTAINER_WORK: "work"}
ROOM: Final = "room"  # the subPath of the scratch volume that ``work`` mounts
ROOM_ROOT: Final = f"{SCRATCH_ROOT}/{ROOM}"
SOCKET: Final = "work.sock"  # in the room
