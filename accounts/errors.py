"""One class for each refusal that concerns the caller, with a stable code. Pure: no I/O."""

from typing import ClassVar


class Refusal(Exception):
    """A request that was understood and turned down; nothing was changed.

    code is stable and documented in docs/reference/errors.md; status is the HTTP status;
    retryable says whether the same request may succeed later, retry_after in how many seconds.
    """

    code: ClassVar[str]
    status: ClassVar[int]
    retryable: ClassVar[bool] = False
    retry_after: int | None = None  # seconds; None of a retryable one: RETRY_AFTER_SECONDS


RETRY_AFTER_SECONDS = 30


class Maintenance(Refusal):
    """The site is closed for a while (T2V_MAINTENANCE, whose words these are)."""

    code = "maintenance"
    status = 503
    retryable = True
    retry_after = 60


class BadFields(Refusal):
    """One or more fields of a request are not acceptable.

    fields maps each bad field to one sentence that says what would be accepted.
    """

    code = "bad_request"
    status = 400

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__("; ".join(f"{field}: {message}" for field, message in fields.items()))
        self.fields = fields


class KeyReused(Refusal):
    """The idempotency key was used before, for another request."""

    code = "idempotency_key_reused"
    status = 409

    def __init__(self) -> None:
        super().__init__("This idempotency key was used before with other values; use a new one.")


class OutOfScope(Refusal):
    """The token is not for this."""

    code = "insufficient_scope"
    status = 403

    def __init__(self, scope: str) -> None:
        super().__init__(f"This token lacks the scope {scope}; make one that has it.")


class NoSecondFactor(Refusal):
    """What operators alone may do, by a session that has shown no second factor."""

    code = "second_factor_needed"
    status = 403

    def __init__(self) -> None:
        super().__init__(
            "This needs a second factor: set one up under Settings, Security, and sign in with it."
        )


class SignInAgain(Refusal):
    """A session that is not fresh wants what outlives it."""

    code = "sign_in_again"
    status = 403

    def __init__(self) -> None:
        super().__init__(
            "You signed in too long ago for this; sign in again, then ask within 5 min."
        )


class TooManyTokens(Refusal):
    """One person has as many tokens as one may have."""

    code = "too_many_tokens"
    status = 409

    def __init__(self, most: int) -> None:
        super().__init__(f"You have {most} tokens, the most that one person may have; revoke one.")


class TooManyTickets(Refusal):
    """The caller has as many unused tickets for live connections as one person may have."""

    code = "too_many_tickets"
    status = 429
    retryable = True

    def __init__(self, most: int, seconds: int) -> None:
        super().__init__(f"You have {most} unused tickets; each expires after {seconds} s.")
        self.retry_after = seconds


class NoWorkspace(Refusal):
    """The caller is in no workspace, or the token's is gone."""

    code = "no_workspace"
    status = 409

    def __init__(self) -> None:
        super().__init__("You are in no workspace; open one or ask to be invited into one.")


class LastAdministrator(Refusal):
    """Nobody would administer the site any more."""

    code = "last_administrator"
    status = 409

    def __init__(self) -> None:
        super().__init__("They are the last administrator; make somebody else one before.")


# --- Workspaces and who is in them ---


class RoleTooLow(Refusal):
    """The caller is in the workspace, and their role there does not reach that far."""

    code = "forbidden"
    status = 403

    def __init__(self, words: str = "Your role in this workspace does not allow this.") -> None:
        super().__init__(words)


class NoSuchWorkspace(Refusal):
    """There is no such workspace, or the caller is not in it: the two look the same."""

    code = "not_found"
    status = 404

    def __init__(self) -> None:
        super().__init__("There is no such workspace, or you are not in it.")


class NoSuchMember(Refusal):
    """Nobody of that number is in the workspace, or nobody any more."""

    code = "not_found"
    status = 404

    def __init__(self) -> None:
        super().__init__("There is no such member of this workspace.")


class NoSuchInvitation(Refusal):
    """It was never made, or it was accepted, withdrawn, or too old: these look the same."""

    code = "not_found"
    status = 404

    def __init__(self) -> None:
        super().__init__("There is no such invitation, or it is good no more.")


class LastOwner(Refusal):
    """The workspace would be without an owner."""

    code = "last_owner"
    status = 409

    def __init__(self) -> None:
        super().__init__("A workspace keeps an owner: make somebody else one first.")


class WorkspaceInUse(Refusal):
    """Jobs belong to the workspace."""

    code = "workspace_in_use"
    status = 409

    def __init__(self) -> None:
        super().__init__(
            "Only a workspace without videos can be deleted; what was deleted counts until it is "
            "purged."
        )


class TooManyWorkspaces(Refusal):
    """One person is in as many workspaces as one may be in."""

    code = "too_many_workspaces"
    status = 409

    def __init__(self, most: int) -> None:
        super().__init__(f"You are in {most} workspaces, the most for one person; leave one.")


class TooManyMembers(Refusal):
    """The workspace has as many members as one may have."""

    code = "too_many_members"
    status = 409

    def __init__(self, most: int) -> None:
        super().__init__(f"The workspace has {most} members, the most that one may have.")


class TooManyInvitations(Refusal):
    """As many invitations of the workspace wait as one may have."""

    code = "too_many_invitations"
    status = 409

    def __init__(self, most: int) -> None:
        super().__init__(f"{most} invitations wait, the most of one workspace; withdraw one.")


class TooManyMails(Refusal):
    """One person has had as many invitations sent today as one may."""

    code = "too_many_mails"
    status = 429
    retryable = True
    retry_after = 3600

    def __init__(self, most: int) -> None:
        super().__init__(f"You had {most} invitations sent within a day; go on later.")


class NotForYou(Refusal):
    """The invitation was sent to an address that is not a verified one of the caller's."""

    code = "not_for_you"
    status = 403

    def __init__(self) -> None:
        super().__init__(
            "This invitation was sent to an address that is not one of yours, or that you have "
            "not verified yet."
        )
