"""The page of a shared report: its figures as a table, nothing that runs, nothing that is loaded from elsewhere."""

from __future__ import annotations

from html import escape
from typing import Any

from nimriz.web.http import Headers
from nimriz.web.sheet import PALETTE, headers, page

_STYLE = (
    PALETTE
    + """:root { --line: #d5d9e4 }
@media (prefers-color-scheme: dark) { :root { --line: #343a4e } }
body { margin: 0; padding: 2rem 1rem; font: 1rem/1.5 system-ui, sans-serif; color: var(--ink);
  background: var(--ground) }
main { max-width: 72rem; margin: 0 auto; padding: 1.5rem; border-radius: 1rem; background: var(--card) }
h1 { font-size: 1.375rem; margin: 0 0 .25rem }
p { margin: 0 0 1rem; color: var(--soft) }
.table { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
th, td { padding: .5rem .75rem; text-align: end; border-bottom: 1px solid var(--line); white-space: nowrap }
th:first-child, td:first-child { text-align: start; white-space: normal; overflow-wrap: anywhere }
thead th { color: var(--soft); font-weight: 600 }
tfoot td, tfoot th { font-weight: 600 }
form { max-width: 22rem }
label { display: block; font-weight: 600 }
input, button { width: 100%; min-height: 2.75rem; margin-top: .5rem; padding: .5rem .75rem; font: inherit;
  border-radius: .5rem }
button { border: 0; color: var(--on-mark); background: var(--mark); font-weight: 600 }
[role=alert] { color: var(--wrong) }
:focus-visible { outline: 3px solid var(--mark); outline-offset: 2px }
"""
)
HEADERS: Headers = [
    # The address is the key, so nobody else is told it.
    *headers(_STYLE, (b"referrer-policy", b"no-referrer"), "; form-action 'self'"),
    (b"vary", b"accept"),
]
_FORM = """<p>Whoever gave you this link knows the password.</p>{alert}
<form method="post">
<label for="password">Password</label>
<input type="password" id="password" name="password" required autocomplete="current-password">
<button type="submit">Show the report</button>
</form>"""
_NAMES = {
    "clicks": "Clicks", "tracked_clicks": "Tracked clicks", "unique_clicks": "Unique clicks", "leads": "Leads",
    "sales": "Sales", "refunds": "Refunds", "cancellations": "Cancellations", "reversals": "Reversals",
    "reinstatements": "Reinstatements", "attribution_rate": "Attribution rate",
}  # fmt: skip
_ALWAYS = ("clicks", "leads", "sales", "attribution_rate")
_MONEY = {"gross": "Gross", "taken_back": "Taken back", "net": "Net"}


def password(wrong: str = "") -> bytes:
    """The page that asks for the password of a share."""
    alert = f'<p role="alert">{escape(wrong)}</p>' if wrong else ""
    return _page("This report is protected", _FORM.format(alert=alert))


def message(title: str, text: str) -> bytes:
    """A page without a report."""
    return _page(title, f"<p>{escape(text)}</p>")


def report(name: str, told: dict[str, Any]) -> bytes:
    """The report as a table: its rows, the totals, and what is unattributed."""
    rows, totals = told["rows"], told["totals"]
    others = [told["unattributed"]] if "unattributed" in told else []
    figures = [n for n in _NAMES if n in totals and (n in _ALWAYS or any(r[n] for r in [*rows, totals, *others]))]
    currencies = sorted({m["currency"] for r in [*rows, totals, *others] for m in r.get("revenue", [])})
    money = [(currency, part) for currency in currencies for part in _MONEY]
    by = [told["by"], *([told["then_by"]] if "then_by" in told else [])]
    heads = [_head(n) for n in by] + [_NAMES[n] for n in figures] + [f"{_MONEY[part]} {c}" for c, part in money]

    def cells(row: dict[str, Any], labels: list[str]) -> str:
        revenue = {m["currency"]: m for m in row.get("revenue", [])}
        values = [_figure(n, row[n]) for n in figures]
        values += [revenue[c][part] if c in revenue else "0" for c, part in money]
        first, *rest = labels
        return f'<tr><th scope="row">{escape(first)}</th>' + "".join(f"<td>{escape(v)}</td>" for v in rest + values)

    body = "\n".join(cells(r, [r["label"], *([r["then_label"]] if "then_label" in r else [])]) for r in rows)
    blank = [""] * (len(by) - 1)
    foot = cells(totals, ["Total", *blank]) + "".join(cells(other, ["Unattributed", *blank]) for other in others)
    about = f"{told['from']} to {told['to']}, {told['timezone']}. As of {told['fresh_as_of']}."
    if told["next_cursor"]:
        about += f" The first {len(rows):,} rows; the total is over all of them."
    head = "".join(f'<th scope="col">{escape(h)}</th>' for h in heads)
    return _page(
        name,
        f'<p>{escape(about)}</p>\n<div class="table"><table><caption>{escape(name)}</caption>\n<thead><tr>{head}'
        f"</tr></thead>\n<tbody>{body}</tbody>\n<tfoot>{foot}</tfoot>\n</table></div>",
    )


def _page(title: str, body: str) -> bytes:
    return page(title, _STYLE, f"<h1>{escape(title)}</h1>\n{body}")


def _head(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _figure(name: str, value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.2%}" if name == "attribution_rate" else f"{value:,}"
