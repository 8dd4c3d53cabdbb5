"""Choice of a save for who names none."""

from collections.abc import Sequence

from remote_kernel.core.saves.save import Save


def choose(saves: Sequence[Save], session: str) -> Save | None:
    """Return the save that is meant where none is named; `None` where there is none that can be used.

    That is the newest one. But a session that follows one that was lost may have saved itself when it had hardly
    anything, and who restores into it wants what was lost: what it has saved unasked counts once it has as many
    variables.

    Args:
        saves: all, the newest first.
        session: epoch of the interpreter that is to get it; "" where there is none so far.
    """
    usable = [save for save in saves if not save.problem]
    newest = usable[0] if usable else None
    before = next((save for save in usable if save.session != session), None)
    if newest is None or before is None or not session or newest.session != session:
        return newest
    is_all_unasked = all(save.is_unasked for save in usable if save.session == session)
    return before if is_all_unasked and newest.manifest.saved < before.manifest.saved else newest


def has_larger(saves: Sequence[Save], save: Save) -> bool:
    """Return whether another session has left a save with more than twice as many variables: this one's may have been
    lost before it had much."""
    return any(
        not each.problem and each.session != save.session and each.manifest.saved > 2 * save.manifest.saved
        for each in saves
    )
