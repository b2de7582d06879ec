"""Mochi's attention with the text lengths known on the host, and the kernel that computes it.

The arithmetic is that of diffusers 0.42.1, models/attention_processor.py, MochiAttnProcessor2_0.
That one asks the device for the tokens of each prompt (torch.nonzero), in each of 48 blocks, and
the host waits for the answer; here the tokenizer has told it.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.varlen import varlen_attn

from gpu_worker.engine import RenderError

STOCK = "stock"  # diffusers' own processor
# (1, heads, N, dim) three times → the same: softmax over all N, no mask.
Kernel = Callable[[Tensor, Tensor, Tensor], Tensor]


def _sdpa(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(query, key, value, dropout_p=0.0, is_causal=False)


def _only(backend: SDPBackend) -> Kernel:
    def kernel(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        with sdpa_kernel(backend):
            return _sdpa(query, key, value)

    return kernel


# (sum of segments, heads, dim) three times, and each segment's length → the same.
PackedKernel = Callable[[Tensor, Tensor, Tensor, "Segments"], Tensor]


class Segments:
    """Where each row of a batch lies in a packed one. The offsets go to the device once."""

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        self.lengths = list(lengths)
        self.longest = max(lengths)
        offsets = [sum(lengths[:index]) for index in range(len(lengths) + 1)]
        self.offsets = torch.tensor(offsets, dtype=torch.int32, device=device)


def _varlen(query: Tensor, key: Tensor, value: Tensor, segments: Segments) -> Tensor:
    found = varlen_attn(
        query,
        key,
        value,
        segments.offsets,
        segments.offsets,
        segments.longest,
        segments.longest,
    )
    assert isinstance(found, Tensor)  # a pair only where the log-sum was asked for
    return found


def _segmented(query: Tensor, key: Tensor, value: Tensor, segments: Segments) -> Tensor:
    """What _varlen computes, a segment at a time: the packing's own test, on any device."""
    rows = zip(*(torch.split(part, segments.lengths) for part in (query, key, value)), strict=True)
    return torch.cat(
        [_sdpa(*(part.transpose(0, 1)[None] for part in row))[0].transpose(0, 1) for row in rows]
    )


KERNELS: Mapping[str, Kernel] = {
    "sdpa": _sdpa,
    "math": _only(SDPBackend.MATH),
    "flash": _only(SDPBackend.FLASH_ATTENTION),
    "cudnn": _only(SDPBackend.CUDNN_ATTENTION),
}
PACKED: Mapping[str, PackedKernel] = {"varlen": _varlen, "packed": _segmented}
NAMES = frozenset({STOCK, *KERNELS, *PACKED})


class Attention:
    """A processor for MochiAttention, one for all blocks. Set lengths before each forward."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lengths: tuple[int, ...] = ()  # tokens of the prompts, one for each row of the batch
        self._segments: tuple[tuple[int, ...], Segments] | None = None

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,  # (B, S, D) of the clip
        encoder_hidden_states: Tensor,  # (B, L, D') of the prompt, padded on the right
        attention_mask: Tensor,
        image_rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        heads = (attn.heads, -1)
        query = attn.norm_q(attn.to_q(hidden_states).unflatten(2, heads))
        key = attn.norm_k(attn.to_k(hidden_states).unflatten(2, heads))
        value = attn.to_v(hidden_states).unflatten(2, heads)
        text = (
            attn.norm_added_q(attn.add_q_proj(encoder_hidden_states).unflatten(2, heads)),
            attn.norm_added_k(attn.add_k_proj(encoder_hidden_states).unflatten(2, heads)),
            attn.add_v_proj(encoder_hidden_states).unflatten(2, heads),
        )
        if image_rotary_emb is not None:
            query, key = _rotate(query, *image_rotary_emb), _rotate(key, *image_rotary_emb)
        clip_out, text_out = self._joint((query, key, value), text)
        clip_out = attn.to_out[1](attn.to_out[0](clip_out))
        if hasattr(attn, "to_add_out"):
            text_out = attn.to_add_out(text_out)
        return clip_out, text_out

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # lengths may not recompile blocks
    def _joint(
        self, clip: tuple[Tensor, Tensor, Tensor], text: tuple[Tensor, Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """(B, S, heads * dim) and (B, L, heads * dim); zeros where a prompt has no token."""
        # FasterCache leaves the first row out, the one of the empty prompt.
        lengths = self.lengths[-len(clip[0]) :]
        assert len(lengths) == len(clip[0])
        joint = self._packed if self.name in PACKED else self._by_row
        clip_out, text_out = joint(clip, text, lengths)
        return clip_out.flatten(2, 3), text_out.flatten(2, 3)

    def _by_row(
        self,
        clip: tuple[Tensor, Tensor, Tensor],
        text: tuple[Tensor, Tensor, Tensor],
        lengths: tuple[int, ...],
    ) -> tuple[Tensor, Tensor]:
        kernel = KERNELS[self.name]
        tokens, padded = clip[0].shape[1], text[0].shape[1]
        rows = []
        for row, length in enumerate(lengths):
            parts = (
                torch.cat([visual[row : row + 1], words[row : row + 1, :length]], dim=1)
                for visual, words in zip(clip, text, strict=True)
            )
            query, key, value = (part.transpose(1, 2) for part in parts)
            out = kernel(query, key, value).transpose(1, 2)  # (1, S + length, heads, dim)
            rows.append(F.pad(out, (0, 0, 0, 0, 0, padded - length)))
        clip_out, text_out = torch.cat(rows).split_with_sizes((tokens, padded), dim=1)
        return clip_out, text_out

    def _packed(
        self,
        clip: tuple[Tensor, Tensor, Tensor],
        text: tuple[Tensor, Tensor, Tensor],
        lengths: tuple[int, ...],
    ) -> tuple[Tensor, Tensor]:
        tokens = clip[0].shape[1]
        wanted = tuple(tokens + length for length in lengths)
        if self._segments is None or self._segments[0] != wanted:
            self._segments = (wanted, Segments(wanted, clip[0].device))
        segments = self._segments[1]
        query, key, value = (
            torch.cat(
                [
                    part
                    for row, length in enumerate(lengths)
                    for part in (visual[row], words[row, :length])
                ]
            )
            for visual, words in zip(clip, text, strict=True)
        )  # (sum of segments, heads, dim)
        packed = PACKED[self.name](query, key, value, segments)
        found = torch.split(packed, segments.lengths)
        text_out = torch.zeros_like(text[0])
        for row, length in enumerate(lengths):
            text_out[row, :length] = found[row][tokens:]
        return torch.stack([row[:tokens] for row in found]), text_out


def _rotate(pairs: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """(B, S, heads, dim), neighbours in dim turned by their angle; in fp32, as stock does."""
    even, odd = pairs[..., 0::2].float(), pairs[..., 1::2].float()
    first = (even * cosine - odd * sine).to(pairs.dtype)
    second = (even * sine + odd * cosine).to(pairs.dtype)
    return torch.stack([first, second], dim=-1).flatten(-2)


def preference(device: torch.device) -> tuple[str, ...]:
    """The candidates in a fixed order, so that a restart chooses the same. Never by timing.

    Hopper and later: cuDNN's kernel is of FlashAttention-3's class, about twice as fast as the
    FlashAttention-2 that varlen and flash are in torch 2.13. Before: varlen packs both rows.
    """
    if device.type != "cuda":
        return ("sdpa",)
    if torch.cuda.get_device_capability(device) >= (9, 0):
        return ("cudnn", "varlen", "flash", "sdpa")
    return ("varlen", "flash", "cudnn", "sdpa")


def choose(
    wanted: str,
    candidates: Sequence[str],
    *,
    device: torch.device,
    dtype: torch.dtype,
    heads: int,
    dim: int,
) -> str:
    """wanted, or the first candidate that computes right where wanted is "auto".

    Raises RenderError when it does not work on this device.
    """
    if wanted == STOCK:
        return STOCK
    for name in candidates if wanted == "auto" else (wanted,):
        if name in NAMES and computes_right(name, device=device, dtype=dtype, heads=heads, dim=dim):
            return name
    raise RenderError(
        "attention_unavailable",
        f"This worker cannot compute attention by {wanted!r}.",
        permanent=False,
    )


def computes_right(
    name: str, *, device: torch.device, dtype: torch.dtype, heads: int, dim: int
) -> bool:
    """Whether a small random batch comes out as by plain matrix products in fp32."""
    generator = torch.Generator("cpu").manual_seed(0)
    shapes = [(2, 48, heads, dim)] * 3 + [(2, 16, heads, dim)] * 3
    drawn = [torch.randn(shape, generator=generator).to(device, dtype) for shape in shapes]
    kernel, reference = Attention(name), Attention("math")
    kernel.lengths = reference.lengths = (1, 9)
    exact = reference._joint(
        (drawn[0].float(), drawn[1].float(), drawn[2].float()),
        (drawn[3].float(), drawn[4].float(), drawn[5].float()),
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch explains each kernel that it may not take
            found = kernel._joint((drawn[0], drawn[1], drawn[2]), (drawn[3], drawn[4], drawn[5]))
    except torch.AcceleratorError:
        raise  # the device is lost, for the others too
    except (RuntimeError, ValueError):
        return False
    # bf16 has 8 bits: one rounding of a value near 3 is 0.008.
    allowed = 1e-5 if dtype == torch.float32 else 3e-2
    return all(
        bool(torch.isfinite(ours).all()) and float((ours.float() - true).abs().max()) <= allowed
        for ours, true in zip(found, exact, strict=True)
    )
