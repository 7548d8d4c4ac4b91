"""What training and measuring need beside what serving does: the extra `training`."""

from importlib.util import find_spec

from cluster.errors import StartFailed

_PACKAGES = ("reportlab", "wonderwords")


def require() -> None:
    """Raise StartFailed, with the command that helps, where the extra is not installed."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise StartFailed(f"{' and '.join(missing)} not installed", hint="pip install 'heliostat-serve[training]'")
