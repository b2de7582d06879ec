"""manage.py nano train|evaluate|sheet: the bundled model's making, one command each."""

from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_mochi import AutoencoderKLMochi
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from gpu_worker import mochi, registry
from gpu_worker.engine import Model
from gpu_worker.nano import architecture, evaluation, transformer_training, vae_training
from gpu_worker.nano.transformer_training import POOLS, TINY_POOLS
from jobs import catalog
from jobs.catalog import ModelEntry

ROOT = Path(__file__).resolve().parents[3]
NANO = "nano"


class Command(BaseCommand):
    help = "Trains and evaluates the bundled model, Nano Mochi."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        train = verbs.add_parser("train", help="from nothing to a folder of weights; resumable")
        train.add_argument("--work", type=Path, required=True, help="holds the run; go on with it")
        train.add_argument("--out", type=Path, required=True, help="a new folder for the weights")
        train.add_argument("--vae-minutes", type=float, default=40.0)
        train.add_argument("--transformer-minutes", type=float, default=42.0)
        train.add_argument("--threads", type=int, default=2)
        train.add_argument("--try-out", action="store_true", help="a few clips, to see it run")
        evaluate = verbs.add_parser("evaluate", help="prompts never seen, judged by their pixels")
        evaluate.add_argument("--weights", type=Path, help="another folder than the bundled one")
        evaluate.add_argument("--prompts", type=int, default=208)
        evaluate.add_argument("--json", type=Path, help="also write the figures here")
        evaluate.add_argument("--threads", type=int, default=2)
        sheet = verbs.add_parser("sheet", help="a contact sheet of clips")
        sheet.add_argument("path", type=Path)
        sheet.add_argument("--weights", type=Path)
        sheet.add_argument("--threads", type=int, default=2)

    def handle(self, *args: Any, **options: Any) -> None:
        torch.set_num_threads(options["threads"])
        getattr(self, f"_{options['verb']}")(options)

    def _train(self, options: dict[str, Any]) -> None:
        work: Path = options["work"]
        if options["out"].exists():
            raise CommandError(f"{options['out']} exists already; name a new folder.")
        work.mkdir(parents=True, exist_ok=True)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        vae = vae_training.train(work, minutes=options["vae_minutes"], device=device)
        transformer, text_encoder = transformer_training.train(
            work,
            vae,
            minutes=options["transformer_minutes"],
            device=device,
            pools=TINY_POOLS if options["try_out"] else POOLS,
            compiled=not options["try_out"],
        )
        architecture.save(
            options["out"],
            vae=vae,
            transformer=transformer,
            text_encoder=text_encoder,
            tokenizer=architecture.make_tokenizer(),
        )
        self.stdout.write(f"{options['out']}; now: manage.py nano evaluate --weights …")

    def _evaluate(self, options: dict[str, Any]) -> None:
        model, entry, folder = _model(options)
        vae = AutoencoderKLMochi.from_pretrained(
            folder / "vae", local_files_only=True, low_cpu_mem_usage=False, dtype=torch.float32
        )
        prompts = options["prompts"]
        with tqdm(unit="clip", disable=None) as bar:
            scores = evaluation.default_scores(
                model, vae.eval(), entry.usual("", seed=0), prompts=prompts, tick=bar.update
            )
        self.stdout.write(evaluation.table(scores))
        if options["json"] is not None:
            options["json"].parent.mkdir(parents=True, exist_ok=True)
            options["json"].write_text(evaluation.as_json(scores) + "\n", encoding="utf-8")

    def _sheet(self, options: dict[str, Any]) -> None:
        model, entry, _ = _model(options)
        evaluation.contact_sheet(model, entry.usual("", seed=0), options["path"])
        self.stdout.write(str(options["path"]))


def _model(options: dict[str, Any]) -> tuple[Model[Any], ModelEntry, Path]:
    entry = catalog.load(Path(settings.T2V_MODELS_FILE))[NANO]
    if options["weights"] is None:
        folder = ROOT / entry.source
        return registry.load_model(entry, ROOT, threads=options["threads"]), entry, folder
    return (
        mochi.load(
            replace(entry, source=str(options["weights"])),
            options["weights"],
            threads=options["threads"],
        ),
        entry,
        options["weights"],
    )
