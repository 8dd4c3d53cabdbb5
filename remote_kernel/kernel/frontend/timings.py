"""Timings towards front ends: how long ports are waited for, and those who do not read."""

from typing import NamedTuple


class Timings(NamedTuple):
    """Timings of the channels.

    Attributes:
        patience_seconds: how long a subscriber may take next to nothing while another one waits …
        patience_again_seconds: … and how long within `again_seconds` after one was cut off: what keeps coming back
            holds the others up for a moment only.
        prompt_seconds: how long a prompt waits for the stdin channel of whom it is for.
    """

    patience_seconds: float = 5.0
    patience_again_seconds: float = 1.0
    again_seconds: float = 60.0
    prompt_seconds: float = 30.0
