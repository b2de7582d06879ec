"""The second half: transformer and text encoder together, by rectified flow on the VAE's latents.

Mochi's convention: t runs from 0 (noise) to 1 (data), x_t = t·data + (1 − t)·noise, the model's
answer is the velocity data − noise, and it is told the time as 1000·t.
"""

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from gpu_worker.nano import architecture, clips, grammar
from gpu_worker.nano.training import Optimiser, Run, cosine
from gpu_worker.nano.vae_training import to_tensor

MATRIX_RATE = 4e-3
OTHER_RATE = 1.2e-3
DECAY = 0.01
WARM_UP = 150  # steps
CONSTANT = 0.3  # of the budget at the full learning rate
AVERAGE = 0.999
EMPTY = 0.1  # of the captions: the branch without guidance
UNSAID = 0.25  # of the captions leave the background to the model
ENCODED_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Clips of one shape that are encoded once and drawn from many times."""

    width: int  # pixels
    height: int  # pixels
    frames: int
    clips: int
    batch: int
    share: float  # of the steps

    @property
    def name(self) -> str:
        return f"{self.width}x{self.height}x{self.frames}"

    def scene(self, index: int) -> grammar.Scene:
        """What clip number index shows; of it alone, so that no list has to be kept."""
        return grammar.draw(random.Random(f"{self.name}/{index}"))


POOLS = (
    Pool(width=64, height=64, frames=25, clips=6400, batch=64, share=0.7),
    Pool(width=96, height=64, frames=25, clips=1000, batch=40, share=0.1),
    Pool(width=64, height=96, frames=25, clips=1000, batch=40, share=0.1),
    Pool(width=64, height=64, frames=49, clips=1200, batch=36, share=0.1),
)


# To try the command out: nothing to learn from, and nothing learnt.
TINY_POOLS = tuple(replace(pool, clips=16, batch=2) for pool in POOLS)


def train(
    work: Path,
    vae: Any,
    *,
    minutes: float,
    device: str = "cpu",
    pools: tuple[Pool, ...] = POOLS,
    compiled: bool = True,
) -> tuple[Any, Any]:
    """The trained transformer and text encoder; the latents' statistics go into the VAE's config.

    Goes on where work/transformer.safetensors ends; encodes the clips first, once. Compiling the
    blocks takes half a minute and makes a step about 1.5 times as fast.
    """
    latents = {pool.name: _latents(work, vae, pool, device) for pool in pools}
    mean, std = _statistics(latents[pools[0].name])
    vae.register_to_config(latents_mean=mean.tolist(), latents_std=std.tolist())
    shape = (1, -1, 1, 1, 1)
    latents = {
        name: (each.float() - mean.view(shape)) / std.view(shape) for name, each in latents.items()
    }
    tokenizer = architecture.make_tokenizer()
    transformer = architecture.make_transformer().to(device)
    text_encoder = architecture.make_text_encoder(len(tokenizer)).to(device)
    modules = {"transformer": transformer, "text_encoder": text_encoder}
    optimiser = Optimiser(
        {
            f"{prefix}.{name}": parameter
            for prefix, module in modules.items()
            for name, parameter in module.named_parameters()
        },
        matrix_rate=MATRIX_RATE,
        other_rate=OTHER_RATE,
        decay=DECAY,
        outside=("patch_embed", "proj_out", "pos_frequencies", "shared", "relative_attention_bias"),
    )
    run = Run(
        work / "transformer.safetensors", modules, optimiser, minutes=minutes, average=AVERAGE
    )
    stock = [block.attn1.processor for block in transformer.transformer_blocks]
    for block in transformer.transformer_blocks:
        block.attn1.processor = MaskedAttention()
        if compiled:
            block.compile(dynamic=False)
    transformer.train()
    for rng in run.steps():
        pool = rng.choices(pools, [each.share for each in pools])[0]
        chosen = [rng.randrange(pool.clips) for _ in range(pool.batch)]
        data = latents[pool.name][chosen].to(device)
        tokens = tokenizer(
            [_caption(pool.scene(index), rng) for index in chosen],
            padding="max_length",
            max_length=architecture.MAX_TOKENS,
            truncation=True,
            return_tensors="pt",
        ).to(device)
        loss = _loss(transformer, text_encoder, data, tokens, device)
        scale = cosine(run.share, step=run.step, warm_up=WARM_UP, constant=CONSTANT)
        run.learn(loss, rate=scale, told={"loss": loss})
    run.finish()
    for block, processor in zip(transformer.transformer_blocks, stock, strict=True):
        block.attn1.processor = processor
        block._compiled_call_impl = None  # torch's own way back: compile() has no opposite
    return transformer.eval(), text_encoder.eval()


def _loss(transformer: Any, text_encoder: Any, data: Tensor, tokens: Any, device: str) -> Tensor:
    noise = torch.randn_like(data)
    # Most draws in the noisy middle, where motion and place are decided; some everywhere.
    time = torch.sigmoid(torch.randn(len(data), device=device) * 1.2 - 0.3)
    everywhere = torch.rand(len(data), device=device)
    time = torch.where(torch.rand(len(data), device=device) < 0.25, everywhere, time)
    share = time.view(-1, 1, 1, 1, 1)
    mask = tokens.attention_mask.bool()
    with torch.autocast(device, dtype=torch.bfloat16):
        embeds = text_encoder(tokens.input_ids, attention_mask=mask)[0]
        velocity = transformer(
            hidden_states=share * data + (1 - share) * noise,
            encoder_hidden_states=embeds,
            timestep=time * 1000,
            encoder_attention_mask=mask,
            return_dict=False,
        )[0]
    return F.mse_loss(velocity.float(), data - noise)


def _caption(scene: grammar.Scene, rng: random.Random) -> str:
    if rng.random() < EMPTY:
        return ""
    if rng.random() < UNSAID:
        scene = grammar.Scene(things=scene.things, background="")
    return grammar.paraphrase(scene, rng) if rng.random() < 0.75 else scene.caption()


def _latents(work: Path, vae: Any, pool: Pool, device: str) -> Tensor:
    """(clips, 12, T, H/8, W/8) fp16, of the posterior's mean; from the file if there is one."""
    path = work / f"latents-{pool.name}.safetensors"
    if path.exists():
        return load_file(path)["latents"]
    encoded = []
    for start in range(0, pool.clips, ENCODED_AT_ONCE):
        drawn = [
            clips.render(
                pool.scene(index),
                seed=index,
                frames=pool.frames,
                width=pool.width,
                height=pool.height,
            )
            for index in range(start, min(start + ENCODED_AT_ONCE, pool.clips))
        ]
        with torch.no_grad(), torch.autocast(device, dtype=torch.bfloat16):
            posterior = vae.encode(to_tensor(np.stack(drawn)).to(device)).latent_dist
        encoded.append(posterior.mean.half().cpu())
    latents = torch.cat(encoded).contiguous()
    save_file({"latents": latents}, path)
    return latents


def _statistics(latents: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each of the 12 channels."""
    values = latents.float()
    return values.mean((0, 2, 3, 4)), values.std((0, 2, 3, 4))


class MaskedAttention:
    """MochiAttnProcessor2_0's mathematics for a whole batch at once: for training only.

    The stock one goes through the batch in Python. The largest difference is 1e-6.
    """

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,  # (B, S, D)
        encoder_hidden_states: Tensor,  # (B, L, D')
        attention_mask: Tensor,  # (B, L), True where there is a token
        image_rotary_emb: tuple[Tensor, Tensor],
    ) -> tuple[Tensor, Tensor | None]:
        def heads(states: Tensor) -> Tensor:
            return states.view(*states.shape[:2], attn.heads, -1)

        cos, sin = image_rotary_emb

        def turned(states: Tensor) -> Tensor:
            even, odd = states[..., 0::2].float(), states[..., 1::2].float()
            pairs = torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1)
            return pairs.flatten(-2).to(states.dtype)

        query = turned(attn.norm_q(heads(attn.to_q(hidden_states))))
        key = turned(attn.norm_k(heads(attn.to_k(hidden_states))))
        value = heads(attn.to_v(hidden_states))
        text_query = attn.norm_added_q(heads(attn.add_q_proj(encoder_hidden_states)))
        text_key = attn.norm_added_k(heads(attn.add_k_proj(encoder_hidden_states)))
        text_value = heads(attn.add_v_proj(encoder_hidden_states))
        count = query.shape[1]
        query, key, value = (
            torch.cat(parts, 1).transpose(1, 2).to(value.dtype)
            for parts in ((query, text_query), (key, text_key), (value, text_value))
        )
        allowed = F.pad(attention_mask, (count, 0), value=True)[:, None, None, :]
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        out = out.transpose(1, 2).flatten(2)
        seen, read = attn.to_out[1](attn.to_out[0](out[:, :count])), out[:, count:]
        return seen, attn.to_add_out(read) if hasattr(attn, "to_add_out") else read
