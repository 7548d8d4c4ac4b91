"""What an engine learns of its model by loading it."""

from cluster.types import Capabilities


class Learned:
    """An engine that knows its model whole once it has started. Inherit; set `_capabilities` before and then."""

    _capabilities: Capabilities
    _revision = ""

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do; before `start` what the settings say of it."""
        return self._capabilities

    @property
    def revision(self) -> str:
        """A hash of the model's files, or the Hub's commit; empty before `start`."""
        return self._revision
