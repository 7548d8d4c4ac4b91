"""A sweep on a cluster elsewhere: a Ray job there, with the spec's content brought along and its output followed.

Over there nothing is needed but Heliostat itself; here neither a home nor a running cluster.
"""

import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cluster.errors import ClusterError

if TYPE_CHECKING:
    from pipelines.sweeps.spec import SweepSpec

LOOK_S = 1.0  # between two looks at the job
PATIENCE_S = 120.0  # how long a cluster that does not answer is asked again; the job goes on meanwhile
ENTRYPOINT = "${HELIOSTAT_PYTHON:-python} -m pipelines sweep run spec.json --yes"
"""The interpreter is the cluster's own where it says which (`RayNode.environment`), else the PATH's."""

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130  # what a shell says of a program that Ctrl-C ended; the job goes on


class Jobs(Protocol):
    """What is asked of a job server: `RayJobs`."""

    def submit_job(self, **asked: Any) -> str:
        """Start a job; its id."""

    def get_job_info(self, job_id: str) -> Any:
        """`status`, `message` and `driver_exit_code`."""

    def get_job_logs(self, job_id: str) -> str:
        """All that it has printed."""


class RayJobs:
    """Ray's job server. All its methods raise ClusterError where the token is missing or wrong."""

    def __init__(self, address: str) -> None:
        from ray.job_submission import JobSubmissionClient

        self._address = address
        self._client = self._asked(lambda: JobSubmissionClient(address))

    def submit_job(self, **asked: Any) -> str:
        """Start a job; its id."""
        return str(self._asked(lambda: self._client.submit_job(**asked)))

    def get_job_info(self, job_id: str) -> Any:
        """`status`, `message` and `driver_exit_code`."""
        return self._asked(lambda: self._client.get_job_info(job_id))

    def get_job_logs(self, job_id: str) -> str:
        """All that it has printed."""
        return str(self._asked(lambda: self._client.get_job_logs(job_id)))

    def _asked(self, ask: Callable[[], Any]) -> Any:
        from ray.exceptions import AuthenticationError

        try:
            return ask()
        except AuthenticationError as error:
            first = RuntimeError(error.message.splitlines()[0])  # the rest is a page about Ray's own set-up
            raise _failed(self._address, first) from None


def jobs_at(address: str) -> Jobs:
    """The job server of a cluster: the URL of Ray's dashboard, `http://host:8265`. Raises ClusterError."""
    try:
        return RayJobs(address)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise _failed(address, error) from None


def submit(wanted: "SweepSpec", jobs: Jobs, *, fresh: bool = False) -> str:
    """Start the sweep as a job; its id. The spec goes along whole, its prompts written out. Raises ClusterError."""
    with tempfile.TemporaryDirectory(prefix="sweep-") as folder:
        Path(folder, "spec.json").write_text(wanted.canonical(), encoding="utf-8")
        try:
            return jobs.submit_job(
                entrypoint=ENTRYPOINT + (" --fresh" if fresh else ""),
                submission_id=f"sweep-{uuid.uuid4().hex[:12]}",
                runtime_env={"working_dir": folder},
                metadata={"kind": "sweep", "name": wanted.name},
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise _failed("the job", error) from None


def follow(
    jobs: Jobs, job_id: str, say: Callable[[str], object], *, sleep: Callable[[float], None] = time.sleep
) -> int:
    """Say what a job prints until it has ended; its driver's exit code. Raises ClusterError when nobody answers."""
    said, silent_s = 0, 0.0
    while True:
        try:
            info = jobs.get_job_info(job_id)  # before the output, so that the last look sees all of it
            printed = jobs.get_job_logs(job_id)
        except (RuntimeError, OSError) as error:
            silent_s += LOOK_S
            if silent_s > PATIENCE_S:
                raise _failed(f"{job_id} may go on", error) from None
            sleep(LOOK_S)
            continue
        silent_s = 0.0
        if printed[said:]:
            say(printed[said:])
            said = len(printed)
        if (status := str(info.status.value)) in ("SUCCEEDED", "FAILED", "STOPPED"):
            return _ended(status, info, say)
        sleep(LOOK_S)


def run_there(wanted: "SweepSpec", address: str, *, fresh: bool = False) -> int:
    """Start a sweep on a cluster and follow it; the exit code that it ends with. Ctrl-C leaves the job alone."""
    jobs = jobs_at(address)
    job_id = submit(wanted, jobs, fresh=fresh)
    sys.stdout.write(f"job {job_id} at {address}\n")
    sys.stdout.flush()

    def say(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    try:
        return follow(jobs, job_id, say)
    except KeyboardInterrupt:
        stop = f"ray job stop {job_id} --address {address}"
        sys.stderr.write(
            f"the job goes on; its output: ray job logs -f {job_id} --address {address}; to end it: {stop}\n"
        )
        return EXIT_INTERRUPTED


def _ended(status: str, info: Any, say: Callable[[str], object]) -> int:
    if status == "SUCCEEDED":
        return 0
    code = info.driver_exit_code
    if not code:  # it never began, or somebody stopped it
        say(f"{status.lower()}: {' '.join((info.message or '').split())}\n")
    return code or EXIT_FAILED


def _failed(what: str, error: Exception) -> ClusterError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return ClusterError(
        f"{what}: {lines[-1] if lines else type(error).__name__}",
        hint="--address is the URL of Ray's dashboard; set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN for a token",
    )
