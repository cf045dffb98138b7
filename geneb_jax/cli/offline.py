"""``--offline``: suites and encoders alike take hub files from the cache alone."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

_VARIABLE = "HF_HUB_OFFLINE"


def stay_offline() -> None:
    """Keep huggingface_hub to its cache until this command ends, whether it has been imported yet or not."""
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = "1"
    constants: Any = sys.modules.get("huggingface_hub.constants")
    was = getattr(constants, _VARIABLE, None)
    if constants is not None:
        constants.HF_HUB_OFFLINE = True

    def restore() -> None:
        if before is None:
            os.environ.pop(_VARIABLE, None)
        else:
            os.environ[_VARIABLE] = before
        if constants is not None:
            constants.HF_HUB_OFFLINE = was

    click.get_current_context().call_on_close(restore)
