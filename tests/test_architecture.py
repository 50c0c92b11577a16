"""The shape of the house: floors, circles, homes of third-party packages, sizes. ARCHITECTURE.md draws the same."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from conftest import REPOSITORY

PACKAGE = REPOSITORY / "src" / "forgeml"

FLOORS = {"cli": 4, "serving": 3, "optimizing": 3, "doctor": 3, "training": 2, "inference": 2, "data": 1, "model": 1}
"""A module may import its own room and the floors below; what is not listed is on floor 0."""

HOMES = {
    "accelerate": ("training/accelerator.py", "training/loop.py", "training/processes.py"),
    "datasets": ("data/reading/hub.py",),
    "huggingface_hub": ("hub/",),
    "onnx": ("optimizing/",),
    "onnxruntime": ("inference/onnx_engine.py", "optimizing/"),
    "openvino": ("inference/openvino_engine.py", "optimizing/"),
    "mlflow": ("training/tracking/manners.py", "training/tracking/store.py"),
    "peft": ("model/lora.py",),
    "pyarrow": ("data/", "inference/files/parquet.py"),
    "fastapi": ("serving/",),
    "httptools": ("serving/",),
    "opentelemetry": ("serving/telling/tracing.py",),
    "prometheus_client": ("serving/telling/metrics.py",),
    "pydantic": ("config/", "serving/"),
    "rich": ("cli/console.py",),
    "ruamel": ("config/",),
    "safetensors": ("model/", "training/keeping/checkpoints.py"),
    "scipy": ("metrics.py",),
    "sklearn": ("metrics.py",),
    "starlette": ("serving/",),
    "tokenizers": ("data/tokens/",),
    "transformers": ("model/", "optimizing/"),
    "typer": ("cli/",),
    "uvicorn": ("serving/",),
}
"""Where a third-party package may be imported; for the type checker alone it may be imported anywhere."""

LONGEST_FILE, LONGEST_FUNCTION, MOST_PARAMETERS = 300, 50, 6
BORDERS = {
    *("cli/main.py", "serving/guarding/guard.py", "training/tracking/sending.py"),
    *("model/folder.py", "serving/answering/current.py"),
    *("serving/answering/explaining.py", "serving/answering/microbatch.py"),
    "doctor/examine.py",
}
"""The only modules that may catch every Exception: towards the user, towards MLflow, towards the libraries that open a
model, which raise all kinds of errors over damaged files, tokenizers even a bare `Exception`, or that run it, and
towards a machine on which anything may be broken."""

DOORS = (PACKAGE / "__init__.py", PACKAGE / "__main__.py")
"""They stand in front of the house and lead to every floor."""

MODULES = sorted(PACKAGE.rglob("*.py"))


@dataclass(frozen=True)
class Import:
    """One import statement's target, and where it stands."""

    target: str
    line: int
    hidden: bool
    """Inside a function."""


def _name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def _imports(path: Path) -> Iterator[Import]:
    """All imports that happen when the code runs; those for the type checker are left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {id(inner) for function in functions for inner in ast.walk(function)}
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            targets = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (Import(target, node.lineno, id(node) in inside) for target in targets)


def _module_of(target: str) -> Path | None:
    """The project's file that an import leads to; None for third-party packages."""
    parts = target.split(".")
    if parts[0] != "forgeml":
        return None
    for length in (len(parts), len(parts) - 1):
        place = PACKAGE.joinpath(*parts[1:length])
        if place.with_suffix(".py").is_file():
            return place.with_suffix(".py")
        if (place / "__init__.py").is_file():
            return place / "__init__.py"
    return None


def _room(path: Path) -> str:
    return _name(path).split("/")[0] if "/" in _name(path) else ""


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_imports_point_down(path: Path) -> None:
    """A room imports itself and the floors below it, never a neighbour and never upwards."""
    if path in DOORS:
        return
    for found in _imports(path):
        target = _module_of(found.target)
        if target is None or _room(target) == _room(path):
            continue
        above, below = FLOORS.get(_room(path), 0), FLOORS.get(_room(target), 0)
        assert below < above or below == above == 0, f"{_name(path)}:{found.line} imports {found.target}"


def test_there_is_no_circle() -> None:
    """Following imports never leads back to where it began."""
    reaches = {path: {_module_of(found.target) for found in _imports(path)} - {None, path} for path in MODULES}
    front_door = PACKAGE / "__init__.py"
    while True:
        leaves = {path for path, targets in reaches.items() if not (targets - {front_door}) & reaches.keys()}
        if not leaves:
            break
        reaches = {path: targets for path, targets in reaches.items() if path not in leaves}
    assert not reaches, f"in a circle: {sorted(map(_name, reaches))}"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_third_party_packages_have_one_home(path: Path) -> None:
    """Each package that could be exchanged one day is imported in one place."""
    for found in _imports(path):
        homes = HOMES.get(found.target.split(".")[0])
        assert homes is None or _name(path).startswith(homes), f"{_name(path)}:{found.line} imports {found.target}"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_only_commands_import_late(path: Path) -> None:
    """Imports inside functions are for the command line, whose help has to come up at once."""
    hidden = [found for found in _imports(path) if found.hidden]
    assert not hidden or _room(path) == "cli", f"{_name(path)}: {hidden}"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_sizes(path: Path) -> None:
    """A file is up to 300 lines, a function up to 50 with up to 6 parameters; commands may have more options."""
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < LONGEST_FUNCTION, f"{_name(path)} {node.name}"
            parameters = [one.arg for one in [*node.args.args, *node.args.kwonlyargs] if one.arg not in ("self", "cls")]
            assert len(parameters) <= MOST_PARAMETERS or _room(path) == "cli", f"{_name(path)} {node.name}"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_only_borders_catch_everything(path: Path) -> None:
    """`except Exception` stands only where the outside begins, and so does an `__exit__` that takes any Exception."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name == "__exit__":
            asked = [ast.unparse(inner.args[1]) for inner in ast.walk(node) if _is_isinstance(inner)]
            assert not {"Exception", "BaseException"}.intersection(asked) or _name(path) in BORDERS, _name(path)
        if isinstance(node, ast.ExceptHandler):
            broad = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
            reraises = any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
            assert not broad or reraises or _name(path) in BORDERS, f"{_name(path)}:{node.lineno}"


def _is_isinstance(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance"


def test_rooms_do_not_reexport() -> None:
    """A room's `__init__` is empty: most import circles run through one that is not."""
    filled = [path for path in MODULES if path.name == "__init__.py" and path.parent != PACKAGE and path.read_text()]
    assert filled == []


def test_every_module_has_its_tests() -> None:
    """The tests of `data/labels/classes.py` are in `test_data_labels.py`, and so for each module."""
    wanted = {
        f"test_{_name(path).removesuffix('.py').replace('/', '_')}.py"
        for path in MODULES
        if not path.stem.startswith("__")
    }
    absent = wanted - {path.name for path in (REPOSITORY / "tests").glob("test_*.py")}
    assert absent == set()


def test_public_names_are_the_promised_ones() -> None:
    """The front door leads to these names and to no other."""
    import forgeml

    assert forgeml.__all__ == ["Classifier", "load_config", "train"]
    assert all(
        inspect.isclass(value) or inspect.isfunction(value) for value in map(forgeml.__getattr__, forgeml.__all__)
    )
