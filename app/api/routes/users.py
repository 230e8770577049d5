"""`/users`: those recommendations are made for."""

from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import ConfigDict, Field, TypeAdapter

from app.api.deps import PREFIX, CurrentAccount, Operator, Session, check_may_act_for
from app.api.problems import documented
from app.api.shapes import Answer, Cursor, Document, Instant, Label, Limit, Page, Request, Text, opened, page_of
from app.errors import Forbidden, NotAuthenticated, UserExists, UserNotFound
from app.services import users
from core.identifiers import EntityId

router = APIRouter(prefix="/users", tags=["users"])

_KEY: TypeAdapter[tuple[EntityId]] = TypeAdapter(tuple[EntityId])


class UserCreate(Request):
    model_config = ConfigDict(json_schema_extra={"example": {"id": "42", "name": "Ada", "preferred_categories": ["Comedy"]}})

    id: EntityId
    name: Annotated[Text, Field(min_length=1, max_length=200)] | None = None
    preferred_categories: Annotated[list[Label], Field(max_length=50, default_factory=list)]
    attributes: Annotated[Document, Field(default_factory=dict)]


class UserOut(Answer):
    id: str
    name: str | None
    preferred_categories: list[str]
    attributes: dict[str, Any]
    created_at: Instant


@router.post("", status_code=201, summary="Add a user", responses=documented(NotAuthenticated, Forbidden, UserExists))
async def create_user(body: UserCreate, _account: Operator, session: Session, response: Response) -> UserOut:
    user = await users.create_user(session, body.model_dump())
    response.headers["Location"] = f"{PREFIX}/users/{user.id}"
    return UserOut.model_validate(user)


@router.get("", summary="List users", responses=documented(NotAuthenticated, Forbidden))
async def list_users(_account: Operator, session: Session, limit: Limit = 50, cursor: Cursor = None) -> Page[UserOut]:
    after = opened(cursor, _KEY)
    rows = await users.list_users(session, after=after[0] if after else None, limit=limit + 1)
    shown, next_cursor = page_of(rows, limit=limit, key=lambda user: (user.id,))
    return Page(data=[UserOut.model_validate(user) for user in shown], next_cursor=next_cursor)


@router.get("/{user_id}", summary="One user", responses=documented(NotAuthenticated, Forbidden, UserNotFound))
async def read_user(user_id: EntityId, account: CurrentAccount, session: Session) -> UserOut:
    check_may_act_for(account, user_id)
    return UserOut.model_validate(await users.get_user(session, user_id))
