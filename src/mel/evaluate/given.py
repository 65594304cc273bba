"""Score responses that somebody else generated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from mel.evaluate.matching import match
from mel.evaluate.readers import read_given
from mel.evaluate.responses import (
    RESPONSES,
    Kind,
    Response,
    ResponseFile,
    Settings,
    check_problems,
    hash_problems,
)
from mel.evaluate.result import EvaluationResult, summarize, write_result
from mel.ports import Verifier
from mel.types import Problem


def score(
    problems: Sequence[Problem],
    verifier: Verifier,
    source: str | Path,
    *,
    out: str | Path,
    contained: Collection[str] | None = None,
    model: str = "",
    name: str = "",
    environment: Mapping[str, object] | None = None,
    left_out: Mapping[str, int] | None = None,
) -> EvaluationResult:
    """Scores of responses that somebody else generated: k is the fewest samples of a problem.

    Args:
        left_out: records of the benchmark that are no problems, by reason.
        source: JSON lines, parquet or CSV; see `readers`.

    Raises:
        ValueError: a file that cannot be read, a response to an unknown problem, a problem without any, or an `out`
            that holds other responses.
    """
    check_problems(problems)
    source, out = Path(source), Path(out)
    given = read_given(source)
    by_id = {p.id: p for p in problems}
    answered = match(given, problems, source)
    greedy = Counter(problem for problem, one in zip(answered, given, strict=True) if one.kind == "greedy")
    twice = [problem for problem, n in greedy.items() if n > 1]
    if twice:
        raise ValueError(f"{source}: expected one greedy response per problem; got more to {twice[0]!r}")
    verdicts = verifier.verify([by_id[problem] for problem in answered], [one.text for one in given])
    seen: Counter[tuple[str, Kind]] = Counter()
    responses = []
    for problem, one, verdict in zip(answered, given, verdicts, strict=True):
        responses.append(
            Response(
                problem=problem, kind=one.kind, sample=seen[problem, one.kind], text=one.text, num_tokens=0,
                is_truncated=False, is_correct=verdict.is_correct, reason=verdict.reason, detail=verdict.detail,
                seconds=0.0,
            )
        )  # fmt: skip
        seen[problem, one.kind] += 1
    settings = Settings(
        model=model or str(source), weights="", k=min(seen[p, "sampled"] for p in by_id), temperature=0.0, top_p=1.0,
        max_tokens=0, prompts="", problems=hash_problems(problems), prompt_ids="", engine="", seed=0,
    )  # fmt: skip
    file = ResponseFile(out / RESPONSES, settings)
    done = {r.job: r.text for r in file.read()}
    if not done.items() <= {r.job: r.text for r in responses}.items():
        raise ValueError(
            f"{file.path} holds other responses than {source}: delete that file to replace them, or choose another "
            "output directory"
        )
    file.append(r for r in responses if r.job not in done)
    result = summarize(
        name or out.name, settings, responses, contained=contained, environment=environment, left_out=left_out
    )
    write_result(result, out)
    return result
