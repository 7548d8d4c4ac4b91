"""Experiments and sweeps."""

from cluster.errors.operation import ClusterError
from cluster.errors.requests import BadRequest, NotFound


class NothingToRun(BadRequest):
    """A sweep whose plan has no cells."""

    code = "empty_plan"


class PlanTooLarge(BadRequest):
    """A sweep whose plan has more cells than allowed."""

    code = "plan_too_large"


class ExperimentNotFound(NotFound):
    """No experiment or sweep of that id."""

    code = "experiment_not_found"


class DamagedRun(ClusterError):
    """A sweep whose stored rows cannot be read; another try meets the same files until the sweep is resumed."""

    code = "damaged_run"
