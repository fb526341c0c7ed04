"""The seed's way: transformers, one `model.generate` per item, on the same GPU."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.gpu.workload import stage1_prompts
from engine.generate.prompts import PromptBuilder

ITEMS = 3
TOKENS = 80


def one_by_one(path: str, out: Callable[[dict[str, Any]], None]) -> None:
    """Seconds for a response of 80 tokens and for a critic's verdict, each alone."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    words = AutoTokenizer.from_pretrained(path)
    with torch.device("cuda"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(path), dtype=torch.bfloat16).eval()
    prompts = PromptBuilder.of(stage1_prompts(), 6)
    response = words(prompts.response_prompt("Name three rivers in Europe."), return_tensors="pt").to("cuda")
    critic = words(prompts.pair_critic_prompt("Name three rivers in Europe.", "The Rhine."), return_tensors="pt").to(
        "cuda"
    )
    sampling = {
        "do_sample": True,
        "temperature": 0.4,
        "top_p": 0.9,
        "repetition_penalty": 1.1,
        "max_new_tokens": TOKENS,
        "min_new_tokens": TOKENS,
    }
    with torch.no_grad():

        def generate() -> None:
            model.generate(**response, **sampling)

        def score() -> None:
            model(**critic).logits[0, -1].log_softmax(-1).cpu()

        took = {}
        for name, work in (("generate_s", generate), ("score_s", score)):
            work()
            torch.cuda.synchronize()
            began = time.perf_counter()
            for _ in range(ITEMS):
                work()
            torch.cuda.synchronize()
            took[name] = round((time.perf_counter() - began) / ITEMS, 4)
    per_example = took["generate_s"] + 2 * took["score_s"]
    out(
        {
            "part": "one by one",
            "model": Path(path).name,
            **took,
            "tokens_per_s": round(TOKENS / took["generate_s"], 1),
            "examples_per_s": round(1 / per_example, 3),
        }
    )
