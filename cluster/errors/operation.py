"""What an operator meets: settings, and clusters that start, run and stop."""

from cluster.errors.base import HeliostatError


class SettingsError(HeliostatError):
    """A settings file or variable that cannot be used; names file and key."""

    code, status = "invalid_settings", 500
    legacy = "HF_INVALID_CONFIG"


class AuthRequired(SettingsError):
    """A server that other machines can reach, with authentication off."""

    code = "auth_required"


class ClusterError(HeliostatError):
    """The cluster cannot be started, joined or stopped."""

    code = "cluster_error"


class PortTaken(ClusterError):
    """Somebody already listens on the port."""

    code = "port_taken"


class AlreadyRunning(ClusterError):
    """This home already has a running cluster."""

    code = "already_running"


class NotRunning(ClusterError):
    """This home has no running cluster."""

    code = "not_running"


class StaleCluster(ClusterError):
    """A state file points at a cluster that is dead."""

    code = "stale_cluster"


class StartFailed(ClusterError):
    """The cluster or an application did not come up."""

    code, legacy = "start_failed", "HF_MODEL_LOAD_FAILED"
