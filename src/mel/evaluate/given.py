"""Score responses that somebody else generated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from mel.evaluate.responses import (
    RESPONSES,
    Kind,
    Response,
    ResponseFile,
    Settings,
    check_problems,
    hash_problems,
    json_object,
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
) -> EvaluationResult:
    """Scores of responses that somebody else generated: k is the fewest samples of a problem.

    Args:
        source: JSONL, one response per line with the problem's id and the text; see `read_texts`.

    Raises:
        ValueError: a response to an unknown problem, a problem without any, or an `out` that holds other responses.
    """
    check_problems(problems)
    source, out = Path(source), Path(out)
    rows = read_texts(source)
    by_id = {p.id: p for p in problems}
    counts = Counter(problem for problem, _, _ in rows)
    unknown, missing = sorted(set(counts) - set(by_id)), sorted(set(by_id) - set(counts))
    if unknown or missing:
        raise ValueError(
            f"{source}: expected responses to each of the {len(problems)} problems and to no other; {len(missing)} "
            f"have none{f' ({missing[0]!r})' if missing else ''}, {len(unknown)} ids are unknown"
            f"{f' ({unknown[0]!r})' if unknown else ''}. Check the task, split and id field"
        )
    twice = [p for p, n in Counter(p for p, kind, _ in rows if kind == "greedy").items() if n > 1]
    if twice:
        raise ValueError(f"{source}: expected one greedy response per problem; got more to {twice[0]!r}")
    verdicts = verifier.verify([by_id[problem] for problem, _, _ in rows], [text for _, _, text in rows])
    seen: Counter[tuple[str, Kind]] = Counter()
    responses = []
    for (problem, kind, text), verdict in zip(rows, verdicts, strict=True):
        responses.append(
            Response(
                problem=problem, kind=kind, sample=seen[problem, kind], text=text, num_tokens=0, is_truncated=False,
                is_correct=verdict.is_correct, reason=verdict.reason, detail=verdict.detail, seconds=0.0,
            )
        )  # fmt: skip
        seen[problem, kind] += 1
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
    result = summarize(name or out.name, settings, responses, contained=contained, environment=environment)
    write_result(result, out)
    return result


def read_texts(path: Path) -> list[tuple[str, Kind, str]]:
    """(problem id, kind, text) of each line of a JSONL file that somebody else wrote, or of one of ours.

    A line holds the id under `problem`, `problem_id` or `id` and the text under `text`, `response` or `completion`.
    The kind is `sampled` unless the line says `greedy`.

    Raises:
        ValueError: no such file, or a line without them.
    """
    if not path.is_file():
        raise ValueError(f"{path}: expected a JSONL file, one response per line; there is no such file")
    found: list[tuple[str, Kind, str]] = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            row = json_object(line, path, number, advice="Write one object per line")
            if "settings" in row and number == 1:
                continue
            ids = [row[k] for k in ("problem", "problem_id", "id") if k in row]
            texts = [row[k] for k in ("text", "response", "completion") if k in row]
            if not ids or not texts or not isinstance(texts[0], str):
                raise ValueError(
                    f"{path}, line {number}: expected a problem id (problem, problem_id or id) and a text (text, "
                    f"response or completion); got the keys {', '.join(map(str, row)) or 'none'}. Rename the fields"
                )
            found.append((str(ids[0]), "greedy" if row.get("kind") == "greedy" else "sampled", texts[0]))
    return found
