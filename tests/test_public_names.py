"""Public names are what the docs say in every order of imports: none is also the name of a submodule."""

from __future__ import annotations

import importlib
import pickle
import pkgutil

import pytest

import geneb_jax

PACKAGES = ["geneb_jax"] + [
    module.name for module in pkgutil.walk_packages(geneb_jax.__path__, "geneb_jax.") if module.ispkg
]


@pytest.mark.parametrize("name", PACKAGES)
def test_no_public_name_is_a_submodule_too(name: str) -> None:
    package = importlib.import_module(name)
    submodules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    # a submodule becomes an attribute of its package with its first import, and hides what was lazily there
    public = set(getattr(package, "__all__", ())) | {
        key for key, value in vars(package).items() if callable(value) and not key.startswith("_")
    }
    assert not public & submodules


def test_a_name_stays_what_it_is_after_every_submodule_is_imported() -> None:
    before = {name: getattr(geneb_jax, name) for name in geneb_jax.__all__}
    for module in pkgutil.iter_modules(geneb_jax.__path__, "geneb_jax."):
        importlib.import_module(module.name)
    after: dict[str, object] = {}
    exec("from geneb_jax import *", after)
    for name, value in before.items():
        assert getattr(geneb_jax, name) is value
        assert after[name] is value
        if callable(value):
            assert pickle.loads(pickle.dumps(value)) is value
