"""The Conversion API from Python: build an event, send it, and keep it until it has arrived.

Needs a running nimriz and nothing of its inside: of this package it imports `nimriz.base` alone.
"""

from nimriz.client.answers import ClientError, GaveUp, OutboxFull, Recorded, Refused
from nimriz.client.calling import AsyncClient, Client
from nimriz.client.delivery import Patience
from nimriz.client.events import Event, cancellation, lead, refund, reversal, sale
from nimriz.client.flushing import Flushed
from nimriz.client.outbox import Outbox
from nimriz.client.sending import sending, sending_async

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "Event",
    "Flushed",
    "GaveUp",
    "Outbox",
    "OutboxFull",
    "Patience",
    "Recorded",
    "Refused",
    "cancellation",
    "lead",
    "refund",
    "reversal",
    "sale",
    "sending",
    "sending_async",
]
