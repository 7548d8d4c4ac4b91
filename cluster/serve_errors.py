"""What crossed a process as a failure becomes one of our errors again: the border to Ray Serve's handles."""

from cluster.errors import HeliostatError, Overloaded, ReplicaLost

RETRY_AFTER_S = 1.0  # a full queue of short generations drains within about a second


def translate(error: Exception) -> Exception:
    """The error as ours: an error of ours that Ray wrapped, or what Ray's own failures mean to a client."""
    from ray.exceptions import RayActorError, RayTaskError
    from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

    if isinstance(error, RayTaskError) and isinstance(error.cause, HeliostatError):
        return error.cause
    if isinstance(error, HeliostatError):
        return error
    if isinstance(error, BackPressureError):
        hint = "wait as long as Retry-After says, then send it again"
        return Overloaded("The queue of this model is full", hint=hint, retry_after_s=RETRY_AFTER_S)
    if isinstance(error, RayActorError | DeploymentUnavailableError):
        hint = "the replica is being replaced; send the request again"
        return ReplicaLost("The replica that held the request died", hint=hint, retry_after_s=RETRY_AFTER_S)
    return error
