"""Conditions: which visitors a rule is for, as they are written and checked. `matching` compiles them.

All conditions of a rule hold, or it does not match. Lists have exactly one of `in` and `not_in`. Instants and hours
are UTC. What is misspelt would never match, and nobody would see why; so only values that a visitor can have pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from nimriz.base.clock import from_rfc3339
from nimriz.core.clicks import agents
from nimriz.core.clicks.agents import Device

VALUES_MAX = 250
SCHEDULE_MAX = 20
QUERY_MAX = 10
TEXT_CHARS_MAX = 255
When = dict[str, Any]
"""Conditions as they are stored: the members that were written, and no other."""

# ISO 3166-1 alpha-2, and XK as files of places use it.
_CODES = (
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ "
    "CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO "
    "FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE "
    "JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO "
    "MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW "
    "PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM "
    "TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW"
)
_HOST = r"^(?:[a-z0-9_][a-z0-9_-]{0,62}\.)*[a-z0-9_][a-z0-9_-]{0,62}$"
_HOUR = r"^(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"


def _known(names: Iterable[str]) -> tuple[AfterValidator, WithJsonSchema]:
    known = frozenset(names)

    def check(value: str) -> str:
        if value not in known:
            raise PydanticCustomError("value_unknown", "no visitor can have this value")
        return value

    return AfterValidator(check), WithJsonSchema({"type": "string", "enum": sorted(known)})


def _instant(text: str) -> str:
    try:
        from_rfc3339(text)
    except ValueError:
        raise PydanticCustomError("instant_malformed", "no instant") from None
    return text


_Text = Annotated[str, StringConstraints(max_length=TEXT_CHARS_MAX)]
_Hour = Annotated[str, StringConstraints(pattern=_HOUR)]
Country = Annotated[str, *_known(_CODES.split())]
System = Annotated[str, *_known(agents.SYSTEM_NAMES)]
Browser = Annotated[str, *_known(agents.BROWSER_NAMES)]
DeviceName = Annotated[str, *_known(get_args(Device))]
Language = Annotated[str, StringConstraints(pattern="^[a-z]{2,3}$")]
Host = Annotated[str, StringConstraints(max_length=253, pattern=_HOST)]
Instant = Annotated[str, StringConstraints(max_length=40), AfterValidator(_instant)]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS = get_args(Day)


class _Written(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, strict=True)


class _Listed(_Written):
    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len(self.model_dump(exclude_none=True)) != 1:
            raise PydanticCustomError("in_or_not_in", "one of in and not_in")
        return self


def _in(text: str) -> Any:
    return Field(default=None, alias=text, min_length=1, max_length=VALUES_MAX)


class Countries(_Listed):
    """ISO 3166-1 alpha-2 codes."""

    in_: list[Country] | None = _in("in")
    not_in: list[Country] | None = _in("not_in")


class Devices(_Listed):
    """Kinds of devices."""

    in_: list[DeviceName] | None = _in("in")
    not_in: list[DeviceName] | None = _in("not_in")


class Systems(_Listed):
    """Operating systems."""

    in_: list[System] | None = _in("in")
    not_in: list[System] | None = _in("not_in")


class Browsers(_Listed):
    """Browsers, and apps that show pages."""

    in_: list[Browser] | None = _in("in")
    not_in: list[Browser] | None = _in("not_in")


class Languages(_Listed):
    """The language that the browser asks for first, as ISO 639 code."""

    in_: list[Language] | None = _in("in")
    not_in: list[Language] | None = _in("not_in")


class Hosts(_Listed):
    """Hosts in lower case; each stands for itself and for everything under it."""

    in_: list[Host] | None = _in("in")
    not_in: list[Host] | None = _in("not_in")


class Parameter(_Written):
    """A parameter of the visitor's query; without values any one will do."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=TEXT_CHARS_MAX)]
    in_: list[_Text] | None = _in("in")


class Window(_Written):
    """An instant from which on, and one before which; either may be left out."""

    from_: Instant | None = Field(default=None, alias="from")
    to: Instant | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        begins, ends = (None if text is None else from_rfc3339(text) for text in (self.from_, self.to))
        if (begins is None and ends is None) or (begins is not None and ends is not None and begins >= ends):
            raise PydanticCustomError("window_empty", "an empty window")
        return self


class Hours(_Written):
    """Hours of some days, the end excluded; one that is not after its beginning is on the next day."""

    days: Annotated[list[Day], Field(min_length=1, max_length=7)]
    from_: _Hour = Field(default="00:00", alias="from")
    to: _Hour = "24:00"

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.from_ == "24:00":
            raise PydanticCustomError("window_empty", "a day begins at 00:00")
        return self


class Conditions(_Written):
    """All that a rule may ask of a visitor; what is left out is not asked."""

    country: Countries | None = None
    device: Devices | None = None
    os: Systems | None = None
    browser: Browsers | None = None
    language: Languages | None = None
    referrer_host: Hosts | None = None
    query: Annotated[list[Parameter], Field(min_length=1, max_length=QUERY_MAX)] | None = None
    time: Window | None = None
    weekly: Annotated[list[Hours], Field(min_length=1, max_length=SCHEDULE_MAX)] | None = None
    qr: bool | None = None

    def stored(self) -> When:
        """What is kept of it."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


NAMES = tuple(Conditions.model_fields)


def implies(narrow: When, wide: When) -> bool:
    """Whether every visitor whom `narrow` lets through is let through by `wide` too, as far as can be read off."""
    return all(name in narrow and _implies(name, narrow[name], wide[name]) for name in wide)


def _implies(name: str, narrow: Any, wide: Any) -> bool:
    if narrow == wide:
        return True
    # A host stands for those under it, so that lists of hosts are compared as a whole only.
    if not isinstance(wide, dict) or name in ("referrer_host", "time"):
        return False
    wanted, unwanted = (set(narrow.get(key, ())) for key in ("in", "not_in"))
    if "in" in wide:
        return bool(wanted) and wanted <= set(wide["in"])
    return not (wanted & set(wide["not_in"])) if wanted else unwanted >= set(wide["not_in"])
