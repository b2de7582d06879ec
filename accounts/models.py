"""Who uses the service. No verbs: accounts/actions.py writes."""

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.db import models
from django.db.models.functions import Lower

from accounts.roles import Role


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        staff = {"is_staff": True, "is_superuser": True, "role": Role.OPERATOR}
        return self.create_user(email, password, **fields | staff)

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email__iexact=username)


class User(AbstractUser):
    """Signs in with an e-mail address; there are no user names."""

    username = None  # type: ignore[assignment]  # Django's way to drop an inherited field
    email = models.EmailField("e-mail address", unique=True)
    role = models.CharField(
        max_length=20,
        choices=[(role.value, role.name.title()) for role in Role],
        default=Role.MEMBER.value,
    )

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

    def __str__(self) -> str:
        return self.email
