"""Where a person's own things are: tokens, and how they sign in."""

from django.urls import path
from django.views.generic import RedirectView

from accounts import (
    api,
    audit_api,
    audit_pages,
    invitation_pages,
    member_pages,
    pages,
    profile_pages,
    security,
    workspace_api,
    workspace_pages,
)

urlpatterns = [
    path("api/v1/me", api.Me.as_view(), name="api_me"),
    path("api/v1/tokens", api.TokenList.as_view(), name="api_tokens_list"),
    path("api/v1/tokens/<slug:prefix>", api.TokenDetail.as_view(), name="api_token"),
    path("api/v1/audit", audit_api.AuditLog.as_view(), name="api_audit"),
    path("settings/audit", audit_pages.entries, name="audit"),
    path("settings/audit/export", audit_pages.export, name="audit_export"),
    path("api/v1/workspaces", workspace_api.WorkspaceList.as_view(), name="api_workspaces"),
    path(
        "api/v1/workspaces/<slug:slug>",
        workspace_api.WorkspaceDetail.as_view(),
        name="api_workspace",
    ),
    path(
        "api/v1/workspaces/<slug:slug>/members",
        workspace_api.MemberList.as_view(),
        name="api_members",
    ),
    path(
        "api/v1/workspaces/<slug:slug>/members/<int:member_id>",
        workspace_api.MemberDetail.as_view(),
        name="api_member",
    ),
    path(
        "api/v1/workspaces/<slug:slug>/invitations",
        workspace_api.InvitationList.as_view(),
        name="api_invitations",
    ),
    path(
        "api/v1/workspaces/<slug:slug>/invitations/<int:invitation_id>",
        workspace_api.InvitationDetail.as_view(),
        name="api_invitation",
    ),
    path(
        "api/v1/workspaces/<slug:slug>/leave",
        workspace_api.Leave.as_view(),
        name="api_workspace_leave",
    ),
    path(
        "api/v1/workspaces/<slug:slug>/transfer",
        workspace_api.Transfer.as_view(),
        name="api_workspace_transfer",
    ),
    path("invitations/<slug:key>", invitation_pages.invitation, name="invitation"),
    path("settings/workspaces", workspace_pages.overview, name="workspaces"),
    path("settings/workspaces/switch", workspace_pages.switch, name="workspace_switch"),
    path("settings/workspaces/<slug:slug>", workspace_pages.detail, name="workspace"),
    path("settings/workspaces/<slug:slug>/leave", workspace_pages.leave, name="workspace_leave"),
    path(
        "settings/workspaces/<slug:slug>/transfer",
        workspace_pages.transfer,
        name="workspace_transfer",
    ),
    path("settings/workspaces/<slug:slug>/delete", workspace_pages.delete, name="workspace_delete"),
    path("settings/workspaces/<slug:slug>/members", member_pages.members, name="members"),
    path(
        "settings/workspaces/<slug:slug>/members/<int:member_id>/role",
        member_pages.member_role,
        name="member_role",
    ),
    path(
        "settings/workspaces/<slug:slug>/members/<int:member_id>/remove",
        member_pages.member_remove,
        name="member_remove",
    ),
    path(
        "settings/workspaces/<slug:slug>/invitations/<int:invitation_id>/resend",
        member_pages.invitation_resend,
        name="invitation_resend",
    ),
    path(
        "settings/workspaces/<slug:slug>/invitations/<int:invitation_id>/withdraw",
        member_pages.invitation_withdraw,
        name="invitation_withdraw",
    ),
    # allauth's own page of second factors is a part of ours.
    path("accounts/2fa/", RedirectView.as_view(pattern_name="security"), name="second_factors"),
    path("settings/", profile_pages.settings, name="settings"),
    path("settings/profile", profile_pages.profile, name="profile"),
    path("settings/notifications", profile_pages.notifications, name="notifications"),
    path("settings/security", security.security, name="security"),
    path("settings/tokens", pages.tokens, name="tokens"),
    path("settings/tokens/<slug:prefix>/revoke", pages.revoke, name="token_revoke"),
]
