"""Measure the verifier of programs: reference solutions, mutated ones, throughput, cost of a sandbox.

    python benchmarks/programs.py references --humaneval FILE --mbpp FILE
    python benchmarks/programs.py mutants --humaneval FILE --mbpp FILE [--each 2]
    python benchmarks/programs.py cost [--runs 40]

The files are the published HumanEval.jsonl.gz and sanitized-mbpp.json. The figures of the last measurement stand in
docs/sandbox.md.
"""

from __future__ import annotations

import argparse
import ast
import copy
import random
import subprocess
import time
from collections import Counter
from collections.abc import Iterator

from mel import tasks
from mel.tasks.programming import as_response
from mel.types import Problem
from mel.verify.confinement import FLAGS, LEVELS
from mel.verify.sandbox import Program, interpreter
from mel.verify.sandbox_levels import SandboxChoice, open_sandbox

PROGRAM = Program(source="print(sum(range(1000)))")
OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.And: ast.Or, ast.Or: ast.And, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


def loaded(args: argparse.Namespace) -> Iterator[tuple[str, object, list[Problem]]]:
    """Each task with its problems."""
    for name in ("humaneval", "mbpp"):
        task = tasks.load(name, source=getattr(args, name), sandbox=args.sandbox, workers=args.workers)
        yield name, task, [problem for split in task.splits for problem in task.problems(split)][: args.count]


def references(args: argparse.Namespace) -> None:
    """Print how many reference programs are right, each that is not, and how many are judged in a second."""
    for name, task, problems in loaded(args):
        task.verify(problems[:2], [as_response(p.answer) for p in problems[:2]])  # starts the workers
        started = time.monotonic()
        verdicts = task.verify(problems, [as_response(p.answer) for p in problems])
        taken = time.monotonic() - started
        right = sum(v.is_correct for v in verdicts)
        print(f"{name}: {right}/{len(problems)} right, {len(problems) / taken:.1f} programs per second")
        for problem, verdict in zip(problems, verdicts, strict=True):
            if not verdict.is_correct:
                print(f"  {problem.id}: {verdict.reason}: {verdict.detail}")


def mutants(args: argparse.Namespace) -> None:
    """Print the share of mutated reference programs that pass: what the tests of the data do not see."""
    for name, task, problems in loaded(args):
        pairs = [(p, m) for p in problems for m in mutated(p.answer, random.Random(p.id), args.each)]
        verdicts = task.verify([p for p, _ in pairs], [as_response(m) for _, m in pairs])
        reasons = Counter(v.reason for v in verdicts)
        print(f"{name}: {reasons['right']}/{len(pairs)} = {reasons['right'] / len(pairs):.3f} accepted {dict(reasons)}")


def mutated(program: str, rng: random.Random, count: int) -> list[str]:
    """Copies of a program that each differ in one operator or constant, drawn without repetition."""
    tree = ast.parse(program)
    places = [i for i, node in enumerate(ast.walk(tree)) if changed(node) is not None]
    found = []
    for place in rng.sample(places, min(count, len(places))):
        new = copy.deepcopy(tree)
        node = list(ast.walk(new))[place]
        for field, value in changed(node).items():
            setattr(node, field, value)
        found.append(ast.unparse(new))
    return found


def changed(node: ast.AST) -> dict[str, object] | None:
    """The fields of a node that a mutation replaces; None if it has nothing to change."""
    if isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in OPERATORS:
        return {"op": OPERATORS[type(node.op)]()}
    if isinstance(node, ast.Compare) and type(node.ops[0]) in OPERATORS:
        return {"ops": [OPERATORS[type(node.ops[0])](), *node.ops[1:]]}
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return {"value": node.value + 1}
    if isinstance(node, ast.Constant) and type(node.value) is bool:
        return {"value": not node.value}
    return None


def cost(args: argparse.Namespace) -> None:
    """Print the seconds of a run at each level and of a bare interpreter, and their ratio."""
    ways = {"bare": bare, **{level: run_at for level in LEVELS if runs(level, args.interpreter)}}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(args.runs):  # in turn, so that what else runs on the machine hits all alike
        for name, way in ways.items():
            started = time.monotonic()
            way(name, args.interpreter)
            seconds[name].append(time.monotonic() - started)
    middle = {name: sorted(values)[len(values) // 2] for name, values in seconds.items()}
    for name, value in middle.items():
        print(f"{name}: median {value * 1000:.1f} ms, {value / middle['bare']:.2f} of a bare interpreter")


def bare(_: str, path: str | None) -> None:
    command = [interpreter(path).path, *FLAGS, "-c", PROGRAM.source]
    subprocess.run(command, env={}, capture_output=True, check=True)


def run_at(level: str, path: str | None) -> None:
    ran = open_sandbox(SandboxChoice(level, path)).run(PROGRAM)
    if ran.exit_code != 0:
        raise RuntimeError(f"{level}: {ran}")


def runs(level: str, path: str | None) -> bool:
    """Whether the level starts programs here; says why if not."""
    try:
        run_at(level, path)
    except (RuntimeError, ImportError) as error:
        print(f"{level}: not here: {str(error)[:200]}")
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["references", "mutants", "cost"])
    parser.add_argument("--humaneval")
    parser.add_argument("--mbpp")
    parser.add_argument("--count", type=int)
    parser.add_argument("--each", type=int, default=2)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sandbox", default="auto")
    parser.add_argument("--interpreter")
    args = parser.parse_args()
    {"references": references, "mutants": mutants, "cost": cost}[args.what](args)


if __name__ == "__main__":
    main()
