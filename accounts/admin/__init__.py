"""People in the console: to look at; accounts/actions stays the only writer."""

from accounts.admin.audit import AuditEntryAdmin
from accounts.admin.invitations import InvitationAdmin
from accounts.admin.tokens import ApiTokenAdmin
from accounts.admin.users import UserAdmin
from accounts.admin.workspaces import WorkspaceAdmin

__all__ = ["ApiTokenAdmin", "AuditEntryAdmin", "InvitationAdmin", "UserAdmin", "WorkspaceAdmin"]
