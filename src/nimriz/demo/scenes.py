"""The special cases of the demo, a scene each.

A scene does what it is about over HTTP, has the facts of the answers compared with what they must be, and
returns a sentence that is made of those facts.
"""

from __future__ import annotations

from collections.abc import Callable

from nimriz.base.clock import DAY_MS
from nimriz.demo.customer import Body
from nimriz.demo.story import DAYS_AGO, LEADS, VISITS, Stage, lead, refund, sale


def restart(stage: Stage) -> str:
    """What stands after the server was stopped and started again."""
    link = stage.customer.read(f"/api/v1/links/{stage.links['podcast']['id']}")["link"]
    stood = stage.customer.read("/api/v1/conversions/podcast-sale-1")
    stage.check("after the restart", {"clicks": VISITS["podcast"]}, link)
    stage.check("after the restart", {"value": "79.00", "currency": "USD"}, stood["event"])
    stage.check("after the restart", {"status": "attributed"}, stood["attribution"])
    return (
        f"The server ran with its clock {DAYS_AGO} days back, was stopped and started again at today's time: "
        f"the {link['clicks']} clicks of podcast and its sale of {_money(stood['event'])} are still there."
    )


def suppressed_token(stage: Stage) -> str:
    """A presigned address, which one more parameter would break."""
    link = stage.links["brochure"]
    tokens = len(stage.tokens["brochure"])
    stage.check("brochure", {"token_suppressed": "signed_aws"}, link)
    return (
        f"Link brochure leads to a presigned address, which a parameter more would break ({link['token_suppressed']}): "
        f"its {VISITS['brochure']} visitors got that address as it is, and {tokens} tokens."
    )


def retry(stage: Stage) -> str:
    """The same event once more, as after an answer that got lost."""
    event = sale("launch-sale-1", "129.90 USD", "launch-order-1", click_id=stage.tokens["launch"][LEADS["launch"]])
    body = stage.post(event, 200)
    stage.check("retry", {"duplicate": True, "differences": None}, body)
    return (
        f"{body['event']['event_id']} was sent again and answered with the stored event and "
        f"duplicate: {str(body['duplicate']).lower()}; its {_money(body['event'])} count once."
    )


def joined_by_customer_id(stage: Stage) -> str:
    """A sale without a click of its own, by a customer who was a lead before."""
    event = sale("launch-sale-6", "129.90 USD", "launch-order-6", external_id="launch-customer-1")
    body = stage.post(event)
    expected = {"status": "attributed", "method": "external_id", "link_id": stage.links["launch"]["id"]}
    stage.check("joined by customer id", expected, body["attribution"])
    return (
        f"{body['event']['event_id']} carried no click, only the id {body['event']['external_id']}, once a lead of "
        f"launch: launch earned {_money(body['event'])} by {body['attribution']['method']}."
    )


def partial_refund(stage: Stage) -> str:
    """A part of an order given back."""
    body = stage.post(refund("launch-refund-1", "29.90 USD", "launch-order-1"))
    settled = body["settlement"]
    stage.check("partial refund", {"status": "settled", "applied": "29.90", "remaining": "100.00"}, settled)
    return (
        f"{settled['applied']} {settled['currency']} of {body['event']['related_order_id']} were taken back, "
        f"{settled['remaining']} {settled['currency']} remain."
    )


def refund_before_its_sale(stage: Stage) -> str:
    """A refund that overtakes the sale it belongs to."""
    sold_ms = stage.customer.server.clock.now_ms()
    first = stage.post(refund("newsletter-refund-2", "40.00 USD", "newsletter-order-2"))
    stage.check("refund before its sale", {"status": "pending", "reason": "related_pending"}, first["attribution"])
    stage.check("refund before its sale", {"status": "pending", "remaining": None}, first["settlement"])
    token = stage.tokens["newsletter"][-1]
    stage.post(sale("newsletter-sale-2", "89.00 USD", "newsletter-order-2", sold_ms, click_id=token))
    then = stage.customer.read("/api/v1/conversions/newsletter-refund-2")
    settled = then["settlement"]
    expected = {"status": "settled", "applied": "40.00", "remaining": "49.00"}
    stage.check("refund after its sale", {"status": "attributed", "method": "related"}, then["attribution"])
    stage.check("refund after its sale", expected, settled)
    return (
        f"{then['event']['event_id']} arrived first and was {first['settlement']['status']}; when its sale came it was "
        f"{settled['status']}: {settled['applied']} {settled['currency']} taken back, {settled['remaining']} remain."
    )


def refund_in_excess(stage: Stage) -> str:
    """More given back than was paid."""
    token = stage.tokens["newsletter"][-2]
    stage.post(sale("newsletter-sale-3", "35.00 USD", "newsletter-order-3", click_id=token))
    body = stage.post(refund("newsletter-refund-3", "50.00 USD", "newsletter-order-3"))
    settled = body["settlement"]
    expected = {"status": "excess", "applied": "35.00", "excess": "15.00", "remaining": "0.00"}
    stage.check("refund in excess", expected, settled)
    return (
        f"Of {_money(body['event'])} only {settled['applied']} could be taken back; the other {settled['excess']} "
        f"are kept as {settled['status']} and are part of no total."
    )


def before_the_click(stage: Stage) -> str:
    """A sale that was made before the click which it claims."""
    day_before_ms = stage.customer.server.clock.now_ms() - DAY_MS
    token = stage.tokens["newsletter"][-3]
    event = sale("stray-sale-1", "15.00 USD", "stray-order-1", day_before_ms, click_id=token)
    return _kept(stage, event, "before_click", "was made a day before the click that it names")


def outside_the_window(stage: Stage) -> str:
    """A sale long after the click."""
    event = sale("stray-sale-2", "60.00 USD", "stray-order-2", click_id=stage.tokens["podcast"][-1])
    return _kept(stage, event, "outside_window", f"came {DAYS_AGO} days after its click, and the window is 30 days")


def forged_token(stage: Stage) -> str:
    """A token with one character changed."""
    token = stage.tokens["launch"][-1]
    event = lead("stray-lead-1", token[:-1] + ("A" if token[-1] != "A" else "B"), "stray-customer-1")
    return _kept(stage, event, "token_forged", "had one character of its token changed")


def _kept(stage: Stage, event: Body, reason: str, what_it_did: str) -> str:
    body = stage.post(event)
    verdict = body["attribution"]
    stage.check(event["event_id"], {"status": "unattributed", "reason": reason, "link_id": None}, verdict)
    return f"{body['event']['event_id']} {what_it_did}: kept, {verdict['status']}, {verdict['reason']}."


def _money(event: Body) -> str:
    return f"{event['value']} {event['currency']}"


SCENES: tuple[Callable[[Stage], str], ...] = (
    restart,
    suppressed_token,
    retry,
    joined_by_customer_id,
    partial_refund,
    refund_before_its_sale,
    refund_in_excess,
    before_the_click,
    outside_the_window,
    forged_token,
)


def tell(scene: Callable[[Stage], str], stage: Stage) -> tuple[str, str]:
    """The name and the sentence of a scene. An answer in which a fact is missing altogether is wrong too."""
    name = scene.__name__.replace("_", " ").capitalize()
    try:
        return name, scene(stage)
    except (LookupError, TypeError, AttributeError) as error:
        stage.wrong.append(f"{name.lower()}: an answer has not the shape that was expected ({error!r})")
        return name, "An answer has not the shape that was expected."
