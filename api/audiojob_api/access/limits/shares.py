"""How many requests of one user are in progress: each keeps a connection, of which a replica has few for all users."""

from __future__ import annotations

from collections import Counter


class Shares:
    """Of each user, in this replica. Users without a request take no memory."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._in_progress = Counter[str]()

    def take(self, user: str) -> bool:
        """Whether one more may begin; then it counts until :meth:`give_back`."""
        if self._in_progress[user] >= self.most:
            return False
        self._in_progress[user] += 1
        return True

    def give_back(self, user: str) -> None:
        """One has ended."""
        self._in_progress[user] -= 1
        if not self._in_progress[user]:
            del self._in_progress[user]

    def __len__(self) -> int:
        return len(self._in_progress)
