"""nimriz serve."""

from __future__ import annotations

import os

from nimriz.config import Settings
from nimriz.core import workspaces
from nimriz.installation import open_installation
from nimriz.serve import serve


def run(host: str | None, port: int | None) -> None:
    """Serve; options go before the environment, and into it, since workers read their settings there."""
    if host is not None:
        os.environ["NIMRIZ_HOST"] = host
    if port is not None:
        os.environ["NIMRIZ_PORT"] = str(port)
    settings = Settings()
    opened = open_installation(settings)
    fresh = not opened.records.read(workspaces.find_all)
    opened.close()
    greeting = [f"nimriz serves {settings.base_url} from {settings.data_dir}"]
    if settings.clock_offset_s:
        greeting.append(f"Warning: the clock is shifted by {settings.clock_offset_s} s (NIMRIZ_CLOCK_OFFSET_S).")
    if fresh:
        greeting.append("There is no workspace yet: nimriz workspace create NAME makes one.")
    serve(settings, "\n".join(greeting))
