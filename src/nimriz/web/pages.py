"""The small pages that a visitor sees when a short link does not lead on, or not yet.

Nothing else is loaded and nothing else runs. A page shows no word that a visitor or an owner wrote.
"""

from __future__ import annotations

from html import escape

from nimriz.web.http import REFERRER_POLICY, Headers
from nimriz.web.sheet import PALETTE, headers, named, page

_STYLE = (
    PALETTE
    + """:root { --line: #868da3 }
@media (prefers-color-scheme: dark) { :root { --line: #6d7590 } }
body { margin: 0; min-height: 100vh; min-height: 100dvh; display: grid; place-items: center; padding: 1.5rem;
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: var(--ink);
  background: var(--ground) }
main { width: 100%; max-width: 25rem; padding: 2.25rem 2rem; border-radius: 1rem; background: var(--card);
  box-shadow: 0 1px 2px #0000001a, 0 12px 32px #0000001a; text-align: center }
svg { display: block; width: 3rem; height: 3rem; margin: 0 auto 1.25rem; color: var(--mark) }
h1 { font-size: 1.375rem; line-height: 1.25; margin: 0 0 .5rem; text-wrap: balance }
p { margin: 0; color: var(--soft); text-wrap: balance }
form { margin-top: 1.5rem; text-align: start }
label { display: block; font-weight: 600; margin-bottom: .375rem }
input, button, .button { width: 100%; min-height: 2.875rem; padding: .625rem .875rem; font: inherit;
  border-radius: .625rem }
input { color: inherit; background: transparent; border: 1px solid var(--line) }
input[aria-invalid] { border-color: var(--wrong) }
button, .button { margin-top: 1rem; font-weight: 600; color: var(--on-mark); background: var(--mark); border: 0;
  cursor: pointer }
.button { display: block; text-decoration: none; margin-bottom: 1rem }
a { color: var(--mark) }
button:hover, .button:hover { filter: brightness(1.08) }
:focus-visible { outline: 3px solid var(--mark); outline-offset: 2px }
[role=alert] { margin-top: 1.25rem; padding: .625rem .875rem; border-radius: .625rem; text-align: start;
  color: var(--wrong); background: var(--wrong-ground) }
"""
)

_LINK = '<path d="M20 29l9-9M23 17l4-4a6.4 6.4 0 0 1 9 9l-4 4M25 31l-4 4a6.4 6.4 0 0 1-9-9l4-4"/>'
_LOCK = '<path d="M17 22v-4a7 7 0 0 1 14 0v4"/><rect x="13" y="22" width="22" height="15" rx="3"/><path d="M24 28v3"/>'
_BODY = """<svg viewBox="0 0 48 48" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="3"
stroke-linecap="round" stroke-linejoin="round">
<circle cx="24" cy="24" r="23" fill="currentColor" fill-opacity=".12" stroke="none"/>{mark}</svg>
<h1>{title}</h1>
<p>{text}</p>{more}"""
_ALERT = """
<p role="alert" id="wrong">{text}</p>"""
_FORM = """
<form method="post">
<input type="text" name="username" autocomplete="username" value="{slug}" hidden>
<label for="password">Password</label>
<input type="password" id="password" name="password" required autocomplete="current-password" autocapitalize="none"
spellcheck="false"{described}>
<button type="submit">Continue</button>
</form>"""

_APP = """
<a class="button" id="open" href="{link}">Open the app</a>
<a id="other" href="{fallback}">Go on without the app</a>
<script>{script}</script>"""
# An app that opens hides this page; where none is installed nothing happens, and the visitor is led on.
_OPEN = """const open = document.getElementById("open"), other = document.getElementById("other");
const wait = setTimeout(() => { if (!document.hidden) location.replace(other.href) }, 1500);
document.addEventListener("visibilitychange", () => clearTimeout(wait));
location.href = open.href;"""


# No form-action: Chromium asks it of every redirect after a form, so it would have to name all destinations.
HEADERS: Headers = headers(_STYLE, REFERRER_POLICY)
"""What every one of these pages is sent with."""
APP_HEADERS: Headers = headers(_STYLE, REFERRER_POLICY, f"; script-src {named(_OPEN)}")
"""What the page that opens an app is sent with: it is the only one that has a script."""


def _page(title: str, text: str, mark: str = _LINK, more: str = "") -> bytes:
    return page(title, _STYLE, _BODY.format(title=title, text=text, mark=mark, more=more))


def password(slug: str, wrong: str = "") -> bytes:
    """The page that asks for a link's password, with what was wrong about the last one."""
    # The hidden name lets a password manager keep the passwords of two links apart.
    alert = _ALERT.format(text=wrong) if wrong else ""
    form = _FORM.format(slug=slug, described=' aria-invalid="true" aria-describedby="wrong"' if wrong else "")
    return _page("This link is protected", "Whoever gave it to you knows the password.", _LOCK, alert + form)


def app(link: str, fallback: str) -> bytes:
    """The page that opens an app by its address, and leads to `fallback` where there is no such app."""
    more = _APP.format(link=escape(link), fallback=escape(fallback), script=_OPEN)
    return _page("Opening the app", "If nothing happens, choose how to go on.", _LINK, more)


NOT_FOUND = _page("This link leads nowhere", "It may have been mistyped, or removed since.")
EXPIRED = _page("This link has expired", "Ask whoever gave it to you for a new one.")
TAKEN_DOWN = _page("This link was taken down", "It broke the rules of this service, or leads to a place that does.")
NOT_READY = _page("This domain is not ready yet", "Its owner still has to finish setting it up.")
TRY_AGAIN = _page("Please try again", "This link cannot be looked up at the moment. It usually takes a few seconds.")
WRONG_PASSWORD = "That is not the password. Please try again."
TOO_MANY_PASSWORDS = "Too many attempts. Please wait a minute, then try again."
