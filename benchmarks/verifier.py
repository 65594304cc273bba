"""Measure the verifier: agreement with other graders, equivalence vectors, mutated golds, throughput.

    python benchmarks/verifier.py agreement --data DIR
    python benchmarks/verifier.py vectors --data DIR
    python benchmarks/verifier.py mutations --data DIR
    python benchmarks/verifier.py throughput --data DIR

DIR holds `verifier/labelled_generations.jsonl.gz`, `verifier/equivalence_vectors.jsonl` and `benchmarks/*.jsonl`. The
figures of the last
measurement stand in docs/verifier.md.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import os
import re
import time
from collections import Counter, defaultdict
from pathlib import Path

from mel.types import Problem
from mel.verify import AnswerFormat, Limits, MathVerifier, WorkerPool, final_answer

GSM8K_MARKERS = ("A:", "boxed")
_HAS_MATH = re.compile(r"\$|\\boxed|\\\(|\\\[")


def generations(data: Path) -> dict[str, list[dict]]:
    """Labelled responses by source."""
    by_source: dict[str, list[dict]] = defaultdict(list)
    with gzip.open(data / "verifier/labelled_generations.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            by_source[row["file"]].append(row)
    return dict(by_source)


def markers_of(source: str) -> tuple[str, ...]:
    """GSM8K's fine-tuned model ends in `A: 26`; all others box."""
    return GSM8K_MARKERS if source.startswith("gsm8k") else ("boxed",)


def problem_of(row: dict) -> Problem:
    return Problem(id=f"{row['file']}-{row['idx']}-{row['sample']}", text=row["question"], answer=row["gold"])


def agreement(data: Path) -> None:
    """Print agreement per source and every disagreement."""
    with WorkerPool(Limits(workers=1)) as pool:
        for source, rows in generations(data).items():
            verifier = MathVerifier(AnswerFormat(markers=markers_of(source)), pool=pool)
            verdicts = verifier.verify([problem_of(r) for r in rows], [r["response"] for r in rows])
            wrong = [(r, v) for r, v in zip(rows, verdicts, strict=True) if v.is_correct != r["label"]]
            agreed = len(rows) - len(wrong)
            print(f"{source}: {agreed}/{len(rows)} = {agreed / len(rows):.4f} {dict(verifier.counts)}")
            for row, verdict in wrong:
                print(
                    f"  label {row['label']!s:5} ours {verdict.reason:17} gold {row['gold'][:60]!r} ours read "
                    f"{verdict.detail[:80]!r} they read {str(row['pred'])[:60]!r} ends {row['response'][-60:]!r}"
                )


def vectors(data: Path) -> None:
    """Print how many equivalence vectors come out as expected, by family."""
    lines = (data / "verifier/equivalence_vectors.jsonl").read_text(encoding="utf-8").splitlines()
    good: Counter[str] = Counter()
    total: Counter[str] = Counter()
    with WorkerPool(Limits(workers=1)) as pool:
        for row in map(json.loads, lines):
            family = re.split(r"[/_]", row["src"])[0]
            answer_format, response = marked(row)
            verifier = MathVerifier(answer_format, pool=pool)
            verdict = verifier.verify([Problem(id="v", text="", answer=row["gold"])], [response])[0]
            total[family] += 1
            good[family] += verdict.is_correct == row["expected"]
            if verdict.is_correct != row["expected"]:
                print(
                    f"  {family}: gold {row['gold'][-60:]!r} answer {verdict.detail[-60:]!r} expected {row['expected']}"
                )
    for family, count in total.items():
        print(f"{family}: {good[family]}/{count}")


def marked(row: dict) -> tuple[AnswerFormat, str]:
    """The vector as a response with a marked answer, and the format with its original options."""
    options = row["opts"]
    answer_format = AnswerFormat(
        markers=("boxed", "The answer: ", "final answer is"),
        float_rounding=options.get("precision", 6),
        strict=options.get("strict", True),
        allow_set_relation_comp=options.get("allow_set_relation_comp", False),
        max_answer_chars=20_000,
    )
    states = "\\boxed" in row["pred"] or "final answer is" in row["pred"]
    return answer_format, row["pred"] if states else f"The answer: {row['pred']}"


_INTEGER = re.compile(r"[0-9]+")
# The last letter, unless it names the value: "= 5" is "x = 5".
_LAST_LETTER = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z](?![a-zA-Z]|\s*=)(?=[^a-zA-Z]*$)")
_ONE_FORMULA = re.compile(r"[^,;=<>:&|%]*")
_WIDE = str.maketrans({str(digit): chr(0xFF10 + digit) for digit in range(10)})


def mutations(data: Path) -> None:
    """Print how many golds that were made wrong are accepted, and how many that were only rewritten are refused.

    Every accepted and refused one is printed, to be read: raising a number may leave a value as it was.
    """
    rows = _distinct_golds(data)
    wrong = [(row, how, mutant) for row in rows for how, mutant in mutants(row["answer"])]
    same = [(row, how, rewritten) for row in rows for how, rewritten in rewrites(row["answer"])]
    with WorkerPool() as pool:
        for name, items, is_bad in (("mutants accepted", wrong, True), ("rewrites refused", same, False)):
            verifier = MathVerifier(pool=pool)
            problems = [_problem_with_gold(row) for row, _, _ in items]
            verdicts = verifier.verify(problems, [f"Hence \\boxed{{{answer}}}." for _, _, answer in items])
            bad = [(item, v) for item, v in zip(items, verdicts, strict=True) if v.is_correct == is_bad]
            for (row, how, answer), verdict in bad:
                print(f"  {how}: gold {row['answer'][:70]!r} answer {answer[:70]!r} {verdict.reason}")
            print(f"{name}: {len(bad)} of {len(items)} ({len(bad) / len(items):.2%}) {dict(verifier.counts)}")


def _distinct_golds(data: Path) -> list[dict]:
    """One row per gold of the benchmarks, with the metadata that its task reads."""
    found: dict[str, dict] = {}
    for path in sorted((data / "benchmarks").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            answer = str(row["answer"]).rpartition("####")[2].strip()
            found.setdefault(answer, {**row, "answer": answer})
    return list(found.values())


def _problem_with_gold(row: dict) -> Problem:
    has_parts = bool(row.get("is_multiple_answer"))
    return Problem(
        id="m",
        text=row.get("problem") or row.get("question") or "",
        answer=row["answer"],
        metadata={"has_parts": has_parts},
    )


def mutants(gold: str) -> list[tuple[str, str]]:
    """The gold with one number raised by one, its last letter or part or a sign dropped, or a bracket turned."""
    found = [
        (f"number {at + 1} raised", gold[: match.start()] + str(int(match[0]) + 1) + gold[match.end() :])
        for at, match in enumerate(_INTEGER.finditer(gold))
    ]
    found += [("last letter dropped", gold[: m.start()] + gold[m.end() :]) for m in _LAST_LETTER.finditer(gold)]
    parts = gold.replace("$", "").rpartition(",")
    if parts[0] and parts[0].count("(") == parts[0].count(")") and "\\text" not in gold and not _is_thousands(gold):
        found.append(("last part dropped", parts[0]))
    found += [("sign dropped", gold[: m.start()] + gold[m.end() :]) for m in re.finditer(r"(?<=[0-9a-z }])-|^-", gold)]
    if re.match(r"\W*\((?!-\\infty).*,.*[)\]]", gold) and "f(" not in gold:  # infinity is in no interval anyway
        found.append(("bracket turned", gold.replace("(", "[", 1)))
    return [(how, mutant) for how, mutant in found if mutant.strip(" $")]


def _is_thousands(gold: str) -> bool:
    return bool(re.fullmatch(r"\W*[0-9]{1,3}(?:,(?:\\!)?\s*[0-9]{3})+", gold))


def rewrites(gold: str) -> list[tuple[str, str]]:
    """The gold in other notations of the same value."""
    bare = gold.replace("$", "").strip() if "\\$" not in gold else gold
    found = [
        ("as it is", bare), ("in dollars", f"${bare}$"), ("full stop", bare + "."),
        ("displayed", rf"\displaystyle {bare}"),
        ("TeX space behind", bare + r"\,"), ("TeX space before", r"\;" + bare),
        ("bold", rf"\boldsymbol{{{bare}}}"), ("math bold", rf"\mathbf{{{bare}}}"),
        ("colored", rf"\color{{red}}{{{bare}}}"),
        ("phrase", rf"\text{{The answer is }}{bare}"), ("wide digits", bare.translate(_WIDE)),
        ("typographic minus", bare.replace("-", "\u2212")), ("pi as a sign", bare.replace(r"\pi", "\u03c0")),
        ("display fractions", bare.replace(r"\frac", r"\dfrac")),
        ("spaced commas", re.sub(r",(?!\\!|[0-9]{3})", r", \\ ", bare)),
        ("sized brackets", bare if "\\left" in bare else bare.replace("(", r"\left(").replace(")", r"\right)")),
        ("slash", re.sub(r"^(-?)\\frac\{([0-9]+)\}\{([0-9]+)\}$", r"\1\2/\3", bare)),
    ]  # fmt: skip
    if (
        _ONE_FORMULA.fullmatch(bare)
        and "\\text" not in bare
        and "\\mbox" not in bare
        and not re.search(r"\\pm|cup|_[0-9]", bare)
    ):
        found += [("named", f"x = {bare}"), ("twice", rf"{bare} \text{{ or }} {bare}")]
    if re.fullmatch(r"-?[0-9]+", bare):
        found += [
            ("decimal", bare + ".0"),
            ("over one", rf"\frac{{{bare}}}{{1}}"),
            ("with a unit", rf"{bare} \text{{ cm}}"),
        ]
        if len(bare.strip("-")) > 3:
            found += [
                ("TeX thousands", f"{int(bare):,}".replace(",", "{,}")),
                ("thin thousands", f"{int(bare):,}".replace(",", r"\,")),
            ]
    parts = bare.split(",")
    if len(parts) > 1 and not re.search(r"[()=\\]", bare) and not _is_thousands(gold):
        found.append(("parts reversed", ", ".join(reversed(parts))))
    return [(how, text) for how, text in found if how == "as it is" or text != bare]


def throughput(data: Path, *, repeats: int) -> None:
    """Print verifications per second, ours against Math-Verify in one process on the same marked answers.

    The ratio of rates suffers on a busy machine; the CPU time per verification does not: cores times the plain CPU
    time over the pool's is the ratio that an idle machine allows.
    """
    rows = [r for source, rows in generations(data).items() if not source.startswith("gsm8k") for r in rows]
    answered = [(problem_of(r), r["response"], a.text) for r in rows if (a := final_answer(r["response"]))]
    symbolic = [item for item in answered if not re.fullmatch(r"[\d,.\s-]+", item[0].answer)]
    cores = len(os.sched_getaffinity(0))
    print(f"load before: {os.getloadavg()[0]:.2f}, cores: {cores}")
    for name, items in (("all marked answers", answered), ("golds that are no plain number", symbolic)):
        items = items * repeats
        plain_s, plain_cpu_s = _plain(items)
        print(f"{name}, n={len(items)}: plain {len(items) / plain_s:,.0f}/s")
        for fast in (True, False):
            pool_s, pool_cpu_s = _pooled(items, has_fast_path=fast)
            print(
                f"  pool of {cores}, fast path {fast}: {len(items) / pool_s:,.0f}/s; ratio {plain_s / pool_s:.2f}; "
                f"by CPU time {cores * plain_cpu_s / pool_cpu_s:.2f}"
            )
    print(f"load after: {os.getloadavg()[0]:.2f}")


Item = tuple[Problem, str, str]


def _plain(items: list[Item]) -> tuple[float, float]:
    """Wall and CPU seconds of Math-Verify in this process."""
    from math_verify import parse, verify

    logging.getLogger("math_verify").setLevel(logging.ERROR)
    for problem, _, answer in items[:200]:
        verify(parse(f"${problem.answer}$"), parse(f"\\boxed{{{answer}}}"))
    start, cpu = time.perf_counter(), time.process_time()
    for problem, _, answer in items:
        gold = problem.answer if _HAS_MATH.search(problem.answer) else f"${problem.answer}$"
        verify(parse(gold), parse(f"\\boxed{{{answer}}}"))
    return time.perf_counter() - start, time.process_time() - cpu


def _pooled(items: list[Item], *, has_fast_path: bool) -> tuple[float, float]:
    """Wall seconds, and CPU seconds of this process and all workers."""
    with WorkerPool() as pool:
        verifier = MathVerifier(pool=pool, has_fast_path=has_fast_path)
        warm = items[:200]
        verifier.verify([p for p, _, _ in warm], [r for _, r, _ in warm])
        start, cpu = time.perf_counter(), time.process_time() + _workers_cpu_s(pool)
        verifier.verify([p for p, _, _ in items], [r for _, r, _ in items])
        return time.perf_counter() - start, time.process_time() + _workers_cpu_s(pool) - cpu


def _workers_cpu_s(pool: WorkerPool) -> float:
    ticks = 0
    for pid in pool.worker_ids():
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("agreement", "vectors", "mutations", "throughput"))
    parser.add_argument("--data", type=Path, required=True, help="directory that holds verifier/")
    parser.add_argument("--repeats", type=int, default=1, help="times the throughput set is verified")
    args = parser.parse_args()
    if args.what == "throughput":
        throughput(args.data, repeats=args.repeats)
    else:
        {"agreement": agreement, "vectors": vectors, "mutations": mutations}[args.what](args.data)


if __name__ == "__main__":
    main()
