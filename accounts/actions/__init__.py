"""The only writers of accounts, one module for each thing that is written."""

from accounts.actions.demo import DEMO_ACCOUNTS, DemoLogin, ensure_demo_accounts
from accounts.actions.invitations import (
    MAX_INVITATIONS,
    MAX_MAILS,
    accept,
    forget_expired_invitations,
    invite,
    is_for,
    resend,
    withdraw,
)
from accounts.actions.members import (
    MAX_MEMBERS,
    MAX_WORKSPACES,
    leave,
    remove,
    set_role,
    transfer,
)
from accounts.actions.profile import MAX_PERSON_NAME, set_profile
from accounts.actions.quotas import set_quota
from accounts.actions.sso import apply_roles, forget_claims_to, take_from_strangers
from accounts.actions.tickets import (
    MAX_TICKETS,
    TICKET_PREFIX,
    TICKET_SECONDS,
    forget_expired_tickets,
    issue_ticket,
    redeem_ticket,
)
from accounts.actions.tokens import (
    MAX_TOKEN_DAYS,
    MAX_TOKENS,
    TOKEN_KEPT,
    TOKEN_PREFIX,
    forget_expired_tokens,
    issue_token,
    may_administer,
    revoke_token,
)
from accounts.actions.users import end_sessions, set_active, set_site_role
from accounts.actions.workspaces import (
    MAX_NAME,
    create_workspace,
    delete_workspace,
    may_create,
    open_workspace,
    rename_workspace,
    switch_workspace,
)

__all__ = [
    "DEMO_ACCOUNTS",
    "MAX_INVITATIONS",
    "MAX_MAILS",
    "MAX_MEMBERS",
    "MAX_NAME",
    "MAX_PERSON_NAME",
    "MAX_TICKETS",
    "MAX_TOKENS",
    "MAX_TOKEN_DAYS",
    "MAX_WORKSPACES",
    "TICKET_PREFIX",
    "TICKET_SECONDS",
    "TOKEN_KEPT",
    "TOKEN_PREFIX",
    "DemoLogin",
    "accept",
    "apply_roles",
    "create_workspace",
    "delete_workspace",
    "end_sessions",
    "ensure_demo_accounts",
    "forget_claims_to",
    "forget_expired_invitations",
    "forget_expired_tickets",
    "forget_expired_tokens",
    "invite",
    "is_for",
    "issue_ticket",
    "issue_token",
    "leave",
    "may_administer",
    "may_create",
    "open_workspace",
    "redeem_ticket",
    "remove",
    "rename_workspace",
    "resend",
    "revoke_token",
    "set_active",
    "set_profile",
    "set_quota",
    "set_role",
    "set_site_role",
    "switch_workspace",
    "take_from_strangers",
    "transfer",
    "withdraw",
]
