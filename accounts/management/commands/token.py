"""manage.py token: makes a token and prints it, and nothing else, on standard output."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import actions
from accounts.errors import Refusal
from accounts.models import User
from accounts.roles import Scope


class Command(BaseCommand):
    help = "Makes an API token for a person and prints it; nobody can read it again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email", help="whose it is")
        parser.add_argument("--name", required=True, help="what it is for")
        parser.add_argument(
            "--scopes",
            default=f"{Scope.JOBS_READ},{Scope.JOBS_WRITE}",
            help=f"divided by commas, of {', '.join(Scope)} (default: %(default)s)",
        )
        parser.add_argument("--days", type=int, help="until it expires (default: never)")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(email=options["email"].lower()).first()
        if user is None:
            raise CommandError(f"There is no account {options['email']}.")
        if not user.is_active:
            raise CommandError(f"The account {user.email} is not active.")
        scopes = [each.strip() for each in options["scopes"].split(",") if each.strip()]
        days = options["days"]
        try:
            _, token = actions.issue_token(
                user,
                name=options["name"],
                scopes=scopes,
                expires_in=None if days is None else timedelta(days=days),
            )
        except Refusal as refusal:
            raise CommandError(str(refusal)) from refusal
        self.stdout.write(token)
