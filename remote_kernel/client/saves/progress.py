"""Progress of saves and restores, for people."""

from dataclasses import dataclass, field
from enum import StrEnum

from remote_kernel.client.files.transfer import Progress, Steps
from remote_kernel.core.text.terminal_text import one_line
from remote_kernel.core.wire.saves import CallProgress, CallState


class Step(StrEnum):
    """Step of a save or a restore, for people."""

    ASKING = "asking the session"
    TAKING = "taking the variables apart in the session"
    FETCHING = "fetching what has changed"
    CHECKING = "looking at the save"
    SENDING = "sending what was saved"
    LOADING = "putting the variables together in the session"


# The part of the whole at which each begins, as far as one can know.
_BEGINS = {
    Step.ASKING: 0.0, Step.TAKING: 0.05, Step.FETCHING: 0.5, Step.CHECKING: 0.0, Step.SENDING: 0.05, Step.LOADING: 0.5,
}  # fmt: skip
_ENDS = {
    Step.ASKING: 0.0, Step.TAKING: 0.5, Step.FETCHING: 1.0, Step.CHECKING: 0.0, Step.SENDING: 0.5, Step.LOADING: 1.0,
}  # fmt: skip
_OF_TRANSFER = (Step.FETCHING, Step.SENDING)


@dataclass(slots=True)
class SaveProgress(Steps):
    """Progress of a save or a restore; whoever shows it looks at it as often as it likes.

    Attributes:
        step: what is being done.
        call: what the program in the session tells.
        has_snapshot: whether cells may run without changing what is being saved.
        warnings: sentences about what is of another version in the session than in a save, before anything is loaded.
        transfer: how far objects are on their way.
    """

    step: Step = Step.ASKING
    call: CallProgress = field(default_factory=CallProgress)
    has_snapshot: bool = False
    warnings: list[str] = field(default_factory=list)
    transfer: Progress = field(default_factory=lambda: Progress(is_upload=False))

    def begin(self, step: Step) -> None:
        self.step = step

    def hear(self, state: CallState) -> None:
        """Take note of what a session says of a call."""
        self.call = state.progress
        self.has_snapshot = self.has_snapshot or state.answer.get("mode") == "fork"

    @property
    def name(self) -> str:
        """The name of the variable that the session is at."""
        return "" if self.step in _OF_TRANSFER else self.call.name

    @property
    def fraction(self) -> float:
        """From 0 to 1; of the whole, as far as one can know."""
        begins, ends = _BEGINS[self.step], _ENDS[self.step]
        if self.step in _OF_TRANSFER:
            done = self.transfer.fraction
        else:
            done = min(self.call.done / self.call.total, 1.0) if self.call.total else 0.0
        return begins + done * (ends - begins)

    @property
    def warning(self) -> str:
        """The first of the warnings, and how many more there are; "" where there is none."""
        if not self.warnings:
            return ""
        more = f", and {len(self.warnings) - 1} more" if len(self.warnings) > 1 else ""
        return f"Beware: {one_line(self.warnings[0])}{more}."

    def describe(self, now: float) -> str:
        """Return the state at `now` (monotonic seconds) as one line, without the bar."""
        done = self._describe(now)
        return f"{done}. {self.warning}" if self.warnings else done

    def _describe(self, now: float) -> str:
        if self.wait is not None or (self.step in _OF_TRANSFER and self.transfer.files):
            return self.transfer.describe(now)
        if self.call.total and self.step not in _OF_TRANSFER:
            return f"{self.step}: {self.call.done:,} of {self.call.total:,}"
        return self.step
