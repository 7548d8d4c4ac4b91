"""Lets torchvision and torchaudio be imported where their compiled halves don't match torch.

vLLM's CPU build asks for both. Where an index has only their CUDA builds, their libraries cannot load beside a
CPU torch: `import torchvision` fails with `operator torchvision::nms does not exist`, `import torchaudio` with
`Could not load this library`. Each takes transformers, sentence-transformers and vLLM down with it, though
these use only the Python halves, such as torchvision's resizing of images.

`install` puts a finder before all others. It lets either import run as it is; only if that very error comes,
it applies the cure and runs the import again. The cure for torchvision declares the two operators that its
import asks for, without code behind them: to call them stays an error. The cure for torchaudio is its own mode
without an extension. Where the packages work or are absent, nothing changes.

`heliostat_torchvision.pth` installs it as any Python of the environment starts, because vLLM and Ray start
processes of their own. So this file imports nothing heavy, and nothing of `cluster`: the .pth runs it by its
path, so that `cluster` itself is imported later and from wherever the process wants it.
"""

import sys

TYPE_CHECKING = False  # as in `typing`, whose import would take longer than all of this file
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec
    from types import ModuleType

NMS_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_libraries: "list[object]" = []  # torch forgets what a library declared once the library is collected


class Trap:
    """An import that fails in a known way. symptom: a part of the error's text. cure: makes a retry succeed."""

    def __init__(self, symptom: str, cure: "Callable[[], None]") -> None:
        self.symptom = symptom
        self.cure = cure


def declare_operators() -> None:
    """Forget the half-imported torchvision and declare the operators it asks for."""
    _forget("torchvision.")
    from torch.library import Library

    library = Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for schema in NMS_SCHEMAS:
        library.define(schema)  # type: ignore[no-untyped-call]
    _libraries.append(library)


def leave_extension_out() -> None:
    """Forget the half-imported torchaudio, except for the function that loads its extension: it finds none now."""
    loading = sys.modules["torchaudio._extension.utils"]
    _forget("torchaudio.")
    loading._load_lib = lambda _: False  # type: ignore[attr-defined]
    sys.modules["torchaudio._extension.utils"] = loading


TRAPS: "Mapping[str, Trap]" = {
    "torchvision": Trap("operator torchvision::nms does not exist", declare_operators),
    "torchaudio": Trap("Could not load this library", leave_extension_out),
}


class TrapFinder:
    """Finds the packages as the other finders do, and wraps their loaders."""

    def __init__(self, traps: "Mapping[str, Trap]" = TRAPS) -> None:
        self._traps = traps

    def find_spec(
        self, name: str, path: "Sequence[str] | None", target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """The spec of a package with a trap, its loader wrapped; None, meaning `ask the others`, for all else."""
        trap = self._traps.get(name)
        if trap is None:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = RetryingLoader(spec.loader, trap)  # type: ignore[assignment]
                return spec
        return None


class RetryingLoader:
    """Runs a module through its own loader, and once more after the cure if it fell into the trap."""

    def __init__(self, loader: "Loader", trap: Trap) -> None:
        self._loader = loader
        self._trap = trap

    def create_module(self, spec: "ModuleSpec") -> "ModuleType | None":
        """As the module's own loader does."""
        return self._loader.create_module(spec)

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)  # get_source and the like, for who finds but doesn't import

    def exec_module(self, module: "ModuleType") -> None:
        """Run the module; where the symptom shows, cure it and run the module again."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader  # to all others the module looks untouched
        module.__loader__ = self._loader
        try:
            self._loader.exec_module(module)
        except (RuntimeError, OSError) as error:
            if self._trap.symptom not in str(error):
                raise
            self._trap.cure()
            self._loader.exec_module(module)


def install() -> None:
    """Put the finder first, unless one is there."""
    if not any(type(finder).__name__ == TrapFinder.__name__ for finder in sys.meta_path):
        sys.meta_path.insert(0, TrapFinder())


def _forget(prefix: str) -> None:
    for name in [name for name in sys.modules if name.startswith(prefix)]:
        del sys.modules[name]
