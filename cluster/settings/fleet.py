"""Models that are loaded when they are asked for."""

from pydantic import Field

from cluster.settings.strict import Strict


class FleetSettings(Strict):
    """How models come and go at run time. How many may be loaded is hub.max_cached_models.

    A model of `models` with `load: on_demand`, and any model of the catalog that is on this machine's disk, is
    loaded by the first request for it and unloaded when nobody has asked for it for keep_alive_s.
    """

    on_demand: bool = Field(True, description="whether models of the catalog that are on disk may be asked for")
    keep_alive_s: float = Field(300.0, ge=-1, description="idle time after which a model is unloaded; -1 is never")
    memory_gib: float | None = Field(None, gt=0, description="of all loaded models together; None: the machine's")
    gpus: float | None = Field(
        None, ge=0, description="of all loaded models together; None: those that Ray knows of, uncounted if none"
    )
    wait_s: float = Field(300.0, gt=0, description="how long a request waits for its model to load; past it 503")
    max_waiting: int = Field(256, ge=1, description="requests that wait for one model to load; past it 429")
    load_timeout_s: float = Field(900.0, gt=0, description="after that a load has failed")
    at_once: int = Field(1, ge=1, description="models that load at the same time")
    lease_s: float = Field(15.0, gt=0, description="silence after which a gateway's claim on a model is void")
    progress_after_s: float = Field(
        1.0, ge=0, description="silence after which a stream whose model loads begins with comments on that"
    )
    progress_every_s: float = Field(1.0, ge=0, description="between two such comments; 0 is none")
    linger_s: float = Field(0.25, ge=0, description="how long a gateway keeps its claim after the last request")
