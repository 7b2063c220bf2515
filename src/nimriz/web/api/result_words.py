"""What the results of an experiment say, as sentences for people; the codes are for programs."""

from __future__ import annotations

from collections.abc import Mapping

from nimriz.core.results.findings import CONVERTED_MIN, EFFECTIVE_MIN, VISITORS_MIN, Code, Finding

Names = Mapping[str, str]
"""The names of variants by their keys."""

METHODS = {
    "sample_ratio": "Sequential multinomial test, exact at any count; Lindon and Malek 2022, arXiv 2011.03567.",
    "rate": "Sequential multinomial test on converted visitors, exact at any count; Lindon and Malek 2022, "
    "arXiv 2011.03567. All pairs, by Bonferroni.",
    "revenue": "Asymptotic confidence sequence; Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, "
    "arXiv 2103.06476. All pairs, by Bonferroni.",
}
_FIGURES = {"leads": "visitors who became a lead", "sales": "visitors who bought", "revenue": "net revenue by visitor"}
_NOT_SHOWN = "The experiment reaches back beyond what your plan shows of clicks, so nothing is said of it."


def of_sample_ratio(finding: Finding | None, unit: str) -> str:
    """Whether visitors were divided as planned; None where clicks are not shown."""
    if finding is None:
        return _NOT_SHOWN
    if finding.code == "sample_ratio_mismatch":
        again = " One visitor who clicks again and again can cause it, since visitors are not told apart."
        return (
            "Visitors are not divided as the weights say, so nothing else here may be believed. Look for what reaches "
            "one variant and not the other: a page that fails or sends visitors on, bots, a weight changed by hand."
            + (again if unit == "click" else "")
        )
    if finding.code == "not_enough_data":
        return f"Fewer than {VISITORS_MIN} visitors so far: too few to say whether they are divided as planned."
    return "Visitors are divided as the weights say."


def of_figure(finding: Finding | None, figure: str, names: Names, currency: str = "") -> str:
    """What may be said of one figure: `leads`, `sales` or `revenue`; None where clicks are not shown."""
    if finding is None:
        return _NOT_SHOWN
    what = _FIGURES[figure] + (f" in {currency}" if currency else "")
    who = ", ".join(names[key] for key in finding.variants)
    asked = _REVENUE_ASKS if figure == "revenue" else _RATE_ASKS
    return _SENTENCES[finding.code].format(what=what, who=who, asked=asked)


_RATE_ASKS = f"at least {VISITORS_MIN} visitors of each variant, and {CONVERTED_MIN} of any two together who did it"
_REVENUE_ASKS = (
    f"at least {VISITORS_MIN} visitors of each variant, "
    f"and sales of each that tell as much as {EFFECTIVE_MIN} equal ones"
)
_SENTENCES: dict[Code, str] = {
    "not_enough_data": "Not enough data on {what}: it takes {asked}.",
    "no_difference_yet": "No difference in {what} that is more than chance, so far.",
    "variant_ahead": "{who} is ahead of all others in {what}.",
    "variant_behind": "Behind in {what}: {who}. Which one is ahead of all is not known yet.",
    "sample_ratio_mismatch": "Nothing is said of {what}, since visitors are not divided as the weights say.",
}
