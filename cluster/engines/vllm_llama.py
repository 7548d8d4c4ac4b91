"""Llama's layers on a CPU without detours: the operations that vLLM's own modules end in, called one after another.

A step of a small model is mostly the way to its operations: modules within modules, custom operations that go
through torch's dispatcher and back into Python, a context that each layer looks up twice. The kernels, their order
and the numbers are vLLM's. Whatever is not the plain case (a quantised or sharded model, LoRA, a sliding window, an
encoder, a step with padding, a warm-up without a cache) takes vLLM's own way. docs/decisions/0021 has figures.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

ARCHITECTURE = "LlamaForCausalLM"
KERNELS = ("rms_norm", "fused_add_rms_norm", "rotary_embedding", "silu_and_mul")
CACHED = ("cpu_attn_reshape_and_cache", "cpu_attention_with_kv_cache")


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """A product with a layer's weights: apply(x, weight, bias), by whatever kernel vLLM chose for the machine."""

    apply: "Callable[[Tensor, Tensor, Tensor | None], Tensor]"
    weight: "Tensor"
    bias: "Tensor | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer. keys, values: its cache, (blocks, heads, tokens of a block, head size) each."""

    before: "Tensor"
    after: "Tensor"
    joined: Linear
    out: Linear
    gates: Linear
    down: Linear
    keys: "Tensor"
    values: "Tensor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """All layers, and what they share. names: by which vLLM tells each what a step is about."""

    layers: tuple[Layer, ...]
    names: tuple[str, ...]
    last: "Tensor"
    rotary: Any
    heads: int
    key_heads: int
    size: int
    inner: int
    epsilon: float
    scale: float
    isa: str


def install() -> None:
    """Have vLLM build its Llama models with these layers, in this process and in what is forked from it.

    Again it changes nothing. Where vLLM's build lacks a kernel, it stays as it is.
    """
    import vllm._custom_ops  # noqa: F401 - loads the kernels
    from torch import ops
    from vllm import ModelRegistry
    from vllm.forward_context import get_forward_context
    from vllm.model_executor.models.llama import LlamaForCausalLM, LlamaModel

    if not all(hasattr(ops._C, name) for name in (*KERNELS, *CACHED)):
        return

    class QuickLlamaModel(LlamaModel):  # type: ignore[misc]  # vLLM has no types
        """Takes the quick way where it may."""

        _stack: Stack | None = None
        _cache: "Tensor | None" = None  # that the layers were looked at with: vLLM brings one after the warm-up

        def forward(
            self,
            input_ids: "Tensor | None",
            positions: "Tensor",
            intermediate_tensors: Any,
            inputs_embeds: "Tensor | None" = None,
            **more: Any,
        ) -> Any:
            context = get_forward_context()
            stack = None if more or intermediate_tensors is not None else self._quick(context)
            if stack is None or not fits(stack, context, positions.shape):
                return super().forward(input_ids, positions, intermediate_tensors, inputs_embeds, **more)
            # As in vLLM's own way, the sums of the layers go where the embeddings were. Those that are given lie in
            # its runner's buffer, which it fills anew at each step.
            hidden = self.embed_input_ids(input_ids) if inputs_embeds is None else inputs_embeds
            first = stack.names[0]
            return run(stack, hidden, positions, context.attn_metadata[first], context.slot_mapping[first])

        def _quick(self, context: Any) -> Stack | None:
            if not (context.attn_metadata and isinstance(context.attn_metadata, dict)):
                return None
            cache = self.layers[self.start_layer].self_attn.attn.kv_cache
            if cache is not self._cache:
                self._cache, self._stack = cache, stack_of(self)
            return self._stack

    class QuickLlama(LlamaForCausalLM):  # type: ignore[misc]  # vLLM has no types
        """vLLM's Llama with quicker layers."""

        def _init_model(self, *args: Any, **settings: Any) -> QuickLlamaModel:
            return QuickLlamaModel(*args, **settings)

    ModelRegistry.register_model(ARCHITECTURE, QuickLlama)


def fits(stack: Stack, context: Any, shape: tuple[int, ...]) -> bool:
    """Whether `run` may take a step. shape: of its positions.

    A row a token: `run` cuts no padding off. And all layers are told the same: where others of the model have
    caches of another kind, vLLM deals the layers out to groups with a table of blocks each. All layers of a group
    are told by one object, which makes this cheap.
    """
    told, slots = context.attn_metadata.get(stack.names[0]), context.slot_mapping.get(stack.names[0])
    if told is None or slots is None or shape != (told.num_actual_tokens,):
        return False
    return all(
        context.attn_metadata.get(name) is told and context.slot_mapping.get(name) is slots for name in stack.names
    )


def stack_of(model: Any) -> Stack | None:
    """The layers of a LlamaModel of vLLM's whose cache is there; None where they are not the plain case."""
    if model.aux_hidden_state_layers or (model.start_layer, model.end_layer) != (0, len(model.layers)):
        return None
    if not _plain(model):
        return None
    first, attention = model.layers[0], model.layers[0].self_attn
    return Stack(
        layers=tuple(_layer(layer) for layer in model.layers),
        names=tuple(layer.self_attn.attn.layer_name for layer in model.layers),
        last=model.norm.weight,
        rotary=attention.rotary_emb,
        heads=attention.num_heads,
        key_heads=attention.num_kv_heads,
        size=attention.head_dim,
        inner=first.mlp.down_proj.input_size,
        epsilon=first.input_layernorm.variance_epsilon,
        scale=attention.attn.impl.scale,
        isa=attention.attn.isa,
    )


def run(stack: Stack, hidden: "Tensor", positions: "Tensor", told: Any, slots: "Tensor") -> "Tensor":
    """The hidden states behind the last norm, (tokens, width). told: the attention's metadata of this step."""
    from torch import empty, empty_like, ops

    kernels = ops._C
    norm, add_and_norm = kernels.rms_norm.default, kernels.fused_add_rms_norm.default
    rotate, gate = kernels.rotary_embedding.default, kernels.silu_and_mul.default
    store, attend = kernels.cpu_attn_reshape_and_cache.default, kernels.cpu_attention_with_kv_cache.default
    count, kind = hidden.size(0), hidden.dtype
    shape, key_shape = (count, stack.heads, stack.size), (count, stack.key_heads, stack.size)
    queries = stack.heads * stack.size
    keys = queries + stack.key_heads * stack.size
    turns = stack.rotary._match_cos_sin_cache_dtype(hidden)
    residual, x = hidden, empty_like(hidden)
    norm(x, hidden, stack.layers[0].before, stack.epsilon)
    for number, layer in enumerate(stack.layers):
        if number:
            add_and_norm(x, residual, layer.before, stack.epsilon)
        joined = _times(layer.joined, x)
        q, k = joined[:, :queries], joined[:, queries:keys]
        rotate(positions, q, k, stack.size, turns, True)
        k, v = k.view(key_shape), joined[:, keys:].view(key_shape)
        store(k, v, layer.keys, layer.values, slots, stack.isa, 1.0, 1.0, "auto")
        seen = empty(shape, dtype=kind)
        attend(
            q.view(shape), layer.keys, layer.values, seen, told.query_start_loc, told.seq_lens, stack.scale,
            told.causal, None, -1, told.block_table, 0.0, told.scheduler_metadata, None, told.dynamic_causal,
            1.0, 1.0, "auto",
        )  # fmt: skip
        x = _times(layer.out, seen.view(count, queries))
        add_and_norm(x, residual, layer.after, stack.epsilon)
        gated = empty((count, stack.inner), dtype=kind)
        gate(gated, _times(layer.gates, x))
        x = _times(layer.down, gated)
    add_and_norm(x, residual, stack.last, stack.epsilon)
    return x


def _times(by: Linear, x: "Tensor") -> "Tensor":
    return by.apply(x, by.weight, by.bias)


def _layer(layer: Any) -> Layer:
    attention = layer.self_attn
    blocks, heads, block, _ = attention.attn.kv_cache.size()
    keys, values = attention.attn.kv_cache.view((blocks, heads, block * 2, -1)).chunk(2, dim=2)
    return Layer(
        before=layer.input_layernorm.weight,
        after=layer.post_attention_layernorm.weight,
        joined=_linear(attention.qkv_proj),
        out=_linear(attention.o_proj),
        gates=_linear(layer.mlp.gate_up_proj),
        down=_linear(layer.mlp.down_proj),
        keys=keys,
        values=values,
    )


def _linear(layer: Any) -> Linear:
    return Linear(apply=layer.cpu_linear, weight=layer.weight, bias=layer.bias)


def _plain(model: Any) -> bool:
    """Whether the operations above are all that vLLM's modules would do."""
    from vllm.distributed.kv_transfer import has_kv_transfer_group
    from vllm.model_executor.layers.attention import Attention
    from vllm.model_executor.layers.linear import (
        MergedColumnParallelLinear,
        QKVParallelLinear,
        RowParallelLinear,
        UnquantizedLinearMethod,
    )
    from vllm.model_executor.layers.rotary_embedding.base import RotaryEmbedding
    from vllm.model_executor.models.llama import LlamaAttention, LlamaDecoderLayer, LlamaMLP
    from vllm.v1.attention.backend import AttentionType
    from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackendImpl

    if has_kv_transfer_group():
        return False
    rotary = model.layers[0].self_attn.rotary_emb
    # What it would call, and not what its class has: some have no such method at all (rope_type `longrope`), others
    # one of their own, and an operation that is switched off takes another. How many of a head's numbers turn
    # (`partial_rotary_factor`) the kernel reads from the width of the cosines.
    turn = getattr(getattr(rotary, "_forward_method", None), "__func__", None)
    if turn is not RotaryEmbedding.forward_cpu or not rotary.is_neox_style:
        return False
    for layer in model.layers:
        if type(layer) is not LlamaDecoderLayer:
            return False
        attention, mlp = layer.self_attn, layer.mlp
        linears = (attention.qkv_proj, attention.o_proj, mlp.gate_up_proj, mlp.down_proj)
        impl = attention.attn.impl
        if not (
            type(attention) is LlamaAttention
            and type(mlp) is LlamaMLP
            and tuple(map(type, linears))
            == (QKVParallelLinear, RowParallelLinear, MergedColumnParallelLinear, RowParallelLinear)
            and all(type(each.quant_method) is UnquantizedLinearMethod for each in linears)
            and all(each.tp_size == 1 and not each.skip_bias_add for each in linears)
            and all(hasattr(each, "cpu_linear") for each in linears)
            and all(map(_is_norm, (layer.input_layernorm, layer.post_attention_layernorm)))
            and attention.rotary_emb is rotary
            and type(attention.attn) is Attention  # EncoderOnlyAttention (`is_causal: false`) has no cache
            and type(impl) is CPUAttentionBackendImpl
            and impl.attn_type == AttentionType.DECODER
            and impl.sliding_window == -1
            and not impl.logits_soft_cap
            and impl.alibi_slopes is None
            and impl.sinks is None
            and impl.kv_cache_dtype == "auto"
            and attention.attn.kv_sharing_target_layer_name is None
            and attention.attn.query_quant is None
        ):
            return False
    return _is_norm(model.norm)


def _is_norm(layer: Any) -> bool:
    from vllm.model_executor.layers.layernorm import RMSNorm

    return type(layer) is RMSNorm and layer.variance_size_override is None
