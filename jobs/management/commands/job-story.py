"""manage.py job-story ID: one job's whole life (docs/howto/logs.md)."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from jobs import biography, biography_words, story
from jobs.moves import as_fact


class Command(BaseCommand):
    help = "Tells all that is known of one job: history, attempts, files, webhooks, audit, trace."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", help="the job's id, or the beginning of it that no other has")
        parser.add_argument("--prompt", action="store_true", help="tell the prompt, too")
        parser.add_argument("--json", action="store_true", help="for a program")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            job = biography.find(options["id"])
        except biography.NoSuchJob as error:
            raise CommandError(str(error)) from error
        life = biography.life_of(job, prompt=options["prompt"])
        if options["json"]:
            self.stdout.write(json.dumps(life, indent=2))
            return
        told = story.tell([as_fact(event) for event in biography.facts_of(job, life)])
        for line in biography_words.lines(life, told):
            self.stdout.write(line)
