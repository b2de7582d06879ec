"""Our attention is the stock one, whatever kernel computes it, and asks the device nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import MochiAttention, MochiAttnProcessor2_0
from torch.utils._python_dispatch import TorchDispatchMode

from gpu_worker import attention, registry
from gpu_worker.attention import Attention
from gpu_worker.engine import RenderError
from gpu_worker.mochi import Mochi
from gpu_worker.tests.conftest import ROOT
from jobs.catalog import ModelEntry
from jobs.spec import RenderSpec

CPU = torch.device("cpu")
TOKENS, PADDED, WIDTH, TEXT_WIDTH, HEADS = 60, 16, 64, 48, 2


@pytest.fixture(params=[False, True], ids=["text goes on", "last block"])
def layer(request: pytest.FixtureRequest) -> MochiAttention:
    torch.manual_seed(3)
    return MochiAttention(
        query_dim=WIDTH,
        added_kv_proj_dim=TEXT_WIDTH,
        processor=MochiAttnProcessor2_0(),
        heads=HEADS,
        dim_head=WIDTH // HEADS,
        out_dim=WIDTH,
        out_context_dim=TEXT_WIDTH,
        context_pre_only=request.param,
        added_proj_bias=False,
    )


def both(
    layer: MochiAttention, name: str, dtype: torch.dtype, lengths: tuple[int, ...]
) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
    """(ours, stock), each (clip, text)."""
    generator = torch.Generator().manual_seed(4)
    angles = torch.randn(TOKENS, HEADS, WIDTH // HEADS // 2, generator=generator)
    inputs = {
        "hidden_states": torch.randn(len(lengths), TOKENS, WIDTH, generator=generator).to(dtype),
        "encoder_hidden_states": torch.randn(
            len(lengths), PADDED, TEXT_WIDTH, generator=generator
        ).to(dtype),
        "attention_mask": torch.arange(PADDED) < torch.tensor(lengths)[:, None],
        "image_rotary_emb": (angles.cos(), angles.sin()),
    }
    layer.to(dtype)
    processor = Attention(name)
    processor.lengths = lengths
    with torch.no_grad():
        layer.processor = MochiAttnProcessor2_0()
        stock = layer(**inputs)
        layer.processor = processor
        return layer(**inputs), stock


LENGTHS = [(1, 9), (16, 16), (5,), (0, 3), (16, 1, 7)]


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_is_the_stock_attention_bit_for_bit(
    layer: MochiAttention, dtype: torch.dtype, lengths: tuple[int, ...]
) -> None:
    ours, stock = both(layer, "sdpa", dtype, lengths)
    assert all(torch.equal(a, b) for a, b in zip(ours, stock, strict=True))


@pytest.mark.parametrize("lengths", LENGTHS)
def test_packed_rows_come_out_where_they_belong(
    layer: MochiAttention, lengths: tuple[int, ...]
) -> None:
    ours, stock = both(layer, "packed", torch.float32, lengths)
    for found, expected in zip(ours, stock, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_the_unconditional_row_may_be_left_out(layer: MochiAttention) -> None:
    whole, _ = both(layer, "sdpa", torch.float32, (2, 9))
    processor = layer.processor
    generator = torch.Generator().manual_seed(4)
    angles = torch.randn(TOKENS, HEADS, WIDTH // HEADS // 2, generator=generator)
    clip = torch.randn(2, TOKENS, WIDTH, generator=generator)
    text = torch.randn(2, PADDED, TEXT_WIDTH, generator=generator)
    with torch.no_grad():
        found = processor(layer, clip[1:], text[1:], None, (angles.cos(), angles.sin()))
    torch.testing.assert_close(found[0], whole[0][1:], rtol=0, atol=1e-5)


def choose(wanted: str, *candidates: str, dtype: torch.dtype = torch.float32) -> str:
    return attention.choose(wanted, candidates, device=CPU, dtype=dtype, heads=2, dim=32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["sdpa", "math", "packed"])
def test_a_kernel_that_computes_right_is_taken(name: str, dtype: torch.dtype) -> None:
    assert choose("auto", name, "stock", dtype=dtype) == name
    assert choose(name, dtype=dtype) == name


@pytest.mark.filterwarnings("error")
def test_a_kernel_that_this_device_has_not_is_passed_over_in_silence() -> None:
    assert choose("auto", "cudnn", "varlen", "sdpa") == "sdpa"


def test_a_kernel_that_computes_wrong_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        return value * 1.02

    monkeypatch.setattr(attention, "KERNELS", {**attention.KERNELS, "flash": wrong})
    assert choose("auto", "flash", "sdpa", dtype=torch.bfloat16) == "sdpa"


@pytest.mark.parametrize("wanted", ["varlen", "cudnn", "nonsense"])
def test_a_kernel_asked_for_by_name_is_never_replaced(wanted: str) -> None:
    with pytest.raises(RenderError) as caught:
        choose(wanted, "sdpa")
    assert caught.value.code == "attention_unavailable"


def test_a_lost_device_is_no_reason_to_try_the_next_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lost(*args: Any) -> torch.Tensor:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(attention, "KERNELS", {**attention.KERNELS, "flash": lost})
    with pytest.raises(torch.AcceleratorError):
        choose("auto", "flash", "sdpa")


class Questions(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what makes the host wait for a GPU's answer."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.asked = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        asking = {torch.ops.aten.nonzero, torch.ops.aten._local_scalar_dense}
        self.asked += func.overloadpacket in asking
        return func(*args, **(kwargs or {}))


@contextmanager
def counted() -> Iterator[Questions]:
    with Questions() as questions:
        yield questions


@pytest.mark.parametrize("name", ["sdpa", "packed"])
def test_a_step_asks_the_device_nothing(name: str, entry: ModelEntry, spec: RenderSpec) -> None:
    model = registry.load_model(replace(entry, attention=name), ROOT)
    state = model.begin(spec)
    with counted() as ours:
        model.step(state)
    assert ours.asked == 0


def test_the_stock_attention_asks_once_in_each_row_of_each_block(
    entry: ModelEntry, spec: RenderSpec
) -> None:
    model = registry.load_model(replace(entry, attention="stock"), ROOT)
    assert isinstance(model, Mochi)
    state = model.begin(spec)
    with counted() as stock:
        model.step(state)
    assert stock.asked == 6 * 2
    assert model.fingerprint()["attention"] == "stock"
