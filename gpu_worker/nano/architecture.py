"""The bundled model's parts: stock Mochi classes, small, with a beginning that trains on two cores.

Sizes follow from what MochiPipeline fixes: 8×8 pixels and 6 frames a latent, 12 latent channels,
norms in 32 groups (so widths in multiples of 32, but where no convolution runs).
"""

import math
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_mochi import AutoencoderKLMochi
from diffusers.models.transformers.transformer_mochi import MochiTransformer3DModel
from diffusers.pipelines.mochi.pipeline_mochi import MochiPipeline
from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
    FlowMatchEulerDiscreteScheduler,
)
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from transformers.models.t5.configuration_t5 import T5Config
from transformers.models.t5.modeling_t5 import T5EncoderModel
from transformers.tokenization_utils_tokenizers import PreTrainedTokenizerFast

from gpu_worker.nano import grammar

MAX_TOKENS = 40  # two things, a background and some words that say nothing
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.-'!?"

VAE_CONFIG: dict[str, Any] = {
    "in_channels": 15,  # RGB and its Fourier features
    "out_channels": 3,
    "latent_channels": 12,
    "encoder_block_out_channels": (16, 32, 64, 128),
    # Half resolution carries the edges: 64 channels there, where 32 left stars as blobs.
    "decoder_block_out_channels": (16, 64, 64, 128),
    "layers_per_block": (0, 1, 2, 1, 1),  # none at full resolution, where it would cost the most
    "temporal_expansions": (2, 3, 1),
    "spatial_expansions": (2, 2, 2),
    "add_attention_block": (False,) * 5,
    "latents_mean": (0.0,) * 12,  # measured after the VAE's training
    "latents_std": (1.0,) * 12,
    "scaling_factor": 1.0,
}
TRANSFORMER_CONFIG: dict[str, Any] = {
    "patch_size": 2,
    "num_attention_heads": 5,
    "attention_head_dim": 32,
    "num_layers": 6,
    "pooled_projection_dim": 96,
    "in_channels": 12,
    "text_embed_dim": 96,
    "time_embed_dim": 128,
    "max_sequence_length": MAX_TOKENS,
}
TEXT_CONFIG: dict[str, Any] = {
    "d_model": 96,
    "d_kv": 24,
    "d_ff": 256,
    "num_layers": 2,
    "num_heads": 4,
    "feed_forward_proj": "gated-gelu",
    "relative_attention_num_buckets": 16,
    "relative_attention_max_distance": 40,
    "dropout_rate": 0.0,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "decoder_start_token_id": 0,
    "is_encoder_decoder": False,
    "use_cache": False,
}


def make_vae(seed: int = 0) -> Any:
    """An untrained AutoencoderKLMochi whose plain path already passes colours on."""
    torch.manual_seed(seed)
    vae = AutoencoderKLMochi(**VAE_CONFIG)
    _begin_vae(vae, torch.Generator().manual_seed(seed))
    return vae


def make_transformer(seed: int = 0) -> Any:
    """An untrained MochiTransformer3DModel."""
    torch.manual_seed(seed)
    transformer = MochiTransformer3DModel(**TRANSFORMER_CONFIG)
    _begin_transformer(transformer)
    return transformer


def make_text_encoder(tokens: int, seed: int = 0) -> Any:
    """An untrained T5EncoderModel over a vocabulary of so many tokens."""
    torch.manual_seed(seed)
    return T5EncoderModel(T5Config(vocab_size=tokens, **TEXT_CONFIG))


def make_tokenizer() -> Any:
    """Whole words of the grammar; letters for all others. Case and accents do not count."""
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -6.0)]
    vocabulary += [(f"▁{word}", -1.0) for word in sorted(set(grammar.words()))]
    vocabulary += [(",", -1.0)]
    vocabulary += [(letter, -12.0) for letter in LETTERS]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=2))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",  # noqa: S106 - a word of the vocabulary
        eos_token="</s>",  # noqa: S106
        unk_token="<unk>",  # noqa: S106
        model_max_length=MAX_TOKENS,
    )


def make_scheduler() -> Any:
    return FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, invert_sigmas=True)


def save(folder: Path, *, vae: Any, transformer: Any, text_encoder: Any, tokenizer: Any) -> None:
    """A folder that MochiPipeline.from_pretrained loads: safetensors in bf16."""
    parts = [part.to(torch.bfloat16) for part in (vae, transformer, text_encoder)]
    MochiPipeline(make_scheduler(), parts[0], parts[2], tokenizer, parts[1]).save_pretrained(folder)
    # transformers 5 writes the name of a class that transformers 4 lacks; both know this one.
    for name in ("model_index.json", "tokenizer/tokenizer_config.json"):
        text = (folder / name).read_text(encoding="utf-8")
        (folder / name).write_text(
            text.replace("TokenizersBackend", "PreTrainedTokenizerFast"), encoding="utf-8"
        )


def _begin_vae(vae: Any, generator: torch.Generator) -> None:
    """Residual branches begin at zero, the plain path as average, mix and nearest neighbour.

    From the stock start no colour came through in 600 steps: the plain path shrinks by 0.58 a layer
    under the normalised branches' noise.
    """
    encoder, decoder = vae.encoder, vae.decoder

    def noise(like: Tensor, scale: float) -> Tensor:
        return torch.randn(like.shape, generator=generator) * scale

    with torch.no_grad():
        for module in vae.modules():
            if type(module).__name__ == "MochiResnetBlock3D":
                first, second = module.conv1.conv, module.conv2.conv
                first.weight.copy_(noise(first.weight, math.sqrt(2 / first.weight[0].numel())))
                for zero in (first.bias, second.weight, second.bias):
                    zero.zero_()
        encoder.proj_in.weight.zero_()
        encoder.proj_in.weight[:, :3] = _orthogonal(len(encoder.proj_in.weight), 3, generator)
        encoder.proj_in.bias.copy_(noise(encoder.proj_in.bias, 0.3))
        for block in encoder.down_blocks:
            weight = block.conv_in.conv.weight
            outputs, inputs = weight.shape[:2]
            area = weight[0, 0].numel()
            weight.copy_(noise(weight, 1 / math.sqrt(inputs * area)))  # details
            averages = _orthogonal(outputs // 2, inputs, generator) / area
            weight[: outputs // 2] = averages[:, :, None, None, None]
            block.conv_in.conv.bias.zero_()
        out = encoder.proj_out.weight  # twelve means, twelve log variances
        out.copy_(noise(out, math.sqrt(2 / out.shape[1])))
        out[len(out) // 2 :] *= 0.01
        into = decoder.conv_in.weight
        into.copy_(_orthogonal(into.shape[0], into.shape[1], generator)[:, :, None, None, None])
        decoder.conv_in.bias.zero_()
        for block in decoder.up_blocks:
            copies = block.temporal_expansion * block.spatial_expansion**2
            weight = block.proj.weight
            outputs, inputs = weight.shape
            mix = _orthogonal(outputs // copies, inputs, generator)
            weight.copy_(mix.repeat_interleave(copies, 0) + noise(weight, 0.1 / math.sqrt(inputs)))
            block.proj.bias.zero_()
        last = decoder.proj_out.weight
        last.copy_(noise(last, math.sqrt(2 / last.shape[1])))
        decoder.proj_out.bias.zero_()


def _orthogonal(outputs: int, inputs: int, generator: torch.Generator) -> Tensor:
    """(outputs, inputs), which keeps the mean square of what passes through."""
    tall = torch.randn(max(outputs, inputs), min(outputs, inputs), generator=generator)
    basis, _ = torch.linalg.qr(tall)
    if outputs >= inputs:
        return Tensor(basis * math.sqrt(outputs / inputs))
    return Tensor(basis.T)


def _begin_transformer(transformer: Any) -> None:
    """What Mochi's constructor leaves to the checkpoint: rotary frequencies, and gates at zero.

    Each head looks along directions of its own, 0.25 to 2 cycles over the 192 units to which Mochi
    stretches every picture; in time, 0.09 to 0.7 radians a latent frame.
    """
    heads = transformer.config.num_attention_heads
    count = transformer.config.attention_head_dim // 2
    ways = torch.randn(3, heads, count, generator=torch.Generator().manual_seed(1))
    ways = ways / ways.norm(dim=0, keepdim=True)
    cycles = torch.logspace(math.log10(0.25), math.log10(2.0), count)[None].expand(heads, count)
    space = 2 * math.pi / 192 * cycles
    with torch.no_grad():
        transformer.pos_frequencies.copy_(ways * torch.stack([0.35 * cycles, space, space]))
        for block in transformer.transformer_blocks:
            for norm in (block.norm1, block.norm1_context):
                _zero(norm.linear if hasattr(norm, "linear") else norm.linear_1)
        _zero(transformer.norm_out.linear)
        _zero(transformer.proj_out)


def _zero(linear: nn.Linear) -> None:
    linear.weight.zero_()
    linear.bias.zero_()
