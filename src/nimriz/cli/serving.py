"""nimriz serve."""

from __future__ import annotations

import os

from nimriz.cli.output import SaidNo
from nimriz.config import Settings
from nimriz.core.clicks.networks import Networks
from nimriz.core.clicks.places import Places
from nimriz.core.clicks.visitors import DayKeys
from nimriz.core.directory import workspaces
from nimriz.core.members import members, passes
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
    now_ms = opened.clock.now_ms()
    first = opened.records.write(
        lambda tx: None if members.owned(tx) else passes.for_setup(tx, opened.vault, now_ms)
    )  # fmt: skip
    opened.close()
    _try_files(settings, now_ms)
    greeting = [f"nimriz serves {settings.base_url} from {settings.data_dir}"]
    if settings.clock_offset_s:
        greeting.append(f"Warning: the clock is shifted by {settings.clock_offset_s} s (NIMRIZ_CLOCK_OFFSET_S).")
    if fresh:
        greeting.append(
            "There is no workspace yet: nimriz workspace create NAME makes one, and so does the page below."
        )
    if first is not None:
        greeting.append(f"Nobody owns this yet. Become its owner here, once, within a day: {settings.base_url}{first}")
    serve(settings, "\n".join(greeting))


def _try_files(settings: Settings, now_ms: int) -> None:
    """Open once, where it can be told, what each worker opens. Raises AddressFileRefused and SaidNo."""
    Places(settings.geo_file)
    Networks(settings.network_file)
    try:
        DayKeys(settings.day_key_path, now_ms)
    except OSError as error:
        raise SaidNo(
            f"the key of the day cannot be kept in {settings.day_key_path} ({error.strerror}): "
            "NIMRIZ_DAY_KEY_FILE names another place"
        ) from None
