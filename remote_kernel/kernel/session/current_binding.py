"""Binding of a kernel as it is now: each change is remembered in its file, for a successor of this process."""

import time
from dataclasses import replace

from remote_kernel.client.link.following import Position
from remote_kernel.core.errors import SessionLost
from remote_kernel.core.wire.frames import DEFAULT_KERNEL, DEFAULT_KERNELSPEC
from remote_kernel.kernel.session.binding import Binding, BindingFile, after_restart
from remote_kernel.kernel.session.releases import Release, Releases, release_of


class CurrentBinding:
    """Session that a kernel is bound to, and what is remembered of it.

    Args:
        releases: where the session of an earlier process goes that this one does not go on with.

    Attributes:
        now: the binding; `None` before the first request that needs one.
        file: where it is remembered.
        has_left: whether an earlier process has left a session that is to be given back.
    """

    def __init__(self, file: BindingFile, releases: Releases) -> None:
        self.file = file
        self.has_left = False
        self._started_at = time.monotonic()
        self.now = self._take_up(file.load(), releases)
        self._keep_until = self.now.keep_until if self.now else 0.0

    def _take_up(self, binding: Binding | None, releases: Releases) -> Binding | None:
        """Go on with what an earlier process of this kernel was bound to.

        Unless that ended without a word and its session is nobody else's: then who restarts the kernel wants a fresh
        start, as with a local kernel. A notebook's kernel may have crashed, and its variables are worth keeping.
        """
        if binding is None or binding.can_be_found or binding.restart or not binding.epoch:
            return binding
        self.has_left = releases.add(release_of(binding, time.time())) is not None
        self.file.remove()
        return None

    def remember(self, binding: Binding) -> None:
        """Be bound to `binding` from now on."""
        self.now = binding
        self.file.save(binding)

    @property
    def is_known(self) -> bool:
        """Return whether there is a session, as far as this process, or an earlier one of the same kernel, has been
        told."""
        return self.now is not None and bool(self.now.epoch) and not self.now.restart

    @property
    def epoch(self) -> str:
        """The epoch that was followed last; "" for none."""
        return self.now.epoch if self.now is not None else ""

    @property
    def is_private(self) -> bool:
        """Return whether nobody knew the notebook, so that the session is this kernel's alone."""
        return self.now is not None and self.now.is_private

    @property
    def can_be_found(self) -> bool:
        """Return whether somebody can come back to the session, if there is one."""
        return self.now is None or self.now.can_be_found

    @property
    def kernel(self) -> str:
        """The name of the kernel in the pod."""
        return self.now.kernel if self.now else DEFAULT_KERNEL

    @property
    def kernelspec(self) -> str:
        return self.now.kernelspec if self.now else DEFAULT_KERNELSPEC

    @property
    def notebook(self) -> str:
        """The path of the notebook; "" where nobody knows it."""
        return self.now.notebook if self.now else ""

    @property
    def keep_until(self) -> float:
        """The time until which the pod is to be kept warm at least (seconds since 1970)."""
        return self._keep_until

    @keep_until.setter
    def keep_until(self, when: float) -> None:
        self._keep_until = when
        if self.now is not None:
            self.remember(replace(self.now, keep_until=when))

    @property
    def untold(self) -> SessionLost | None:
        """A loss of which no cell has been told, by this process or an earlier one of the same kernel."""
        return SessionLost(self.now.untold) if self.now is not None and self.now.untold else None

    def note_untold(self, loss: SessionLost | None) -> None:
        """Remember a loss until it is told, which is noted with `None`; this process may end before that."""
        if self.now is not None:
            pod = "" if loss is None else self.now.pod  # whoever was told expects nothing of it
            binding = replace(self.now, untold="" if loss is None else str(loss), pod=pod)
            if binding != self.now:
                self.remember(binding)

    def note_attached(self, position: Position, pod: str, *, cooldown_seconds: float) -> bool:
        """Remember, in one go, which session this is and in which pod; whether that is another than the user, who has
        not been told, expects.

        After a restart that was asked for the state is expected to be gone, but the files are not.
        """
        if self.now is None:
            return False
        known, self.now = self.now, replace(self.now, pod=pod)
        self.note_position(position, cooldown_seconds=cooldown_seconds)
        if self.now.epoch == known.epoch and pod != known.pod:
            self.remember(self.now)
        return known.pod not in ("", pod)

    def note_position(self, position: Position | None, *, cooldown_seconds: float) -> None:
        """Remember how far the front end has been served."""
        if self.now is None:
            return
        epoch, cursor = position or ("", 0)
        # The cursor first: with the old epoch a new cursor is refused, with a new epoch an old one would skip output.
        self.file.save_cursor(cursor)
        if epoch != self.now.epoch:
            self.remember(replace(self.now, epoch=epoch, restarted="", cooldown_seconds=cooldown_seconds))

    @property
    def position(self) -> Position | None:
        """The position up to which an earlier process has served the front end; `None` for none."""
        return Position(epoch=self.epoch, cursor=self.file.load_cursor()) if self.epoch else None

    def ask_restart(self) -> None:
        """Remember that a restart was asked for, and may not have happened."""
        if self.now is not None:
            self.remember(replace(self.now, restart=True, untold=""))

    def note_restart(self, epoch: str) -> None:
        """Remember that the pod has restarted the interpreter; `epoch` is what is there now, as far as it has told."""
        if self.now is not None:
            self.remember(after_restart(self.now, epoch))

    @property
    def restarted(self) -> str:
        """Return the epoch of a restart that this process is to give back; "" for none."""
        return self.now.restarted if self.now is not None else ""

    @property
    def has_just_restarted(self) -> bool:
        """Return whether there is such an epoch, of a session that nobody need have kept warm."""
        is_recent = self.now is not None and time.monotonic() - self._started_at <= self.now.cooldown_seconds
        return is_recent and bool(self.restarted)

    def release(self, epoch: str) -> Release | None:
        """Return the release of the session with this epoch, "" for any; `None` where there is no binding."""
        if self.now is None:
            return None
        return replace(release_of(self.now, time.time()), epoch=epoch)
