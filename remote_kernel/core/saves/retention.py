"""Retention of saves: how many are kept, and which go first.

A session that is lost is followed by one that has hardly anything, and saves itself. So the newest save of each earlier
session is kept beside the others: nobody may have missed it yet.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from remote_kernel.core.saves.save import Save
from remote_kernel.core.settings import DEFAULT_SAVES_BYTES, DEFAULT_SAVES_KEPT


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Bounds of the saves of one owner.

    Attributes:
        count: how many are kept; of as many earlier sessions the newest one each is kept beside these.
        max_bytes: of their objects on disk; what several have in common counts once.
    """

    count: int = DEFAULT_SAVES_KEPT
    max_bytes: int = DEFAULT_SAVES_BYTES

    def superseded(self, saves: Sequence[Save], added: Save, sizes: Mapping[str, int]) -> list[Save]:
        """Return which saves go, now that one was added: older ones with its name, then what is too much.

        Those without a name go before those with one, and those that are the newest of an earlier session behind others
        like them, the oldest first. The newest never goes, nor the one that was added.

        Args:
            saves: all, the newest first.
            sizes: of the objects' files, in bytes, by hash.
        """
        replaced = [save for save in saves if added.name and save.name == added.name and _is_older(save, added)]
        left = [save for save in saves if save not in replaced]
        return replaced + list(self._excess(left, added, sizes))

    def _excess(self, saves: Sequence[Save], added: Save, sizes: Mapping[str, int]) -> Iterator[Save]:
        users = Counter(each.hash for save in saves for each in save.manifest.objects)
        beside = self._beside(saves, added)
        count, total = len(saves) - len(beside), sum(sizes.get(name, 0) for name in users)
        newest = next((save.id for save in saves if not save.problem), "")
        oldest_first = saves[::-1]
        for save in sorted(oldest_first, key=lambda save: (bool(save.name), save.id in beside)):
            if count <= self.count and total <= self.max_bytes:
                return
            if save.id in (newest, added.id) or (save.id in beside and total <= self.max_bytes):
                continue
            count -= save.id not in beside
            for each in save.manifest.objects:
                users[each.hash] -= 1
                total -= 0 if users[each.hash] else sizes.get(each.hash, 0)
            yield save

    def _beside(self, saves: Sequence[Save], added: Save) -> set[str]:
        """Return the newest save of each session before the one of `added`, of as many as are kept."""
        newest: dict[str, str] = {}
        for save in saves:
            if not save.problem and save.session != added.session and _is_older(save, added):
                newest.setdefault(save.session, save.id)
        return set(list(newest.values())[: self.count])


def _is_older(save: Save, other: Save) -> bool:
    return (save.saved_at, save.id) < (other.saved_at, other.id)
