"""The import rule of geneb_jax/README.md, read from the source: direction, cycles, size, what is heavy."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"geneb_jax": ROOT / "geneb_jax", "geneb_kernels": ROOT / "kernels" / "geneb_kernels"}
GROUND = {"errors", "status", "axes", "alphabet", "whole", "paths", "backend", "plain"}
NUMERICS = {"linear", "metric", "solve", "probes"}
DATA = {"task", "encoder", "store"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "status": set(),
    "axes": set(),
    "alphabet": set(),
    "whole": {"errors"},
    "paths": {"errors"},
    "backend": {"errors"},
    "plain": {"errors"},
    "geneb_kernels": set(),
    "linear": {"axes", "geneb_kernels"},
    "metric": {"axes"},
    "solve": {"linear", "status", "axes", "geneb_kernels"},
    "probes": {"linear", "solve", "metric", "geneb_kernels", *GROUND},
    "estimator": {"probes", "linear", "solve", "metric", *GROUND},
    "published": {"errors", "axes"},
    "task": {"published", "errors", "axes", "alphabet", "whole", "paths", "backend", "plain"},
    "encoder": {"published", "errors", "axes", "alphabet", "paths", "backend"},
    "store": {"errors", "axes", "whole", "paths", "backend"},
    "run": NUMERICS | DATA | GROUND | {"geneb_kernels"},
    "stats": {"metric", "probes", "run", "status", "errors", "axes", "geneb_kernels", "published", "backend", "plain"},
    "report": {"stats", "probes", "run", "status", "published", "errors", "paths", "plain"},
    "cli": NUMERICS | DATA | GROUND | {"run", "stats", "report", "estimator", "published", "geneb_kernels"},
}
# heavy package -> modules that are only reached when it is needed, and may import it at their top
LEAVES = {
    "jax": r"(linear|metric|solve|probes)\..*|encoder\.(random_conv|flax\..*)|geneb_kernels.*",
    "flax": r"encoder\.(random_conv|flax\..*)|probes\.heads\.mlp",
    "sklearn": r"estimator\..*",
    "rich": r"report\..*",
    "pyarrow": r"task\.(check|table)",
    "zarr": r"store\.(?!format|files|index).*",
    "torch": r"encoder\.hf_.*",
    "transformers": r"encoder\.hf_.*",
}
HEAVY = {*LEAVES, "huggingface_hub", "sklearn", "matplotlib"}

MODULES = {
    ".".join((name, *path.relative_to(folder).with_suffix("").parts)).removesuffix(".__init__"): path
    for name, folder in PACKAGES.items()
    for path in folder.rglob("*.py")
}


def layer(module: str) -> str:
    parts = module.split(".")
    return parts[0] if parts[0] != "geneb_jax" else parts[1] if len(parts) > 1 else "top"


def imports(module: str, *, runtime_top_only: bool = False) -> Iterator[str]:
    """Absolute names that a module imports; optionally only those that importing it triggers."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    nodes: list[ast.AST] = [tree]
    while nodes:
        node = nodes.pop()
        if runtime_top_only and (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
        ):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import in line {node.lineno}"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else str(node.module) for name in names)
        nodes.extend(ast.iter_child_nodes(node))


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_only_the_layers_below_it(module: str) -> None:
    own = layer(module)
    for name in imports(module):
        other = layer(name)
        if name.split(".")[0] in PACKAGES and other not in (own, "top") and own != "top":
            assert other in ALLOWED[own], f"{module} imports {name}: {own} may not import {other}"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_heavy_package_is_imported_where_it_is_needed(module: str) -> None:
    short = module.removeprefix("geneb_jax.")
    for name in imports(module, runtime_top_only=True):
        package = name.split(".")[0]
        if package in HEAVY:
            assert re.fullmatch(LEAVES.get(package, ""), short), f"{module} imports {package} at its top"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_stays_under_400_lines(module: str) -> None:
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= 400


def test_no_import_cycle() -> None:
    graph = {m: {n for n in imports(m, runtime_top_only=True) if n in MODULES and n != m} for m in MODULES}
    TopologicalSorter(graph).prepare()  # raises CycleError with the cycle


def test_the_rule_is_the_one_on_the_architecture_page() -> None:
    page = (ROOT / "geneb_jax" / "README.md").read_text(encoding="utf-8")
    for name in ALLOWED:
        assert re.search(rf"^\|.*`{name}`", page, flags=re.MULTILINE), f"{name} is not on the page"
    assert {layer(m) for m in MODULES} - {"top"} <= ALLOWED.keys()
