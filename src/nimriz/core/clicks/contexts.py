"""Contexts: what the clicks of one log have in common, each written once, as the process that writes the log knows it.

Owns the tables agents and click_workspaces. What is remembered is bounded, and is of one day (UTC): what comes
again is written again, so that a context may go with the last of its day's clicks.
"""

from __future__ import annotations

from nimriz.base.clock import DAY_MS
from nimriz.core.clicks import clicks
from nimriz.core.clicks.agents import Agent
from nimriz.core.clicks.clicks import Context, Facts, Surroundings
from nimriz.core.clicks.places import Place
from nimriz.core.clicks.quality import Judged
from nimriz.store.db import Row, Tx

CONTEXTS_MAX = 20_000
"""So many are remembered; then all are forgotten."""
Alike = tuple[Facts, Place, str, str, str, Judged, Agent | None]
"""Facts, place, language, purpose, network, quality and agent: clicks that are alike in all of it share a context."""
Named = tuple[int, int]
"""What a click names: its context, and the number of its workspace."""
_AGENT = "insert into agents (agent_id, kind, device, os, browser) values (:agent_id, :kind, :device, :os, :browser)"
_WORKSPACE = "insert into click_workspaces (workspace_no, workspace_id) values (:workspace_no, :workspace_id)"
_WORKSPACES = "select workspace_id, workspace_no from click_workspaces"
_AGENTS = "select agent_id, kind, device, os, browser from agents"


class Contexts:
    """What one log's file holds, and what comes into it with the next transaction. For one thread at a time."""

    def __init__(self) -> None:
        self._named: dict[Alike, Named] = {}
        self._day = 0
        self._now_ms = 0
        self._next_id = 1
        self._agent_ids: dict[Agent, int] = {}
        self._workspace_nos: dict[str, int] = {}
        self._unwritten: list[Context] = []
        self._unwritten_agents: list[Row] = []
        self._unwritten_workspaces: list[Row] = []

    def recall(self, tx: Tx) -> None:
        """Know what the file holds, and forget everything else."""
        self._agent_ids = {Agent._make(agent): agent_id for agent_id, *agent in tx.all(_AGENTS)}
        self._workspace_nos = {row[0]: row[1] for row in tx.all(_WORKSPACES)}
        self._next_id = clicks.newest_context(tx) + 1
        self._named.clear()
        self.written()

    def begin(self, now_ms: int) -> dict[Alike, Named]:
        """The contexts that clicks of now may name, by what is in them."""
        self._now_ms = now_ms
        if now_ms // DAY_MS != self._day or len(self._named) > CONTEXTS_MAX:
            self._day = now_ms // DAY_MS
            self._named.clear()
        return self._named

    def add(self, alike: Alike) -> Named:
        """A new context."""
        facts, place, language, purpose, network, judged, agent = alike
        workspace_no = self._workspace_nos.get(facts.workspace_id)
        if workspace_no is None:
            workspace_no = self._workspace_nos[facts.workspace_id] = len(self._workspace_nos) + 1
            self._unwritten_workspaces.append((workspace_no, facts.workspace_id))
        agent_id = None if agent is None else self.agent_id(agent)
        context_id, self._next_id = self._next_id, self._next_id + 1
        surroundings = Surroundings(*place, language, purpose, network, *judged, agent_id)
        self._unwritten.append(Context(context_id, self._now_ms, facts, surroundings))
        named = self._named[alike] = (context_id, workspace_no)
        return named

    def agent_id(self, agent: Agent) -> int:
        """The number of an agent, a new one where the file has none."""
        agent_id = self._agent_ids.get(agent)
        if agent_id is None:
            agent_id = self._agent_ids[agent] = len(self._agent_ids) + 1
            self._unwritten_agents.append((agent_id, *agent))
        return agent_id

    def append(self, tx: Tx) -> None:
        """Write what is new."""
        tx.many(_AGENT, self._unwritten_agents)
        tx.many(_WORKSPACE, self._unwritten_workspaces)
        clicks.append_contexts(tx, self._unwritten)

    def written(self) -> None:
        """What was new is on disk."""
        self._unwritten, self._unwritten_agents, self._unwritten_workspaces = [], [], []
