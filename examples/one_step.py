"""One optimizer step of Meta-Experience Learning from its rollouts to its gradient, on one page and in a second.

    python examples/one_step.py

Everything of the method is real: `mel.methods` asks, `mel.step` drives it, `mel.objective` computes the losses. Two
things are stand-ins: the engine answers with texts written by hand, so that they are readable, and the model is a
table of character pairs, so that nothing is downloaded. A host such as `MELTrainer` has a language model for both.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import torch
from torch import Tensor

from mel import methods, prompts
from mel.methods import MetaExperienceSettings, Surroundings, drive
from mel.objective.gradients import add, compare, take
from mel.objective.losses import mean_nll_R, policy_loss, row_loss
from mel.objective.rows import RowBatch, pad_rows
from mel.objective.score import token_logprobs
from mel.objective.weight import GradNorm
from mel.step import Accounting, Alone, Rolled, learn
from mel.tasks.segmentation import prose_steps
from mel.types import Completion, Group, Message, Problem, Rollout, Row, Sampling, TokenIds, Verdict
from mel.verify.answers import last_boxed

PROBLEM = Problem(id="x", text="How many real numbers x satisfy x^2 = 3x?", answer="2")

OPENING = "Both sides are multiples of x.\n\n"
RIGHT = "Bring everything to one side: x^2 - 3x = 0.\n\nFactor: x(x - 3) = 0.\n\nSo x = 0 or x = 3: \\boxed{2}"
WRONG = OPENING + "Divide both sides by x: x = 3.\n\nThis is the only solution: \\boxed{1}"
GUESS = "A quadratic equation.\n\nIts discriminant is 3.\n\nNot a square, so none: \\boxed{0}"

EXPERIENCE = """\
## Failure point
First wrong step: 2
Dividing by x assumes that x is not zero. The solution x = 0 is lost at this step.

## What worked
The other attempt moved everything to one side and factored, which keeps every solution.

## Reflection
I cancel what two sides have in common without asking whether it may be zero.

## Heuristics
If a factor that may be zero stands on both sides, then factor it out instead of dividing by it."""

SECOND_TRY = "Move them to one side: x^2 - 3x = x(x - 3) = 0.\n\nA product is zero if a factor is: \\boxed{2}"

USER, ASSISTANT, END, VOCABULARY = 256, 257, 258, 259


class Characters:
    """The tokenizer: one token per character, and a conversation is two role tokens."""

    def chat(self, messages: Sequence[Message]) -> TokenIds:
        return (*(t for m in messages for t in (USER, *self.encode(m["content"]))), ASSISTANT)

    def encode(self, text: str) -> TokenIds:
        return tuple(text.encode("ascii"))

    def decode(self, token_ids: Sequence[int]) -> str:
        return bytes(t for t in token_ids if t < USER).decode("ascii")

    def token_index(self, token_ids: Sequence[int], char: int) -> int:
        return next((i for i in range(len(token_ids)) if len(self.decode(token_ids[: i + 1])) > char), len(token_ids))


TOKENIZER = Characters()


class Engine:
    """The engine: answers the first request with M, the second with a solution, and shows a part of either prompt."""

    def __init__(self) -> None:
        self.turns = [
            ("construct: the policy compares two attempts, and the prompt holds", "<incorrect_attempt>", EXPERIENCE),
            (
                "replay: it tries again from before that step, and the prompt with the note ends",
                "<problem>",
                SECOND_TRY,
            ),
        ]

    def generate(self, prompts: Sequence[TokenIds], sampling: Sampling) -> list[Completion]:
        what, begin, answer = self.turns.pop(0)
        for prompt in prompts:
            text = TOKENIZER.decode(prompt)
            show(what, text[text.index(begin) :].split("\n\nThe text between")[0])
            show("it answers", answer)
        return [Completion(token_ids=(*TOKENIZER.encode(answer), END), text=answer) for _ in prompts]


class Boxed:
    """The verifier: the boxed answer is the reference, letter by letter."""

    def verify(self, problems: Sequence[Problem], responses: Sequence[str]) -> list[Verdict]:
        verdicts = [last_boxed(r) == p.answer for p, r in zip(problems, responses, strict=True)]
        return [Verdict(is_correct=right, reason="right" if right else "wrong") for right in verdicts]


class Bigrams(torch.nn.Module):
    """The policy: how likely a character is depends on the one before it, at first evenly."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding.from_pretrained(torch.zeros(VOCABULARY, VOCABULARY), freeze=False)

    def logprobs_of(self, batch: RowBatch) -> Tensor:
        """Log-probability of every target token of these rows, given what precedes it."""
        targets = batch.num_targets
        return token_logprobs(self.table(batch.ids_RL[:, -targets - 1 : -1]), batch.ids_RL[:, -targets:])


def main() -> None:
    """Groups, requests, rows, losses, one step."""
    show("the problem", PROBLEM.text)
    # 1. The host samples a group of rollouts of one problem, and the carrier turns its rewards into advantages.
    group = rolled_out([RIGHT, WRONG, GUESS])
    at = Surroundings(tokenizer=TOKENIZER, prompts=prompts.load("math"), steps=prose_steps, rollout_max_tokens=200)
    method = methods.build(auxiliaries=[MetaExperienceSettings(pairs_per_group=1, choose="closest")], at=at)
    rewards = tuple(rollout.reward for rollout in group.rollouts)
    (advantages,) = method.carrier.advantages([group])
    for rollout, advantage in zip(group.rollouts, advantages, strict=True):
        show(f"a rollout: {rollout.verdict.reason}, advantage {advantage:+.2f}", rollout.text)

    # 2. The method pairs a right with a wrong one, and asks; `drive` has the engine and the verifier answer.
    engine, verifier = Engine(), Boxed()
    learned = learn(
        method,
        Rolled(groups=(group,), rewards=(rewards,), advantages=tuple(advantages)),
        step=1,
        answer=lambda requests: drive(requests, engine, verifier),
        ranks=Alone(),
        accounting=Accounting(),
    )
    (replayed,), (row,) = learned.outcome.replayed, learned.rows
    print(f"the replay is {replayed.attempts[0].verdict.reason}, so the experience is {replayed.reason}\n")
    context = TOKENIZER.decode(row.context_ids)
    show("a row: after this context, which holds no note,", f"{PROBLEM.text} ... {context[context.index(OPENING) :]}")
    show("the policy learns the step that worked", TOKENIZER.decode(row.target_ids))

    # 3. Rollouts and rows are learned in one optimizer step.
    rows = pad_rows([row], [learned.totals.scale(row, "row")], pad_id=END, count=1)
    optimizer_step(Bigrams(), rollouts_as_rows(group, advantages), rows)


def optimizer_step(model: Bigrams, rollouts: RowBatch, rows: RowBatch) -> None:
    """The policy's gradient, and that of the rows at three times its norm, in one step."""
    parameters = list(model.parameters())
    optimizer = torch.optim.SGD(parameters, lr=1.0)
    before = mean_nll_R(model.logprobs_of(rows), rows.target_RT).item()
    policy_part(model, rollouts).backward()
    of_policy = take(parameters)
    row_loss(model.logprobs_of(rows), rows.target_RT, rows.scale_R).backward()
    of_rows = take(parameters)
    norms = compare(of_policy, of_rows)
    weight = GradNorm(share=3.0).measured(policy_norm=norms.left_norm, auxiliary_norm=norms.right_norm)
    add(parameters, of_policy, factor=1.0)
    add(parameters, of_rows, factor=weight)
    optimizer.step()
    after = mean_nll_R(model.logprobs_of(rows), rows.target_RT).item()
    print(f"norms of the gradients: policy {norms.left_norm:.4f}, row {norms.right_norm:.4f}; so lambda = {weight:.3f}")
    print(f"loss of the row in nats per character: {before:.3f} before this optimizer step, {after:.3f} after it")


def rolled_out(texts: Sequence[str]) -> Group:
    """The group as a host would have sampled it."""
    verdicts = Boxed().verify([PROBLEM] * len(texts), texts)
    return Group(
        problem=PROBLEM,
        prompt_ids=TOKENIZER.chat([{"role": "user", "content": prompts.load("math").solve(PROBLEM.text)}]),
        rollouts=tuple(
            Rollout(token_ids=(*TOKENIZER.encode(text), END), text=text, verdict=v, reward=float(v.is_correct))
            for text, v in zip(texts, verdicts, strict=True)
        ),
    )


def rollouts_as_rows(group: Group, advantages: Sequence[float]) -> RowBatch:
    """Every rollout with its advantage at every token; each weighs the same whatever its length (eq. 10)."""
    rows = [
        Row(
            context_ids=group.prompt_ids,
            target_ids=rollout.token_ids,
            term="policy",
            advantages=(advantage,) * len(rollout.token_ids),
            is_sampled=(True,) * len(rollout.token_ids),
        )
        for rollout, advantage in zip(group.rollouts, advantages, strict=True)
    ]
    scales = [1 / (len(rows) * len(row.target_ids)) for row in rows]
    return pad_rows(rows, scales, pad_id=END, count=len(rows))


def policy_part(model: Bigrams, batch: RowBatch) -> Tensor:
    """GRPO's clipped surrogate of the rollouts."""
    logp_RT, clip = model.logprobs_of(batch), {"epsilon_low": 0.2, "epsilon_high": 0.2}
    return policy_loss(logp_RT, None, batch.advantages_RT, batch.sampled_RT, batch.scale_R, level="token", **clip)[0]


def show(what: str, text: str) -> None:
    """Print what happens, and the text of it indented."""
    print(f"{what}\n{textwrap.indent(text.strip(), '    ')}\n")


if __name__ == "__main__":
    main()
