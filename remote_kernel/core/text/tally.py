"""A count of what may come again and again, and is not worth a line in the log each time."""


class Tally:
    """Counts refusals.

    Attributes:
        count: how many there have been.
    """

    def __init__(self) -> None:
        self.count = 0
        self._next = 1

    def add(self) -> bool:
        """Count one more; whether it is worth a line: the first, the 10th, the 100th …"""
        self.count += 1
        if self.count < self._next:
            return False
        self._next *= 10
        return True
