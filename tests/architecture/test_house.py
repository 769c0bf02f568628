"""The house rules that a machine can hold: budgets, imports, names."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import cvdata
from tests.conftest import ROOT

FILES = sorted(p for d in ("cvdata", "jobs") for p in (ROOT / d).rglob("*.py"))
ONLY_IN = {
    "ray": ("cvdata/engine/",),
    "torch": ("cvdata/models/", "cvdata/augment/"),
    "torchvision": ("cvdata/models/", "cvdata/augment/"),
    "faiss": ("cvdata/index.py", "cvdata/index/"),
}
ATTIC = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "handler", "processor"}


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_a_file_is_short(path: Path) -> None:
    n_lines = len(path.read_text(encoding="utf-8").splitlines())
    assert n_lines <= (90 if path.parent.name == "jobs" else 300)


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_a_function_is_short(path: Path) -> None:
    for node in _functions(path):
        n_lines = (node.end_lineno or node.lineno) - node.lineno + 1
        assert n_lines <= 40 + _docstring_lines(node), f"{node.name} has {n_lines} lines"


def _docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        return (first.end_lineno or first.lineno) - first.lineno + 1
    return 0


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_heavy_libraries_are_imported_in_their_room_only(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    imported |= {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    for library, rooms in ONLY_IN.items():
        used = any(name.split(".")[0] == library for name in imported)
        assert not used or _name(path).startswith(rooms), f"{library} in {_name(path)}"


def test_there_is_no_attic() -> None:
    assert not [_name(p) for p in FILES if ATTIC & set(p.stem.split("_"))]


def test_no_job_has_the_name_of_a_standard_module() -> None:
    assert not {p.stem for p in (ROOT / "jobs").glob("*.py")} & set(sys.stdlib_module_names)


def test_import_cvdata_is_light() -> None:
    heavy = {"ray", "torch", "cv2", "pyarrow"}
    code = f"import sys, cvdata; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_what_cvdata_exports() -> None:
    assert cvdata.__all__ == ["CvdataError", "ErrorCode", "Workspace"]
    assert all(hasattr(cvdata, name) for name in cvdata.__all__)


def test_error_codes_are_the_documented_ones() -> None:
    assert sorted(cvdata.ErrorCode) == [
        "access_denied",
        "archive_denied",
        "augment_failed",
        "changed",
        "corrupt",
        "decoder_crashed",
        "duplicate_key",
        "empty",
        "format_denied",
        "measure_failed",
        "model_failed",
        "not_an_image",
        "not_found",
        "out_of_memory",
        "path_denied",
        "timeout",
        "too_large_file",
        "too_many_pixels",
        "truncated",
    ]
