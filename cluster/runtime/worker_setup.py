"""What runs first in every worker of a cluster of our own: Ray's worker setup hook (`RayNode.environment`)."""

from cluster.runtime import loopback, sigterm


def prepare() -> None:
    """Bind Serve's servers to loopback, and store what a replica holds before SIGTERM ends it."""
    loopback.bind()
    sigterm.take()
