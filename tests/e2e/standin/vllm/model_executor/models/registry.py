"""The one architecture that the stand-in serves, where the real registry names its own."""

_TEXT_GENERATION_MODELS = {
    "Qwen2ForCausalLM": ("qwen2", "Qwen2ForCausalLM"),
}
