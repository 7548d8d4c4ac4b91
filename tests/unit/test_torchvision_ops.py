"""The cure of broken torchvision and torchaudio, on fakes of them that fail in the same words."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "cluster" / "torchvision_ops.py"
PTH = ROOT / "cluster" / "heliostat_torchvision.pth"

TORCH = """
declared = []
class Library:
    def __init__(self, name, kind):
        assert (name, kind) == ("torchvision", "DEF")
    def define(self, schema):
        declared.append(schema.partition("(")[0])
"""
BROKEN_VISION = """
from torchvision import _meta
works = True
"""
META = """
from torch.library import declared
if "nms" not in declared or "qnms" not in declared:
    raise RuntimeError("operator torchvision::nms does not exist")
"""
AUDIO_EXTENSION = """
from .utils import _load_lib
AVAILABLE = _load_lib("_torchaudio")
"""
AUDIO_UTILS = """
def _load_lib(name):
    raise OSError("Could not load this library: /x/_torchaudio.so")
"""


def packages(folder: Path, **files: str) -> None:
    for name, text in files.items():
        file = folder / (name.replace("__", "/") + ".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with a torch, a broken torchvision and a broken torchaudio."""
    packages(tmp_path, torch__library=TORCH, torchvision___meta=META)
    (tmp_path / "torch" / "__init__.py").touch()
    (tmp_path / "torchvision" / "__init__.py").write_text(BROKEN_VISION)
    extension = tmp_path / "torchaudio" / "_extension"
    extension.mkdir(parents=True)
    (tmp_path / "torchaudio" / "__init__.py").write_text("from . import _extension\nworks = True\n")
    (extension / "__init__.py").write_text(AUDIO_EXTENSION)
    (extension / "utils.py").write_text(AUDIO_UTILS)
    return tmp_path


def python(site: Path, program: str, *, install: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a program in a bare Python that sees only the site and, if asked, our finder."""
    load = f"""
        import sys
        sys.path.insert(0, {str(site)!r})
        if {install}:
            import torchvision_ops
            torchvision_ops.install()
    """
    text = textwrap.dedent(load) + textwrap.dedent(program)
    (site / MODULE.name).write_bytes(MODULE.read_bytes())
    return subprocess.run([sys.executable, "-I", "-S", "-c", text], capture_output=True, text=True, timeout=30)


def test_without_it_the_import_fails(site: Path) -> None:
    assert "torchvision::nms does not exist" in python(site, "import torchvision", install=False).stderr


def test_a_broken_torchvision_can_be_imported(site: Path) -> None:
    done = python(site, "import torchvision; print(torchvision.works, torchvision.__spec__.loader)")
    assert done.stdout.startswith("True"), done.stderr
    assert "Retrying" not in done.stdout


def test_a_broken_torchaudio_can_be_imported(site: Path) -> None:
    done = python(site, "import torchaudio; print(torchaudio.works, torchaudio._extension.AVAILABLE)")
    assert done.stdout.strip() == "True False", done.stderr


def test_asking_where_it_is_before_importing_it_changes_nothing(site: Path) -> None:
    """transformers asks for the spec first; a finder that left after one question was gone by then."""
    done = python(site, "import importlib.util as u; u.find_spec('torchvision'); import torchvision; print('ok')")
    assert done.stdout.strip() == "ok", done.stderr


def test_a_working_torchvision_is_left_alone(site: Path) -> None:
    (site / "torchvision" / "__init__.py").write_text(
        "import torch.library as t\nruns = globals().get('runs', 0) + 1\n"
    )
    done = python(site, "import torchvision; print(torchvision.runs, torchvision.t.declared)")
    assert done.stdout.strip() == "1 []", done.stderr


def test_another_failure_stays_what_it_is(site: Path) -> None:
    (site / "torchvision" / "__init__.py").write_text("raise RuntimeError('out of film')")
    assert "RuntimeError: out of film" in python(site, "import torchvision").stderr


def test_an_absent_torchvision_stays_absent(tmp_path: Path) -> None:
    done = python(tmp_path, "import importlib.util as u; print(u.find_spec('torchvision')); import torchvision")
    assert done.stdout.strip() == "None"
    assert "ModuleNotFoundError" in done.stderr


def test_installing_twice_is_harmless(site: Path) -> None:
    done = python(
        site, "torchvision_ops.install(); print([type(f).__name__ for f in sys.meta_path].count('TrapFinder'))"
    )
    assert done.stdout.strip() == "1"


def test_it_imports_nothing_that_python_has_not_at_start(tmp_path: Path) -> None:
    done = python(tmp_path, "print('typing' in sys.modules, 'torch' in sys.modules, 'cluster' in sys.modules)")
    assert done.stdout.strip() == "False False False"


def run_pth(line: str, paths: list[str]) -> subprocess.CompletedProcess[str]:
    program = f"import sys; sys.path[:0] = {paths!r}\n{line}\nprint([type(f).__name__ for f in sys.meta_path][:1])"
    program += "\nprint('cluster' in sys.modules)"
    return subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, timeout=30)


def test_the_pth_installs_the_finder_without_importing_cluster() -> None:
    comment, line = PTH.read_text().splitlines()
    assert comment.startswith("#")
    assert line.startswith("import ")  # `site` runs only such lines
    done = run_pth(line, [str(ROOT)])
    assert done.stdout.split() == ["['TrapFinder']", "False"], done.stderr


def test_the_pth_breaks_no_python_that_has_no_cluster(tmp_path: Path) -> None:
    line = PTH.read_text().splitlines()[1]
    done = run_pth(line, [])
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "cluster.py").touch()  # somebody else's
    assert run_pth(line, [str(tmp_path)]).stderr == ""
