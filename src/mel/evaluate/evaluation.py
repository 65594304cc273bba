"""Evaluate a model: greedy Pass@1, sampled Avg@k and Pass@k, every response kept, resumable after a kill."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mel.evaluate.responses import (
    RESPONSES,
    Kind,
    Response,
    ResponseFile,
    Settings,
    check_problems,
    hash_ids,
    hash_problems,
)
from mel.evaluate.result import EvaluationResult, summarize, write_result
from mel.ports import Ask, Generator, Tokenizer, Verifier
from mel.types import Completion, Problem, Sampling

SEED = 1234
"""Of all sampled evaluation: the same for every run, so that two policies answer under the same draw."""

Job = tuple[str, Kind, int]
"""Problem id, kind and sample number."""

Responder = Callable[[Sequence[str], Sampling], list[Completion]]
"""Answers the problems with these ids, one completion each, in order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far an evaluation is.

    Args:
        done, total: responses, those of an earlier session included.
        resumed: responses of an earlier session.
        tokens, seconds: of this session.
    """

    done: int
    total: int
    resumed: int
    tokens: int
    seconds: float

    @property
    def tokens_per_s(self) -> float:
        return self.tokens / self.seconds if self.seconds else 0.0

    @property
    def time_left_s(self) -> float | None:
        """Estimate from this session's rate; None before the first batch."""
        made = self.done - self.resumed
        return self.seconds / made * (self.total - self.done) if made else None


def evaluate(
    problems: Sequence[Problem],
    verifier: Verifier,
    generator: Generator,
    tokenizer: Tokenizer,
    ask: Ask,
    *,
    out: str | Path,
    max_tokens: int,
    k: int = 8,
    temperature: float = 0.6,
    top_p: float = 1.0,
    batch_size: int = 256,
    seed: int = SEED,
    contained: Collection[str] | None = None,
    model: str = "",
    weights: str = "",
    engine: str = "",
    name: str = "",
    environment: Mapping[str, object] | None = None,
    left_out: Mapping[str, int] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> EvaluationResult:
    """Scores of a model on these problems; `out` then holds `responses.jsonl`, `result.json` and `result.md`.

    An evaluation that was killed goes on where it stopped: what `out` holds is read, and of the batches that lack a
    response only the missing ones are added. Every batch has a seed of its own, so with the same batch size (and
    an engine that repeats itself) the responses are those of an evaluation that was never disturbed.

    Args:
        verifier: a task is one.
        ask: how each problem is put to the model.
        k: sampled responses per problem for Avg@k and Pass@k; 0 for greedy only.
        temperature, top_p: of the sampled responses (the paper: 0.6).
        contained: ids of the problems that the training set contains, for scores without them; None: not looked for.
        batch_size: responses per engine call; they are on disk when the next call begins.
        seed: of the sampled responses.
        model, weights, engine: what is evaluated, the fingerprint of its weights and what generates; another one is not
            mixed into the same `out`.
        name: how tables call this evaluation; by default the name of `out`.
        environment: versions and the like, to be recorded with the result.
        left_out: records of the benchmark that are no problems, by reason; to be said with the result.
        progress: called before the first and after every batch.

    Raises:
        ValueError: no problems, two with one id, samples asked for at temperature 0, a generator that returned
            another number of responses than asked, or an `out` that holds another evaluation.
    """
    check_problems(problems)
    _check_sampling(k=k, temperature=temperature, batch_size=batch_size)
    prompt_ids = {p.id: tokenizer.chat(ask(p)) for p in problems}
    settings = Settings(
        model=model,
        weights=weights,
        k=k,
        temperature=temperature,
        top_p=top_p,
        max_tokens=max_tokens,
        prompts=ask.name,
        problems=hash_problems(problems),
        prompt_ids=hash_ids(prompt_ids.values()),
        engine=engine,
        seed=seed,
    )

    def answer(ids: Sequence[str], sampling: Sampling) -> list[Completion]:
        return generator.generate([prompt_ids[problem] for problem in ids], sampling)

    out = Path(out)
    responses = respond(problems, verifier, answer, settings, out=out, batch_size=batch_size, progress=progress)
    result = summarize(
        name or out.name,
        settings,
        responses,
        contained=contained,
        environment=environment,
        left_out=left_out,
    )
    write_result(result, out)
    return result


def respond(
    problems: Sequence[Problem],
    verifier: Verifier,
    responder: Responder,
    settings: Settings,
    *,
    out: Path,
    batch_size: int,
    progress: Callable[[Progress], None] | None = None,
) -> list[Response]:
    """Every response that the settings ask for, in order; those that `responses.jsonl` in `out` lacks are made.

    Args:
        responder: is asked for the batches that lack a response, each with its own seed.

    Raises:
        ValueError: as many answers as problems are expected, or `out` holds responses to other settings.
    """
    file = ResponseFile(out / RESPONSES, settings)
    samplings: dict[Kind, Sampling] = {
        "greedy": Sampling(max_tokens=settings.max_tokens, temperature=0.0),
        "sampled": Sampling(max_tokens=settings.max_tokens, temperature=settings.temperature, top_p=settings.top_p),
    }
    batches = _batches(problems, samplings, k=settings.k, size=batch_size, seed=settings.seed)
    _Session(file, problems, verifier, responder).run(batches, progress or _quiet)
    return _in_order(file.read(), problems)


class _Session:
    """One process's part of an evaluation: generates what the file lacks, batch by batch."""

    def __init__(
        self,
        file: ResponseFile,
        problems: Sequence[Problem],
        verifier: Verifier,
        responder: Responder,
    ) -> None:
        self._file = file
        self._problems = {p.id: p for p in problems}
        self._verifier = verifier
        self._responder = responder

    def run(self, batches: Sequence[tuple[Sequence[Job], Sampling]], progress: Callable[[Progress], None]) -> None:
        done = {r.job for r in self._file.read()}
        total = sum(len(jobs) for jobs, _ in batches)
        resumed = sum(job in done for jobs, _ in batches for job in jobs)
        at = Progress(done=resumed, total=total, resumed=resumed, tokens=0, seconds=0.0)
        progress(at)
        for jobs, sampling in batches:
            if done.issuperset(jobs):
                continue
            # The whole batch even if one response is missing: its seed then gives that one again.
            responses = [r for r in self._answer(jobs, sampling) if r.job not in done]
            self._file.append(responses)
            at = replace(
                at,
                done=at.done + len(responses),
                tokens=at.tokens + sum(r.num_tokens for r in responses),
                seconds=at.seconds + sum(r.seconds for r in responses),
            )
            progress(at)

    def _answer(self, jobs: Sequence[Job], sampling: Sampling) -> list[Response]:
        started = time.perf_counter()
        completions = self._responder([problem for problem, _, _ in jobs], sampling)
        if len(completions) != len(jobs):
            raise ValueError(f"evaluation: expected {len(jobs)} responses from the generator; got {len(completions)}")
        verdicts = self._verifier.verify([self._problems[p] for p, _, _ in jobs], [c.text for c in completions])
        seconds = (time.perf_counter() - started) / len(jobs)
        return [
            Response(
                problem=problem, kind=kind, sample=sample, text=c.text, num_tokens=len(c.token_ids),
                is_truncated=c.is_truncated, is_correct=v.is_correct, reason=v.reason, detail=v.detail, seconds=seconds,
            )
            for (problem, kind, sample), c, v in zip(jobs, completions, verdicts, strict=True)
        ]  # fmt: skip


def _batches(
    problems: Sequence[Problem], samplings: Mapping[Kind, Sampling], *, k: int, size: int, seed: int
) -> list[tuple[Sequence[Job], Sampling]]:
    """All jobs of an evaluation, cut into engine calls with a seed each."""
    jobs: dict[Kind, list[Job]] = {
        "greedy": [(p.id, "greedy", 0) for p in problems],
        "sampled": [(p.id, "sampled", sample) for sample in range(k) for p in problems],
    }
    batches = [
        (jobs[kind][start : start + size], sampling)
        for kind, sampling in samplings.items()
        for start in range(0, len(jobs[kind]), size)
    ]
    return [(part, replace(s, seed=seed * 1_000_003 + number)) for number, (part, s) in enumerate(batches, 1)]


def _in_order(responses: Sequence[Response], problems: Sequence[Problem]) -> list[Response]:
    position = {p.id: i for i, p in enumerate(problems)}
    return sorted(responses, key=lambda r: (position[r.problem], r.kind, r.sample))


def _check_sampling(*, k: int, temperature: float, batch_size: int) -> None:
    if k < 0 or batch_size < 1:
        raise ValueError(f"evaluation: expected k >= 0 and batch_size >= 1; got k {k}, batch_size {batch_size}")
    if k and temperature <= 0.0:
        raise ValueError(
            f"evaluation: expected a temperature above 0 for {k} samples per problem; got {temperature}. Set one, or k "
            f"to 0 for the greedy response only"
        )


def _quiet(_: Progress) -> None:
    return
