"""Who uses the service. No verbs: accounts/actions.py writes."""

from functools import cached_property
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Now
from django.utils.crypto import salted_hmac
from knox.models import AbstractAuthToken, AuthTokenManager
from rest_framework.utils.encoders import JSONEncoder

from accounts.roles import ALL_SCOPES, Role, Scope, SiteRole


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        staff = {"is_staff": True, "is_superuser": True, "role": SiteRole.ADMINISTRATOR}
        return self.create_user(email, password, **fields | staff)

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=(username or "").lower())


class User(AbstractUser):  # type: ignore[django-manager-missing]  # that of knox
    """Signs in with an e-mail address; there are no user names."""

    username = None  # type: ignore[assignment]  # Django's way to drop an inherited field
    email = models.EmailField("e-mail address", unique=True)
    # How they appear to others, and how they see dates and times. The defaults are the database's
    # as well: the release before these columns does not name them.
    name = models.CharField(max_length=80, blank=True, default="", db_default="")
    time_zone = models.CharField(max_length=64, blank=True, default="", db_default="")  # IANA's
    date_style = models.CharField(max_length=16, blank=True, default="", db_default="")  # BCP 47
    role = models.CharField(
        max_length=20,
        choices=[(role.value, role.name.title()) for role in SiteRole],
        default=SiteRole.MEMBER.value,
    )
    # That they work in now; None until they chose: then it is the one they have been in longest.
    workspace = models.ForeignKey(
        "accounts.Workspace", models.SET_NULL, null=True, blank=True, related_name="+"
    )

    # How often all of their sessions were ended at once: a part of what sessions are checked by.
    sessions_ended = models.PositiveIntegerField(default=0, db_default=0)

    # No columns: what the token of this request is for, all where no token came; and the one
    # workspace that it is good in, None where it is good in all of theirs.
    scopes: frozenset[Scope] = ALL_SCOPES
    only_in: int | None = None

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects: ClassVar[UserManager] = UserManager()  # type: ignore[assignment]

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                Lower("email"),
                name="accounts_user_email_any_case",
                violation_error_message="There is an account with this e-mail address already.",
            )
        ]
        indexes: ClassVar = [  # the console's two lists of few among many
            models.Index(fields=["email"], condition=~Q(role="member"), name="accounts_user_staff"),
            models.Index(
                fields=["email"], condition=Q(is_active=False), name="accounts_user_closed"
            ),
        ]

    def __str__(self) -> str:
        return self.email

    @property
    def shown_as(self) -> str:
        """What others read in lists; the address where they gave no name."""
        return self.name or self.email

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """Django's, of the password; and of another when all sessions were ended."""
        kept = self.password
        if self.sessions_ended:
            kept += f" {self.sessions_ended}"
        salt = "django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash"
        return salted_hmac(salt, kept, secret=secret, algorithm="sha256").hexdigest()

    @property
    def site_role(self) -> SiteRole:
        """By a token that is good in one workspace alone they are nothing more than that."""
        return SiteRole(self.role) if self.only_in is None else SiteRole.MEMBER

    @cached_property
    def memberships(self) -> dict[int, Role]:
        """Their role in each workspace that this request may touch, longest first; one query."""
        theirs = Membership.objects.filter(user=self).order_by("joined_at", "pk")
        if self.only_in is not None:
            theirs = theirs.filter(workspace=self.only_in)
        return {row: Role(role) for row, role in theirs.values_list("workspace", "role")}


class Quotas(models.Model):
    """Limits that an administrator set here instead of the site's own; NULL: the site's."""

    max_running = models.PositiveIntegerField(null=True, blank=True)  # jobs
    max_queued = models.PositiveIntegerField(null=True, blank=True)  # jobs
    max_gpu_seconds = models.PositiveIntegerField(null=True, blank=True)  # a month, of UTC
    max_stored_bytes = models.PositiveBigIntegerField(null=True, blank=True)

    class Meta:
        abstract = True


class Workspace(Quotas):
    """The tenant: every job belongs to one, and people see each other's jobs in it."""

    name = models.CharField(max_length=80)
    slug = models.SlugField(max_length=50, unique=True)  # what programs call it; never changes
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.name


class Membership(Quotas):
    """Somebody in a workspace. The quotas are this person's in this workspace."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="members")
    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    role = models.CharField(
        max_length=20, choices=[(role.value, role.name.title()) for role in Role]
    )
    joined_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "workspace"], name="accounts_member_once")
        ]

    def __str__(self) -> str:
        return f"{self.user_id} is {self.role} in {self.workspace_id}"


class Invitation(models.Model):
    """Lets whoever owns the address into the workspace, once; only the digest is stored."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="invitations")
    email = models.EmailField()  # lower case
    role = models.CharField(
        max_length=20, choices=[(role.value, role.name.title()) for role in Role]
    )
    digest = models.CharField(max_length=64, unique=True)  # SHA-256, hexadecimal
    invited_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(db_index=True)
    mailed_at = models.DateTimeField(null=True)  # when a mail server took it

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["workspace", "email"], name="accounts_one_invitation_each"
            )
        ]
        indexes: ClassVar = [models.Index(fields=["email"], name="accounts_invitation_email")]

    def __str__(self) -> str:
        return f"invitation into {self.workspace_id}"


class AuditEntry(models.Model):
    """Who did what. Never changed and never deleted: the trigger accounts_audit_stays sees to it.

    Numbers and texts instead of foreign keys: what is written here outlives whom it is about.
    """

    at = models.DateTimeField(db_default=Now())
    verb = models.CharField(max_length=40)  # as member.invited
    actor_id = models.BigIntegerField(null=True)  # None: nobody, or nobody known
    actor = models.CharField(max_length=254, blank=True)  # the e-mail address at that time
    workspace_id = models.BigIntegerField(null=True)  # None: of the site
    workspace = models.CharField(max_length=50, blank=True)  # its slug
    subject = models.CharField(max_length=254, blank=True)  # what it was done to
    via = models.CharField(max_length=40, blank=True)  # of accounts.origin.Origin
    address = models.GenericIPAddressField(null=True)
    request_id = models.CharField(max_length=64, blank=True)
    data = models.JSONField(default=dict)  # a few short values; no secrets, no prompts

    class Meta:
        verbose_name_plural = "audit entries"
        indexes: ClassVar = [
            models.Index(fields=["-at", "-id"], name="accounts_audit_newest"),
            models.Index(fields=["workspace_id", "-at", "-id"], name="accounts_audit_workspace"),
            # By what was done, by whom, to what; a person's entries are few in any workspace.
            models.Index(fields=["verb", "-at", "-id"], name="accounts_audit_verb"),
            models.Index(fields=["actor", "-at", "-id"], name="accounts_audit_actor"),
            models.Index(fields=["subject", "-at", "-id"], name="accounts_audit_subject"),
            models.Index(
                fields=["workspace_id", "verb", "-at", "-id"], name="accounts_audit_workspace_verb"
            ),
            models.Index(
                fields=["request_id"], name="accounts_audit_request", condition=~Q(request_id="")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.verb} by {self.actor or 'nobody'}"


class Ticket(models.Model):
    """Opens one live connection of a program within a minute; only its digest is stored."""

    digest = models.CharField(max_length=64, primary_key=True)  # SHA-256, hexadecimal
    user = models.ForeignKey(User, models.CASCADE, related_name="tickets")
    session = models.CharField(max_length=40, blank=True)  # key of the session that asked for it
    # Or the digest of the token that did. The default is the database's: the release before it
    # does not name the column.
    token = models.CharField(max_length=128, blank=True, db_default="")
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"a ticket of {self.user_id}"


class ApiToken(AbstractAuthToken):  # type: ignore[misc]  # knox has no types
    """What a program shows instead of a password. Only a digest (SHA-512) is stored."""

    objects: ClassVar[Any] = AuthTokenManager()
    name = models.CharField(max_length=100)
    scopes = ArrayField(models.CharField(max_length=20))  # of accounts.roles.Scope
    last_used_at = models.DateTimeField(null=True, blank=True)  # to the minute
    # The one that it is good in; NULL: all of its owner's.
    workspace = models.ForeignKey(
        Workspace, models.CASCADE, null=True, blank=True, related_name="+"
    )

    class Meta:
        verbose_name = "token"
        indexes: ClassVar = [
            models.Index(fields=["expiry"], name="accounts_token_expiry"),
            models.Index(fields=["-created"], name="accounts_token_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.token_key}…)"


class Answer(models.Model):
    """What a POST was answered, so that the same one again is answered alike and does nothing."""

    owner = models.ForeignKey(User, models.CASCADE, related_name="+")
    key = models.CharField(max_length=64)  # SHA-256 of the idempotency key, hexadecimal
    request = models.CharField(max_length=64)  # SHA-256 of what was asked, hexadecimal
    status = models.PositiveSmallIntegerField(default=0)  # of HTTP; 0 only while it is made
    headers = models.JSONField(default=dict)
    body = models.JSONField(null=True, encoder=JSONEncoder)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["owner", "key"], name="accounts_one_answer_per_key")
        ]
        indexes: ClassVar = [models.Index(fields=["at"], name="accounts_answer_at")]

    def __str__(self) -> str:
        return f"answer {self.status} to {self.owner_id}"
