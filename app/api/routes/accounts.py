"""`/auth`: registering, signing in and staying signed in."""

import uuid
from typing import Annotated, Literal

import fastapi
from fastapi import APIRouter, Form, Response
from pydantic import ConfigDict, Field
from sqlmodel.ext.asyncio.session import AsyncSession

from app.addresses import Email
from app.api.deps import CurrentAccount, Process, Services, Session
from app.api.problems import documented
from app.api.shapes import Answer, Instant, Label, Request, Text
from app.errors import CredentialsWrong, EmailTaken, NotAuthenticated, RefreshTokenRefused, TooManySignIns
from app.services import accounts
from app.services.accounts import NewAccount, Role

router = APIRouter(prefix="/auth", tags=["auth"])


class AccountCreate(Request):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {"email": "ada@example.org", "password": "correct horse", "name": "Ada", "preferred_categories": ["Comedy"]}
        }
    )

    email: Email
    password: Annotated[Text, Field(min_length=8, max_length=256)]
    name: Annotated[Text, Field(min_length=1, max_length=200)] | None = None
    preferred_categories: Annotated[list[Label], Field(max_length=50)] = Field(
        default=[], description="Categories the new user likes: what the first list starts from."
    )


class AccountOut(Answer):
    id: uuid.UUID
    email: str
    role: Role
    user_id: str | None = Field(description="The user this account is linked to.")
    name: str | None
    created_at: Instant


class TokensOut(Answer):
    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 (the kind of token, not one)
    expires_in: int = Field(description="Seconds the access token is good for.")
    refresh_token: str = Field(description="Good once: the answer to its use carries the next one.")


class RefreshTokenIn(Request):
    refresh_token: Annotated[Text, Field(min_length=1, max_length=200)]


@router.post("/register", status_code=201, summary="Make an account and its user", responses=documented(EmailTaken))
async def register(body: AccountCreate, process: Process, session: Session) -> AccountOut:
    password_hash = await process.passwords.hash(body.password)
    new = NewAccount(
        email=body.email, password_hash=password_hash, name=body.name, preferred_categories=list(dict.fromkeys(body.preferred_categories))
    )
    return AccountOut.model_validate(await accounts.create_account(session, new))


@router.post("/token", summary="Sign in (OAuth2 password flow)", responses=documented(CredentialsWrong, TooManySignIns))
async def create_token(
    request: fastapi.Request,
    *,
    username: Annotated[Text, Form(max_length=254, description="The e-mail address.")],
    password: Annotated[Text, Form(max_length=256)],
    process: Process,
    session: Session,
    response: Response,
    grant_type: Annotated[Literal["password"], Form()] = "password",
) -> TokensOut:
    account_id = await _authenticate(
        process, session, email=username, password=password, client=request.client.host if request.client else ""
    )
    refresh_token = await accounts.start_family(process.pool, account_id, days=process.settings.refresh_token_days)
    return _tokens(process, response, account_id, refresh_token)


async def _authenticate(process: Services, session: AsyncSession, *, email: str, password: str, client: str) -> uuid.UUID:
    limit, counted = process.sign_ins, process.metrics.sign_ins
    try:
        await limit.enter(email, client)
        account_id = await accounts.authenticate(session, process.passwords, email=email, password=password)
    except TooManySignIns:
        counted.labels("limited").inc()
        raise
    except CredentialsWrong:
        counted.labels("failed").inc()
        await limit.blame(email, client)
        raise
    counted.labels("succeeded").inc()
    await limit.forgive(email, client)
    return account_id


@router.post("/refresh", summary="Exchange a refresh token for new tokens", responses=documented(RefreshTokenRefused))
async def refresh(body: RefreshTokenIn, process: Process, response: Response) -> TokensOut:
    """Showing a token that was used before ends the whole chain: somebody else has it."""
    account_id, refresh_token = await accounts.rotate(process.pool, body.refresh_token, days=process.settings.refresh_token_days)
    return _tokens(process, response, account_id, refresh_token)


def _tokens(process: Process, response: Response, account_id: uuid.UUID, refresh_token: str) -> TokensOut:
    response.headers["Cache-Control"] = "no-store"  # RFC 6749, 5.1
    return TokensOut(
        access_token=process.access_tokens.issue(account_id),
        expires_in=process.access_tokens.lifetime_seconds,
        refresh_token=refresh_token,
    )


@router.post("/logout", status_code=204, summary="Sign out", responses=documented())
async def logout(body: RefreshTokenIn, process: Process) -> None:
    """Ends the chain of refresh tokens; what access token is out stays good for its minutes."""
    await accounts.end_family(process.pool, body.refresh_token)


@router.get("/me", summary="The account that asks", responses=documented(NotAuthenticated))
async def read_me(account: CurrentAccount) -> AccountOut:
    return AccountOut.model_validate(account)
