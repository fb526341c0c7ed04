"""`python -m vllm.entrypoints.openai.api_server --model MODEL --uds PATH --served-model-name NAME …`."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from engine.campaign.models import ModelConfig
from engine.generate.backends.base import RequestFailedError, SamplingParameters
from engine.generate.backends.ctranslate2 import CTranslate2Backend
from engine.generate.models.converted import resolve_ctranslate2


def say(line: str) -> None:
    sys.stdout.write(f"(EngineCore pid={os.getpid()}) {line}\n")
    sys.stdout.flush()


class Server:
    def __init__(self, name: str, context: int) -> None:
        self._backend = CTranslate2Backend(resolve_ctranslate2(ModelConfig()), {"threads": 2})
        self._name, self._context = name, context
        self._running = 0
        self._counted = {"prompt": 0, "generation": 0}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/health", self.health),
            web.get("/version", self.version),
            web.get("/metrics", self.metrics),
            web.get("/v1/models", self.models),
            web.post("/v1/completions", self.completions),
        ]

    async def health(self, _: web.Request) -> web.Response:
        return web.Response()

    async def version(self, _: web.Request) -> web.Response:
        return web.json_response({"version": "0.33.0"})

    async def models(self, _: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": self._name, "max_model_len": self._context}]})

    async def metrics(self, _: web.Request) -> web.Response:
        labels = f'{{engine="0",model_name="{self._name}"}}'
        lines = [
            f"vllm:num_requests_running{labels} {self._running}.0",
            f"vllm:num_requests_waiting{labels} 0.0",
            f"vllm:kv_cache_usage_perc{labels} 0.25",
            f"vllm:prompt_tokens_total{labels} {self._counted['prompt']}.0",
            f"vllm:generation_tokens_total{labels} {self._counted['generation']}.0",
            f"vllm:prefix_cache_queries_total{labels} {self._counted['prompt']}.0",
            f"vllm:prefix_cache_hits_total{labels} {self._counted['prompt'] // 2}.0",
        ]
        return web.Response(text="\n".join(lines) + "\n")

    async def completions(self, request: web.Request) -> web.Response:
        asked: dict[str, Any] = await request.json()
        prompts = asked["prompt"]
        if isinstance(prompts, str) or (prompts and isinstance(prompts[0], int)):
            prompts = [prompts]
        self._running += len(prompts)
        try:
            found = await asyncio.gather(*(self._choice(asked, prompt) for prompt in prompts))
        except RequestFailedError as error:
            return web.json_response({"error": {"message": str(error), "type": "BadRequestError"}}, status=400)
        finally:
            self._running -= len(prompts)
        tokens = sum(choice.pop("tokens") for choice in found)
        self._counted["generation"] += tokens
        choices = [{"index": number, **choice} for number, choice in enumerate(found)]
        return web.json_response({"choices": choices, "usage": {"completion_tokens": tokens}})

    async def _choice(self, asked: dict[str, Any], prompt: str | list[int]) -> dict[str, Any]:
        text = prompt if isinstance(prompt, str) else self._backend._decode(prompt)
        self._counted["prompt"] += self._backend.count_tokens(text)
        if asked.get("logprob_token_ids"):
            return await self._scored(text, asked["logprob_token_ids"])
        made = await asyncio.wrap_future(
            self._backend.generate(
                text,
                SamplingParameters(
                    temperature=asked.get("temperature", 1.0),
                    top_p=asked.get("top_p", 1.0),
                    repetition_penalty=asked.get("repetition_penalty", 1.0),
                    max_tokens=asked["max_tokens"],
                    seed=asked.get("seed", 0),
                    stop=tuple(asked.get("stop") or ()),
                ),
            )
        )
        return {
            "text": made.text,
            "finish_reason": "stop" if made.finish_reason == "eos" else made.finish_reason,
            "stop_reason": made.stop_reason,
            "logprobs": None,
            "tokens": made.generated_tokens,
        }

    async def _scored(self, text: str, ids: Sequence[int]) -> dict[str, Any]:
        labels = [self._backend._decode([number]) for number in ids]
        scores = await asyncio.wrap_future(self._backend.score(text, labels))
        top = {f"token_id:{number}": scores.logprobs[label] for number, label in zip(ids, labels, strict=True)}
        logprobs = {"tokens": [f"token_id:{ids[0]}"], "token_logprobs": [-1.0], "top_logprobs": [top]}
        return {"text": "", "finish_reason": "length", "stop_reason": None, "logprobs": logprobs, "tokens": 1}


def serve(socket: str, name: str, context: int) -> None:
    if os.environ.get("STANDIN_STUBBORN"):
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
    say("INFO 11-25 18:17:02 [gpu_model_runner.py:5210] Starting to load model /models/pocket...")
    step = float(os.environ.get("STANDIN_LOAD_S", "0")) / 4
    for share in (25, 50, 75, 100):
        time.sleep(step)
        say(f"Loading safetensors checkpoint shards: {share:3d}% Completed | {share // 25}/4 [00:01<00:00,  1.00it/s]")
    if os.environ.get("STANDIN_FAILS"):
        say(f"ERROR 11-25 18:17:03 [core.py:1231] {os.environ['STANDIN_FAILS']}")
        sys.exit(1)
    application = web.Application()
    application.add_routes(Server(name, context).routes())
    say("INFO 11-25 18:17:04 [core.py:345] init engine (profile, create kv cache, warmup model) took 1.00 s")
    web.run_app(application, path=socket, handle_signals=not os.environ.get("STANDIN_STUBBORN"), print=None)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--uds", required=True)
    parser.add_argument("--served-model-name", required=True)
    parser.add_argument("--max-model-len", type=int, default=1024)
    given, _ = parser.parse_known_args()
    serve(given.uds, given.served_model_name, given.max_model_len)


if __name__ == "__main__":
    main()
