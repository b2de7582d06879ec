"""Prompts to embeddings, the last ones kept."""

import json
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gpu_worker.vocabulary import load_tokenizer

KEPT_PROMPTS = 32  # 2 MB each at Mochi-1's 256 tokens of 4096 bf16 numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    embeds: Tensor  # (1, L, D)
    mask: Tensor  # (1, L) bool, True where there is a token
    length: int  # tokens, 0 to L


class PromptReader:
    """T5 over one prompt at a time, as the pipeline does it: a batch rounds otherwise.

    on_cpu: the encoder computes on the CPU, for want of memory on the device. Its bits are others
    there, so nothing of it is kept.
    """

    def __init__(
        self,
        folder: Path,
        encoder: Any,
        *,
        device: torch.device,
        dtype: torch.dtype,
        max_length: int,
    ) -> None:
        """Raises OSError and ValueError for a folder that is none of Mochi's."""
        self._tokenizer = load_tokenizer(folder / "tokenizer")
        if self._tokenizer.padding_side != "right":
            raise ValueError("a Mochi tokenizer pads on the right")
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
        # genmo's own code zeroes the text of an empty prompt. The pipeline does so for its whole
        # batch when the last prompt is empty; here each prompt is alone.
        self._zero_empty = bool(index.get("force_zeros_for_empty_prompt", False))
        self._encoder = encoder
        self._device = device
        self._dtype = dtype
        self._max_length = max_length
        self._kept: OrderedDict[str, Embedded] = OrderedDict()
        self.on_cpu = False

    def read(self, prompt: str) -> Embedded:
        """What exceeds L tokens is not read."""
        if prompt in self._kept:
            self._kept.move_to_end(prompt)
            return self._kept[prompt]
        found = self._encode(prompt)
        if not self.on_cpu:
            self._kept[prompt] = found
            if "" in self._kept:
                self._kept.move_to_end("")  # of every guided render; never the oldest
            if len(self._kept) > KEPT_PROMPTS:
                self._kept.popitem(last=False)
        return found

    def _encode(self, prompt: str) -> Embedded:
        tokens = self._tokenizer(
            [prompt],
            padding="max_length",
            max_length=self._max_length,
            truncation=True,
            return_tensors="pt",
        )
        ids, mask = tokens.input_ids, tokens.attention_mask.bool()
        if not prompt and self._zero_empty:
            ids, mask = torch.zeros_like(ids), torch.zeros_like(mask)
        where = torch.device("cpu") if self.on_cpu else self._device
        self._encoder.to(where)
        embeds = self._encoder(ids.to(where), attention_mask=mask.to(where))[0]
        return Embedded(
            embeds=embeds.to(self._device, self._dtype),
            mask=mask.to(self._device),
            length=int(mask.sum()),
        )

    def move_to_cpu(self) -> None:
        self.on_cpu = True
        self._encoder.to("cpu")
