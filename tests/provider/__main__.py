"""`python -m tests.provider CALLBACK`: serves on a free port, prints it, then does as it is told.

Each line of its input is an order: EMAIL GROUP,GROUP sets somebody's groups; the end of it ends it.
"""

import os
import sys
import threading
from wsgiref.simple_server import WSGIRequestHandler, make_server

os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # http, to itself
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.provider.settings"

import django
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()

from allauth.account.models import EmailAddress  # noqa: E402
from allauth.idp.oidc.models import Client  # noqa: E402
from django.contrib.auth.models import Group, User  # noqa: E402

from tests.provider.process import CLIENT, PASSWORD, PEOPLE, SECRET  # noqa: E402


class Silent(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def populate(callback: str) -> None:
    call_command("migrate", verbosity=0)
    for name in (CLIENT, "another"):
        client = Client(id=name, name=name, skip_consent=True, scopes="openid\nprofile\nemail")
        client.redirect_uris = callback
        client.set_secret(SECRET)
        client.save()
    for email, verified in PEOPLE.items():
        user = User.objects.create_user(email, email, PASSWORD)
        EmailAddress.objects.create(user=user, email=email, verified=verified, primary=True)


def obey(line: str) -> None:
    email, _, groups = line.strip().partition(" ")
    names = [name for name in groups.split(",") if name]
    user = User.objects.get(email=email)
    user.groups.set([Group.objects.get_or_create(name=name)[0] for name in names])


def main() -> None:
    populate(sys.argv[1])
    server = make_server("127.0.0.1", 0, application, handler_class=Silent)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)  # noqa: T201
    for line in sys.stdin:
        obey(line)
        print("done", flush=True)  # noqa: T201


assert django.VERSION
main()
