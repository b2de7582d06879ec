"""manage.py bucket: makes the bucket that T2V_S3_BUCKET names, where it is missing."""

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from jobs.storage import S3


class Command(BaseCommand):
    help = "Makes the bucket of T2V_S3_BUCKET where it is missing; leaves one that is there alone."

    def handle(self, *args: Any, **options: Any) -> None:
        name = settings.S3_BUCKET
        if not name:
            raise CommandError("T2V_S3_BUCKET is not set: files lie in a folder, which needs none.")
        storage = S3(**settings.STORAGES["default"]["OPTIONS"])
        client = storage.connection.meta.client
        try:
            if name in (found["Name"] for found in client.list_buckets()["Buckets"]):
                self.stdout.write(f"{name} is there.")
                return
            client.create_bucket(Bucket=name)
        except (BotoCoreError, ClientError) as error:
            raise CommandError(f"The store did not make {name}: {error}") from error
        self.stdout.write(f"{name} is made.")
