"""Which kinds of tasks may be asked for over HTTP and by whom, and how a request becomes a payload."""

import json
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, ValidationError

from app.api.deps import check_may_act_for
from app.api.problems import invalid
from app.errors import FieldError, Forbidden, RequestInvalid
from app.services.accounts import Role, SignedIn
from core.messages import PAYLOADS, CountItemsPayload, Payload, RecommendManyPayload, RecommendPayload, RefreshListsPayload, TrainPayload

ASKED_BY: Final[dict[type[Payload], frozenset[Role]]] = {
    RecommendPayload: frozenset({"user", "service", "admin"}),
    RecommendManyPayload: frozenset({"service", "admin"}),
    RefreshListsPayload: frozenset({"admin"}),
    CountItemsPayload: frozenset({"admin"}),
    TrainPayload: frozenset({"admin"}),
}
"""Who may ask for which kind; kinds that are not here are submitted by other tasks only."""

KINDS: Final = {payload.kind: payload for payload in ASKED_BY}


def _known(kind: str) -> str:
    if kind not in PAYLOADS:
        raise ValueError(f"must be one of {', '.join(sorted(PAYLOADS))}")
    return kind


AnyKind = Annotated[str, Field(json_schema_extra={"enum": sorted(PAYLOADS)}), AfterValidator(_known)]
"""A kind that tasks may have, whoever submits them."""


def parse_payload(kind: str, payload: dict[str, Any]) -> Payload:
    """The payload of a request. Raises `RequestInvalid`, which names what is wrong as `kind` or `payload.<field>`."""
    known = KINDS.get(kind)
    if known is None:
        raise RequestInvalid.because("kind", f"must be one of {', '.join(sorted(KINDS))}")
    try:
        # From JSON, where strict means that a text is no number and a list may still become a tuple.
        return known.model_validate_json(json.dumps(payload), strict=True)
    except ValidationError as error:
        raise invalid([field_error(found, "payload") for found in error.errors()]) from None


def field_error(found: Any, *within: str) -> FieldError:
    """What pydantic says of a field inside of others."""
    message = "is not a known field" if found["type"] == "extra_forbidden" else found["msg"].removeprefix("Value error, ")
    return FieldError(".".join((*within, *(str(part) for part in found["loc"]))) or "row", message)


def check_may_ask(account: SignedIn, payload: Payload) -> None:
    """Raise `Forbidden` unless the account may ask for this."""
    if account.role not in ASKED_BY[type(payload)]:
        raise Forbidden(f"Tasks of kind {payload.kind} are not for the role {account.role}.")
    if isinstance(payload, RecommendPayload):
        check_may_act_for(account, payload.user_id)
