"""How much GPU memory a model takes at least, from its configuration alone: what cannot fit is refused before it loads.

Weights are parameters × bytes of their type. A layer of a dense model of the Llama kind has, with hidden size h, heads
of size d, a query heads, k key-value heads and intermediate size f:

    h·a·d (query) + 2·h·k·d (key, value) + a·d·h (output) + 3·h·f (gate, up, down) + norms and biases

and around the layers stand the embedding and, unless it is tied to it, the output head, of vocabulary × h each.
The KV cache takes, for each token, 2 (key and value) × layers × k × d × bytes.

Qwen2.5-32B (64 layers, h = 5120, a = 40, k = 8, d = 128, f = 27648, vocabulary 152064, untied): 64 × 487.6 M
+ 2 × 778.6 M = 32.76 billion parameters, 65.5 GB in bfloat16; 2 × 64 × 8 × 128 × 2 bytes = 256 KiB per token.
Qwen2.5-7B: 7.62 billion, 56 KiB per token. Llama-3-8B: 8.03 billion, 128 KiB per token.

All figures err on the low side: what is refused cannot work, and vLLM, which measures, has the last word on the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import ConfigurationError
from engine.generate.models.architectures import default_gpu_memory_utilization
from engine.logs.sanitise import sanitise

GIB = 1 << 30
WORKING_BYTES = GIB // 2
"""Per GPU, beside weights and cache: what one step computes with, and the workspaces of cuBLAS and NCCL. Assumed, and
low: 2048 tokens through an MLP of 2 × 27648 take 216 MiB in bfloat16, and the logits of 256 sequences over 152064 words
149 MiB in float32; vLLM's default batches are larger. The CUDA context lies in the share that vLLM leaves alone."""

LARGEST = 1 << 40
"""Beyond this a number in a configuration is nonsense."""

TIED = ("gemma", "gemma2", "gemma3_text", "smollm3")
DENSE = (*TIED, "llama", "mistral", "qwen2", "qwen3", "phi3", "olmo", "olmo2", "granite", "internlm2", "seed_oss")
"""Values of `model_type` whose layers are the dense ones above; `TIED` ones tie their embedding if nothing is said."""

_BYTES = {"float32": 4, "float": 4, "float16": 2, "half": 2, "bfloat16": 2}
_FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
"""Bytes of a number, as headers of safetensors call its type."""

_QUANTISED_BITS = {"fp8": 8, "fbgemm_fp8": 8, "fp8_per_tensor": 8, "fp8_per_block": 8, "bitsandbytes": 4}
_CROWDED = ("num_kv_heads", "multi_query", "n_head_kv", "multi_query_group_num", "num_kv_shared_layers", "use_cla")
_HYBRID = ("mamba", "ssm", "linear_", "hybrid", "attn_layer_")
"""Keys of models that keep less than 2 × layers × heads × size per token in some way of their own."""


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """What the whole model takes, in bytes over all GPUs; None for what its configuration does not tell.

    `parameters` is a count. `kv_bytes_per_token` is what the layers that keep every token take for each, and
    `window_bytes_per_token` what those take that keep the last `window` tokens only. `context` is the longest sequence
    in tokens, `heads` and `kv_heads` are heads of a layer.
    """

    parameters: int | None
    weight_bytes: int | None
    kv_bytes_per_token: int | None
    context: int | None
    heads: int | None = None
    kv_heads: int | None = None
    window_bytes_per_token: int = 0
    window: int = 0

    def kv_bytes(self, tokens: int) -> int:
        """Bytes that one sequence of `tokens` takes in the cache at least."""
        return tokens * (self.kv_bytes_per_token or 0) + min(tokens, self.window) * self.window_bytes_per_token


def estimate(
    config: Mapping[str, Any],
    *,
    weight_bytes: int | None,
    options: Mapping[str, Any],
    tensor_bytes: Mapping[str, int] | None = None,
) -> MemoryEstimate:
    """The estimate for the model of `config` (the object in config.json) with `model.options`.

    `weight_bytes` are the real sizes of the files with its weights, None where there are none (yet): then the weights
    are worked out, for models of the Llama kind. `tensor_bytes` are those of the tensors of each type, where the files
    tell: config.json may say something else, or nothing.
    """
    text = config.get("text_config")
    part = {**config, **text} if isinstance(text, dict) else config
    shape = _shape(part) if not isinstance(text, dict) else None
    stored = _BYTES.get(_dtype(part))
    loaded = _loaded_bytes(options, stored)
    per_token, windowed, window = _cache(part, _cache_bits(config, options, loaded))
    length = options.get("max_model_len")
    return MemoryEstimate(
        parameters=sum(shape) if shape is not None else None,
        weight_bytes=_weights(
            config,
            options,
            shape=shape,
            file_bytes=weight_bytes,
            tensors=tensor_bytes or {},
            stored=stored or 4,  # PyTorch's own type: what is stored with less takes less than this says
            loaded=loaded,
        ),
        kv_bytes_per_token=per_token,
        context=_number(length) if length is not None else _number(part.get("max_position_embeddings")),
        heads=_number(part.get("num_attention_heads")),
        kv_heads=1 if _number(part.get("kv_lora_rank")) else _kv_heads(part),
        window_bytes_per_token=windowed,
        window=window,
    )


def check_memory(
    found: MemoryEstimate,
    *,
    gpu_total_bytes: Sequence[int],
    options: Mapping[str, Any],
    default_utilization: float | None = None,
) -> None:
    """Refuse what cannot fit: on each GPU the weights, working memory and the cache of ONE longest sequence.

    `gpu_total_bytes` is the memory of each GPU that the run may use; none of them: nothing is known, nothing refused.
    `default_utilization` is vLLM's share of a GPU where `options` do not say (None: as its sources say). Raises
    `ConfigurationError` with the figures in GiB and what would fit.
    """
    tensor, pipeline = (_size(options, f"{kind}_parallel_size") for kind in ("tensor", "pipeline"))
    share = _share(options, default_utilization)
    if not gpu_total_bytes or options.get("kv_cache_memory_bytes") is not None:
        return
    gpus = tensor * pipeline
    if gpus > len(gpu_total_bytes) and options.get("nnodes") is None:
        raise ConfigurationError(
            f"the model is to be spread over {gpus} GPUs, and the run has {len(gpu_total_bytes)}",
            where="model.options.tensor_parallel_size",
            remedy="lower it, or give the run more GPUs",
        )
    usable = int(share * min(gpu_total_bytes[:gpus] or gpu_total_bytes))
    plan = _Plan(found, options, usable)
    if plan.needed(tensor, pipeline) <= usable:
        return
    weights, cache = plan.weights(gpus), plan.cache(tensor, pipeline)
    tokens = f"{found.context:,} tokens" if found.context else "unknown length"
    raise ConfigurationError(
        f"the model does not fit: each GPU needs {_gib(weights)} for weights, {_gib(WORKING_BYTES)} to work in and "
        f"{_gib(cache)} for the cache of one sequence of {tokens}, {_gib(weights + WORKING_BYTES + cache)} in all; "
        f"vLLM may use {_gib(usable)}, {share:g} of the GPU's memory",
        where="model.options",
        remedy=plan.remedy(tensor, pipeline),
    )


# --- what would fit ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Plan:
    """Bytes per GPU of a model that is spread over GPUs, against the `usable` bytes of each."""

    found: MemoryEstimate
    options: Mapping[str, Any]
    usable: int

    def weights(self, gpus: int, factor: float = 1.0) -> int:
        """An even share of the weights, less what `cpu_offload_gb` keeps in the machine's memory."""
        offloaded = self.options.get("cpu_offload_gb")
        kept_away = offloaded * GIB if isinstance(offloaded, int | float) and 0 < offloaded < LARGEST else 0
        return max(0, int((self.found.weight_bytes or 0) * factor / gpus - kept_away))

    def cache(self, tensor: int, pipeline: int, tokens: int | None = None) -> int:
        """The cache of one sequence. Heads are shared out; with fewer of them than GPUs each GPU keeps one."""
        heads = self.found.kv_heads or tensor
        whole = self.found.kv_bytes(tokens if tokens is not None else self.found.context or 0)
        return int(whole * max(1, heads // tensor) / heads / pipeline)

    def needed(self, tensor: int, pipeline: int, factor: float = 1.0) -> int:
        return self.weights(tensor * pipeline, factor) + WORKING_BYTES + self.cache(tensor, pipeline)

    def remedy(self, tensor: int, pipeline: int) -> str:
        """What of a shorter context, more GPUs and quantised weights would fit."""
        ways = []
        left = self.usable - self.weights(tensor * pipeline) - WORKING_BYTES
        per_token = self.cache(tensor, pipeline, 1 << 20) / (1 << 20)
        tokens = int(left / per_token) // 256 * 256 if per_token and left > 0 else 0
        if tokens and tokens < (self.found.context or 0):
            ways.append(f"model.options: {{max_model_len: {tokens}}} or less")
        for more in (2, 4, 8, 16):
            divides = self.found.heads is None or self.found.heads % more == 0
            if more > tensor and divides and self.needed(more, pipeline) <= self.usable:
                ways.append(f"{more * pipeline} such GPUs with model.options: {{tensor_parallel_size: {more}}}")
                break
        if self.needed(tensor, pipeline, 0.5) <= self.usable:
            ways.append("a quantised model (FP8 halves the weights, four bits quarter them)")
        return "; or ".join(ways) or "take a smaller model, or larger GPUs"


def _gib(size: float) -> str:
    return f"{size / GIB:.1f} GiB"


def _size(options: Mapping[str, Any], key: str) -> int:
    value = options.get(key)
    if value is None:
        return 1
    if type(value) is not int or not 1 <= value <= 4096:
        raise ConfigurationError(
            f"{sanitise(repr(value), 60)} is not a number of GPUs",
            where=f"model.options.{key}",
            remedy="write a whole number from 1 on",
        )
    return value


def _share(options: Mapping[str, Any], default: float | None) -> float:
    value = options.get("gpu_memory_utilization")
    if value is None:
        return default if default is not None else default_gpu_memory_utilization()
    if type(value) not in (int, float) or not 0 < value <= 1:
        raise ConfigurationError(
            f"{sanitise(repr(value), 60)} is not a share of a GPU's memory",
            where="model.options.gpu_memory_utilization",
            remedy="write a number over 0 and up to 1, as 0.9",
        )
    return float(value)


# --- what a configuration tells ----------------------------------------------------------------------------------


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < LARGEST else None


def _dtype(config: Mapping[str, Any]) -> str:
    return str(config.get("dtype") or config.get("torch_dtype")).removeprefix("torch.")[:20]


def _loaded_bytes(options: Mapping[str, Any], stored: int | None) -> int:
    """Bytes of a parameter on the GPU: vLLM's `auto` loads what is stored in 32 bits with 16."""
    return _BYTES.get(str(options.get("dtype", "auto"))[:20], min(stored or 2, 2))


def _kv_heads(config: Mapping[str, Any]) -> int | None:
    if config.get("num_key_value_heads") is not None:
        return _number(config["num_key_value_heads"])
    return _number(config.get("num_attention_heads")) if not any(config.get(key) for key in _CROWDED) else None


def _head_size(config: Mapping[str, Any]) -> int | None:
    given = _number(config.get("head_dim"))
    hidden, heads = _number(config.get("hidden_size")), _number(config.get("num_attention_heads"))
    return given or (hidden // heads if hidden and heads else None)


def _shape(config: Mapping[str, Any]) -> tuple[int, int] | None:
    """Parameters of a dense model: those in the matrices of its layers, and all others."""
    keys = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")
    numbers = [_number(config.get(key)) for key in keys]
    kv_heads, size = _kv_heads(config), _head_size(config)
    if config.get("model_type") not in DENSE or None in numbers or kv_heads is None or size is None:
        return None
    hidden, layers, heads, intermediate, vocabulary = (number or 0 for number in numbers)
    queries, keys_or_values = heads * size, kv_heads * size
    matrices = hidden * queries + 2 * hidden * keys_or_values + queries * hidden + 3 * hidden * intermediate
    biases = queries + 2 * keys_or_values if config.get("attention_bias", config.get("model_type") == "qwen2") else 0
    tied = config.get("tie_word_embeddings", config.get("model_type") in TIED) is True
    around = vocabulary * hidden * (1 if tied else 2) + hidden
    return layers * matrices, layers * (2 * hidden + biases) + around


def _weights(
    config: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    shape: tuple[int, int] | None,
    file_bytes: int | None,
    tensors: Mapping[str, int],
    stored: int,
    loaded: int,
) -> int | None:
    """Bytes of the weights on the GPUs: the files' own, or the shape's, in the type that they are loaded with."""
    quantised = config.get("quantization_config")
    if tensors and options.get("quantization") is None:
        narrow = isinstance(quantised, dict)
        return sum(_on_gpu(kind, size, loaded, narrow=narrow) for kind, size in tensors.items())
    if isinstance(quantised, dict):
        bits = _bits(quantised)
        worked_out = shape[0] * bits // 8 + shape[1] * loaded if shape is not None and bits is not None else None
        return file_bytes if file_bytes is not None else worked_out
    if options.get("quantization") is not None:  # while it is loaded
        bits = _QUANTISED_BITS.get(str(options["quantization"])[:40])
        return shape[0] * bits // 8 + shape[1] * loaded if shape is not None and bits is not None else None
    if file_bytes is not None:
        return file_bytes * loaded // stored
    return sum(shape) * loaded if shape is not None else None


def _on_gpu(kind: str, size: int, loaded: int, *, narrow: bool) -> int:
    """Bytes of tensors that take `size` in their files: floating-point numbers are loaded in the model's type, all else
    stays as it is. With `narrow`, what a quantised model has in a smaller type does, too."""
    stored = _FLOATS.get(kind)
    if stored is None:
        return size
    return size // stored * (min(stored, loaded) if narrow else loaded)


def _bits(quantised: Mapping[str, Any]) -> int | None:
    """Bits of a parameter in a quantised layer, as config.json tells them."""
    method = str(quantised.get("quant_method"))[:40]
    if method == "bitsandbytes":
        return 4 if quantised.get("load_in_4bit") else 8
    return _QUANTISED_BITS.get(method) or _number(quantised.get("bits") or quantised.get("w_bit"))


def _cache_bits(config: Mapping[str, Any], options: Mapping[str, Any], loaded: int) -> int | None:
    """Bits of a number in the KV cache; None for formats that are not known here."""
    kind = str(options.get("kv_cache_dtype") or "auto")[:40]
    if kind.startswith(("fp8", "int8")):
        return 8
    if kind.startswith(("nvfp4", "int4")):
        return 4
    if kind == "auto":
        quantised = config.get("quantization_config")
        narrow = isinstance(quantised, dict) and (
            quantised.get("kv_cache_scheme") or quantised.get("kv_cache_quant_algo")
        )
        return 8 if narrow else 8 * loaded
    return 8 * _BYTES[kind] if kind in _BYTES else None


def _cache(config: Mapping[str, Any], bits: int | None) -> tuple[int | None, int, int]:
    """Bytes per token of the layers that keep all tokens, of those that keep a window, and the window in tokens."""
    layers, kv_heads, size = _number(config.get("num_hidden_layers")), _kv_heads(config), _head_size(config)
    if bits is None or layers is None or any(config.get(key) for key in ("num_kv_shared_layers", "use_cla")):
        return None, 0, 0
    latent = _number(config.get("kv_lora_rank"))
    if latent is not None:  # DeepSeek's latent attention keeps one compressed vector and one rotated part
        return layers * (latent + (_number(config.get("qk_rope_head_dim")) or 0)) * bits // 8, 0, 0
    if kv_heads is None or size is None:
        return None, 0, 0
    layer = 2 * kv_heads * size * bits // 8
    kinds = config.get("layer_types")
    window = _number(config.get("sliding_window")) or _number(config.get("attention_chunk_size")) or 0
    if isinstance(kinds, list) and kinds:
        sliding = sum(kind in ("sliding_attention", "chunked_attention") for kind in kinds)
        return layer * kinds.count("full_attention"), layer * sliding if window else 0, window
    if any(str(key).startswith(_HYBRID) for key in config):
        return None, 0, 0
    if window and config.get("use_sliding_window", True) is not False:
        return 0, layer * layers, window
    return layer * layers, 0, 0
