"""The program under the keeper in `gpu_stops`: vLLM in process on a model of random weights, generating for ever."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from pathlib import Path


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def enter(phase: str) -> None:
    """Say which phase it is in, in the log and, for the keeper, in the journal that any generator may write."""
    say(f"PHASE {phase}")
    line = {"v": 1, "event": "phase", "attempt": 1, "phase": phase}
    with (Path(os.environ["PILOTHOUSE_RUN_DIR"]) / "generator.jsonl").open("a") as journal:
        journal.write(json.dumps(line) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--eager", action="store_true")
    given = parser.parse_args()
    enter("loading")
    from vllm import LLM, SamplingParams

    model = LLM(
        model=given.model,
        load_format="dummy",
        dtype="bfloat16",
        max_model_len=2048,
        gpu_memory_utilization=0.9,
        enforce_eager=given.eager,
    )
    enter("generating")
    sampling = SamplingParams(temperature=0.7, max_tokens=80, ignore_eos=True)
    records = Path(os.environ["PILOTHOUSE_RUN_DIR"]) / "records.jsonl"
    for index in itertools.count():
        finished = model.generate(["1. Write a short sentence.\n2."] * 100, sampling, use_tqdm=False)
        with records.open("a") as stream:
            stream.write(json.dumps({"v": 1, "index": index, "attempt": 1}) + "\n")
        say(f"generated {sum(len(request.outputs[0].token_ids) for request in finished)} tokens")


if __name__ == "__main__":
    main()
