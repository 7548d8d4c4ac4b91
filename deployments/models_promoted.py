"""What a sweep promoted for a model, for `heliostat models show`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster.errors import HeliostatError
from pipelines.sweeps.targets import database_of


def promoted_for(*names: str, config: Path | None = None) -> dict[str, Any] | None:
    """The promotion of the model of one of these names, as JSON; None without, or where no database answers."""
    from sqlalchemy import make_url

    from cluster.stores.database import engine_of
    from cluster.stores.promotions import Promotions

    try:
        url = make_url(database_of(config))
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
            return None  # to look is not to make one
        engine = engine_of(url.render_as_string(hide_password=False))
        try:
            known = Promotions(engine).all()
        finally:
            engine.dispose()
    except HeliostatError:
        return None
    found = next((known[name] for name in names if name in known), None)
    return None if found is None else found.as_json()


def line(promoted: Mapping[str, Any]) -> str:
    """A promotion for people."""
    parameters = " ".join(f"{name}={value}" for name, value in promoted["parameters"].items())
    return f"{parameters}  (the sweep {promoted['run_name']} [{promoted['run_id']}])"
