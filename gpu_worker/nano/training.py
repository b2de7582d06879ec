"""A training run with a budget in minutes: it may be stopped at any moment and goes on from there.

Randomness is a function of the step alone, so nothing of it has to be kept.
"""

import json
import math
import os
import random
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

SAVE_SECONDS = 120.0  # a kill costs at most so much
LOG_STEPS = 50
CLIP_NORM = 1.0
BETAS = (0.9, 0.95)


class Optimiser:
    """Muon for the matrices inside, AdamW for the rest: the same loss in fewer steps.

    A convolution counts as the matrix (outputs, inputs · kernel); what reads or writes pixels,
    latents or tokens is left to AdamW. Source: K. Jordan et al., Muon, 2024; torch.optim.Muon.
    """

    def __init__(
        self,
        named: Mapping[str, nn.Parameter],
        *,
        matrix_rate: float,
        other_rate: float,
        decay: float,
        outside: tuple[str, ...],
    ) -> None:
        self._inside = [
            parameter
            for name, parameter in named.items()
            if parameter.ndim > 1 and not any(word in name for word in outside)
        ]
        taken = {id(parameter) for parameter in self._inside}
        rest = [parameter for parameter in named.values() if id(parameter) not in taken]
        # Views: what Muon does to one happens to the weight itself.
        self._views = [nn.Parameter(each.detach().view(len(each), -1)) for each in self._inside]
        self._optimisers: list[torch.optim.Optimizer] = [
            torch.optim.Muon(
                self._views, lr=matrix_rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"
            ),
            torch.optim.AdamW(rest, lr=other_rate, betas=BETAS, weight_decay=decay),
        ]
        self._rates = (matrix_rate, other_rate)

    def step(self, scale: float) -> None:
        """One update at so much of the full learning rates; the gradients are used up."""
        for view, parameter in zip(self._views, self._inside, strict=True):
            assert parameter.grad is not None
            view.grad = parameter.grad.reshape(len(parameter), -1)
        for optimiser, rate in zip(self._optimisers, self._rates, strict=True):
            optimiser.param_groups[0]["lr"] = rate * scale
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        for parameter in self._inside:
            parameter.grad = None

    def tensors(self) -> dict[str, Tensor]:
        return {
            f"{number}.{index}.{name}": tensor
            for number, optimiser in enumerate(self._optimisers)
            for index, values in optimiser.state_dict()["state"].items()
            for name, tensor in values.items()
        }

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of tensors()."""
        for number, optimiser in enumerate(self._optimisers):
            state: dict[int, dict[str, Tensor]] = {}
            for key, tensor in tensors.items():
                which, index, name = key.split(".", 2)
                if int(which) == number:
                    state.setdefault(int(index), {})[name] = tensor
            groups = optimiser.state_dict()["param_groups"]
            optimiser.load_state_dict({"state": state, "param_groups": groups})


class Run:
    """Modules, optimiser and moving average of one training, kept in one safetensors file."""

    def __init__(
        self,
        path: Path,
        modules: Mapping[str, nn.Module],
        optimiser: Optimiser,
        *,
        minutes: float,
        average: float = 0.0,
    ) -> None:
        """average is the moving average's decay; 0 keeps none."""
        self.step = 0
        self._path = path
        self._modules = modules
        self._optimiser = optimiser
        self._budget = minutes * 60
        self._spent = 0.0  # seconds, of this and earlier sittings
        self._decay = average
        self._average = {name: value.clone() for name, value in self._weights()} if average else {}
        self._told: dict[str, float] = {}
        if path.exists():
            self._load()

    @property
    def share(self) -> float:
        """How much of the budget is used, 0 to 1."""
        return min(1.0, self._spent / self._budget)

    def steps(self) -> Iterator[random.Random]:
        """The step's own randomness, until the budget is used up; saves now and then."""
        saved = now = time.monotonic()
        while self._spent < self._budget:
            torch.manual_seed(self.step)
            yield random.Random(self.step)
            then, now = now, time.monotonic()
            self._spent += now - then
            if now - saved > SAVE_SECONDS:
                self.save()
                saved = now
        self.save()

    def learn(self, loss: Tensor, *, rate: float, told: Mapping[str, Tensor]) -> None:
        """One update from the loss at so much of the full rate; told goes into the log."""
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
        parameters = [each for module in self._modules.values() for each in module.parameters()]
        nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
        self._optimiser.step(rate)
        self.step += 1
        decay = min(self._decay, (1 + self.step) / (20 + self.step))
        with torch.no_grad():
            for name, value in self._weights() if self._decay else ():
                self._average[name].lerp_(value, 1 - decay)
        for name, tensor in told.items():
            self._told[name] = self._told.get(name, 0.0) + float(tensor.detach()) / LOG_STEPS
        if self.step % LOG_STEPS == 0:
            self._tell()

    def finish(self) -> None:
        """Puts the moving average into the modules."""
        with torch.no_grad():
            for name, value in self._weights() if self._decay else ():
                value.copy_(self._average[name])

    def save(self) -> None:
        tensors = {f"weights.{name}": value for name, value in self._weights()}
        tensors |= {f"average.{name}": value for name, value in self._average.items()}
        tensors |= {f"optimiser.{name}": value for name, value in self._optimiser.tensors().items()}
        part = self._path.with_suffix(".part")
        metadata = {"step": str(self.step), "seconds": f"{self._spent:.1f}"}
        save_file({name: each.contiguous() for name, each in tensors.items()}, part, metadata)
        os.replace(part, self._path)

    def _load(self) -> None:
        with safe_open(self._path, "pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        self.step, self._spent = int(metadata["step"]), float(metadata["seconds"])
        with torch.no_grad():
            for name, value in self._weights():
                value.copy_(tensors[f"weights.{name}"])
                if self._decay:
                    self._average[name] = tensors[f"average.{name}"]
        self._optimiser.load(
            {
                name.removeprefix("optimiser."): each
                for name, each in tensors.items()
                if name.startswith("optimiser.")
            }
        )

    def _weights(self) -> Iterator[tuple[str, Tensor]]:
        for prefix, module in self._modules.items():
            for name, value in module.named_parameters():  # each once, tied or not
                yield f"{prefix}.{name}", value.detach()

    def _tell(self) -> None:
        told = {name: round(value, 5) for name, value in self._told.items()}
        line = {"step": self.step, "minutes": round(self._spent / 60, 1), **told}
        sys.stdout.write(f"{json.dumps(line)}\n")
        sys.stdout.flush()
        self._told = {}


def cosine(share: float, *, step: int, warm_up: int, constant: float = 0.0) -> float:
    """The learning rate's scale: up over the first steps, level until constant, down to 2 %."""
    fall = max(0.0, (share - constant) / (1 - constant))
    return min(1.0, (step + 1) / warm_up) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * fall)))
