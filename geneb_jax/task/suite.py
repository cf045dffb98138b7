"""`load_suite`: the one door to every suite, built in or your own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from geneb_jax.errors import MissingDataError, UsageError, unknown_name
from geneb_jax.task.control import control_suite, split_name
from geneb_jax.task.info import Suite

BUILT_IN: Final = ("geneb", "quickstart")


def load_suite(name_or_path: str | os.PathLike[str], *, data: Path | None = None, offline: bool = False) -> Suite:
    """A suite by name (``geneb``, ``quickstart``), from a folder in the official layout, or a ``.toml`` file.

    ``data`` is a folder of local files for ``geneb`` (else ``GENEB_DATA``, else the pinned hub dataset);
    ``offline`` keeps the hub loader to its cache. A folder called like a built-in suite is meant with
    ``./`` in front. ``NAME~labels``, ``NAME~mono`` and ``NAME~di`` are its controls (`geneb_jax.task.control`).
    No sequence is read before `Suite.load`. Raises UnknownNameError, UsageError, DataError or MissingDataError.
    """
    name = os.fspath(name_or_path)
    real, control = split_name(name)
    if control is not None and not Path(name).exists():
        return control_suite(load_suite(real, data=data, offline=offline), control)
    if name == "geneb":
        from geneb_jax.task.geneb import geneb_suite

        return geneb_suite(None if data is None else Path(data), offline=offline)
    if data is not None:
        what = f"--data belongs to the suite 'geneb', but the suite is {name!r}, which knows where its files are"
        raise UsageError(what, cure="leave --data out")
    from geneb_jax.task.suitefile import suite_from_folder, suite_from_toml

    if name == "quickstart":
        return suite_from_toml(Path(__file__).parent / "data" / "quickstart" / "suite.toml")
    path = Path(name)
    if path.is_dir():
        return suite_from_folder(path)
    if path.suffix == ".toml":
        return suite_from_toml(path)
    if path.exists():
        raise UsageError(
            f"a suite is a folder or a .toml file, and {name!r} is neither",
            cure="name the folder that holds tasks/",
        )
    if len(path.parts) > 1 or name.startswith((".", "~")):
        cure = "check the path; a suite is a folder with tasks/<task_id>/, or a .toml file"
        raise MissingDataError("the suite's folder or file does not exist", where=name, cure=cure)
    raise unknown_name("suite", name, BUILT_IN)
