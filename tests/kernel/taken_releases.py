"""What is written down to be given back, taken as a kernel does that gives it back at once."""

from collections.abc import Iterator

from remote_kernel.kernel.session.releases import Release, Releases


def take_all(releases: Releases, endpoint: str, now: float) -> Iterator[Release]:
    """Yield the releases of one pool at `now` (seconds since 1970), and note each as done."""
    for path in releases.waiting(endpoint, now):
        with releases.try_take(path) as release:
            assert release is not None
            releases.remove(path)
            yield release
