"""Two engines for evaluation on one policy: do they answer alike, and how fast? Needs vLLM (`make vllm`).

`python -m benchmarks.engines [--model DIRECTORY] [--problems 64] [--k 8]`; by default the shipped policy of world 0.
It is asked story counts. Both engines run in this process, one after the other, in float32.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from time import perf_counter

from mel import prompts
from mel.hosts.load import load_model, load_tokenizer
from mel.hosts.local import LocalGenerator
from mel.hosts.offline_vllm import VllmGenerator
from mel.miniature import policies
from mel.ports import Generator
from mel.prompts.chat import ChatTokenizer
from mel.tasks.story_counts import StoryCounts
from mel.types import Completion, Sampling, TokenIds

MAX_TOKENS = 96


def main() -> None:
    """Print the agreement of greedy answers and a line per engine and kind of call."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default=str(policies.path(0)))
    parser.add_argument("--problems", type=int, default=64)
    parser.add_argument("--k", type=int, default=8, help="samples per problem")
    options = parser.parse_args()
    tokenizer = load_tokenizer(options.model)
    task, chat = StoryCounts(), ChatTokenizer(tokenizer)
    solve = prompts.load(task.prompt_set).solve
    problems = task.problems("test", options.problems)
    asked = [chat.chat([{"role": "user", "content": solve(p.text)}]) for p in problems]
    begin = perf_counter()
    local = LocalGenerator(load_model(options.model), tokenizer)
    local.generate(asked[:1], Sampling(max_tokens=1))
    print(f"transformers: first token after {perf_counter() - begin:.1f} s")
    begin = perf_counter()
    served = VllmGenerator(options.model, tokenizer)
    served.generate(asked[:1], Sampling(max_tokens=1))
    print(f"{served.engine}: first token after {perf_counter() - begin:.1f} s")
    answers = {}
    for name, engine in (("transformers", local), ("vllm", served)):
        answers[name] = timed(f"{name} greedy", engine, asked, Sampling(max_tokens=MAX_TOKENS, temperature=0.0))
        sampled = timed(f"{name} sampled", engine, asked * options.k, Sampling(max_tokens=MAX_TOKENS, seed=0))
        verdicts = task.verify(list(problems) * options.k, [c.text for c in sampled])
        print(f"  Avg@{options.k} {sum(v.is_correct for v in verdicts) / len(verdicts):.4f}")
    same = sum(a == b for a, b in zip(answers["transformers"], answers["vllm"], strict=True))
    print(f"greedy answers that are equal token for token: {same} of {len(asked)}")


def timed(label: str, engine: Generator, asked: Sequence[TokenIds], sampling: Sampling) -> list[Completion]:
    """The completions of one call, whose tokens per second are printed."""
    begin = perf_counter()
    found = engine.generate(asked, sampling)
    seconds = perf_counter() - begin
    tokens = sum(len(c.token_ids) for c in found)
    print(f"{label}: {tokens} tokens in {seconds:.2f} s, {tokens / seconds:.0f} per second")
    return found


if __name__ == "__main__":
    main()
