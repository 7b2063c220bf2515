"""App links: addresses that open an app, and the files by which a domain says which apps may open its links.

Sources: Apple, "Supporting associated domains" (apple-app-site-association, `applinks`); Google, "Add Digital Asset
Links" (assetlinks.json, `delegate_permission/common.handle_all_urls`) and "Android Intents with Chrome" (`intent:`).
"""

from __future__ import annotations

import json
import re
from urllib.parse import quote

from nimriz.base.errors import Refused
from nimriz.core.links.domains import NO_APPS

LINK_CHARS_MAX = 2_048
APPS_MAX = 20
FINGERPRINTS_MAX = 10
APP_ID = r"^[A-Z0-9]{10}\.[A-Za-z0-9][A-Za-z0-9.-]{0,154}$"
"""An Apple application identifier: the ten characters of its prefix, a dot, the bundle identifier."""
PACKAGE = r"^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+$"
FINGERPRINT = r"^([0-9A-F]{2}:){31}[0-9A-F]{2}$"
"""SHA-256 of a signing certificate."""

_LINK = re.compile(r"([a-z][a-z0-9+.-]*):[^\x00-\x20\x7f-\x9f\"<>\\^`{|}]+", re.IGNORECASE)
# Schemes of the web and of browsers: they run, show or read something, or say nothing of an app.
_NO_APPS = frozenset({
    "http", "https", "ws", "wss", "ftp", "file", "filesystem", "data", "blob", "javascript", "vbscript", "about",
    "chrome", "view-source", "intent", "content", "jar", "mailto", "tel", "sms",
})  # fmt: skip


def read(given: str) -> str:
    """An address with the scheme of an app, such as `shop://item/7`.

    Raises Refused(destination_invalid) for the schemes of the web and of browsers, and for more than 2,048 characters.
    """
    match = _LINK.fullmatch(given)
    if match is None or match[1].lower() in _NO_APPS or len(given) > LINK_CHARS_MAX:
        raise Refused("destination_invalid")
    try:
        given.encode()
    except UnicodeEncodeError:
        raise Refused("destination_invalid") from None
    return given


def intent(link: str, package: str, fallback: str) -> str:
    """What opens an app on Android, and leads to `fallback` where it is not installed."""
    scheme, _, rest = link.partition(":")
    # A fragment would end where the intent's own begins, and a semicolon ends its parts.
    where = rest.replace("#", "%23").replace(";", "%3B")
    extra = f"S.browser_fallback_url={quote(fallback, safe='')}"
    return f"intent:{where}#Intent;scheme={scheme};package={package};{extra};end"


APPLE_PATH, ANDROID_PATH = b"/.well-known/apple-app-site-association", b"/.well-known/assetlinks.json"


def file_at(path: bytes, ios_apps: str, android_apps: str) -> object | None:
    """What a domain serves at a path, by its apps as they are kept; None for another path, or without apps."""
    if path == APPLE_PATH and ios_apps != NO_APPS:
        return {"applinks": {"details": [{"appIDs": json.loads(ios_apps), "components": [{"/": "/*"}]}]}}
    if path == ANDROID_PATH and android_apps != NO_APPS:
        return [
            {
                "relation": ["delegate_permission/common.handle_all_urls"],
                "target": {
                    "namespace": "android_app",
                    "package_name": app["package"],
                    "sha256_cert_fingerprints": app["fingerprints"],
                },
            }
            for app in json.loads(android_apps)
        ]
    return None
