"""The passage: what the pages before and about signing in need: passwords compared, attempts bounded, agents named."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from nimriz.base.errors import Refused
from nimriz.core.clicks.agents import Agents
from nimriz.core.directory import passwords
from nimriz.core.members.members import Member
from nimriz.web.api.desk import Desk
from nimriz.web.dashboard.call import Call
from nimriz.web.dashboard.replies import Pages
from nimriz.web.limits import SignIns

_WAITING_MAX = 32

Result = TypeVar("Result")


class Passage:
    """What pages work with beside the desk."""

    def __init__(self, desk: Desk, pages: Pages, agents: Agents) -> None:
        self.desk, self.pages = desk, pages
        self.vault = desk.vault
        self._agents = agents
        self._sign_ins = SignIns()
        self._waiting = 0
        # Whoever is unknown takes as long as whoever is known.
        self._nobody = passwords.hashed("nobody at all")

    async def hashed(self, password: str) -> str:
        """The hash of a new password."""
        return await self._in_turn(lambda: passwords.hashed(password))

    async def is_password(self, call: Call, account: str, member: Member | None, given: str) -> bool:
        """Whether this is the member's password, with attempts bounded. Raises Refused: rate_limited."""
        self._sign_ins.take(call.address, account)
        if not 1 <= len(given) <= passwords.PASSWORD_CHARS_MAX:
            return False
        kept = self._nobody if member is None else member.password_hash
        right = await self._in_turn(lambda: passwords.matches(kept, given)) and member is not None
        if right:
            self._sign_ins.give_back(call.address, account)
        return right

    def take_code(self, member_id: str) -> None:
        """Count an attempt at a code. Raises Refused(rate_limited)."""
        self._sign_ins.take_code(member_id)

    def give_code_back(self, member_id: str) -> None:
        """The code was right."""
        self._sign_ins.give_code_back(member_id)

    def agent_of(self, call: Call) -> str:
        """Browser and system of whoever calls, in words of ours."""
        sent = b"".join(value for name, value in call.scope["headers"] if name == b"user-agent")
        agent = self._agents.read(sent)
        return " on ".join(filter(None, (agent.browser, agent.os))) or "Another program"

    async def _in_turn(self, fn: Callable[[], Result]) -> Result:
        """Hash in a thread for it; strangers do not pile up there. Raises Refused(store_unavailable)."""
        if self._waiting >= _WAITING_MAX:
            raise Refused("store_unavailable", retry_after_s=1)
        self._waiting += 1
        try:
            return await self.desk.in_turn(fn)
        finally:
            self._waiting -= 1
