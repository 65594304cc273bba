"""What a policy of the miniature can do before training: the probe of any policy, and how it reads verbs."""

from __future__ import annotations

from collections.abc import Sequence

from mel import prompts
from mel.methods import Surroundings, drive
from mel.methods.probe import intervals, probe, setting_of
from mel.ports import Generator, Scorer, Tokenizer
from mel.prompts.ask import PlainAsk
from mel.tasks.small_world import SmallWorldTask


def facts(
    generator: Generator,
    tokenizer: Tokenizer,
    task: SmallWorldTask,
    *,
    scorer: Scorer | None = None,
    positions: int | None = None,
    count: int = 200,
    samples: int = 8,
    seed: int = 7,
) -> dict[str, float | None]:
    """Name -> mean over the first ``count`` test problems; None where there was nothing to measure.

    Beside the figures of `mel.methods.probe`: ``pairs``; ``known_right`` and ``misconceived_right``, the shares of such
    verbs that greedy solutions read right; and ``misconceived_sampled``, the same of sampled ones: what there is to
    reinforce.
    """
    prompt_set = prompts.load(task.prompt_set, ["construct", "replay"])
    at = Surroundings(
        tokenizer=tokenizer,
        prompts=prompt_set,
        steps=task.steps,
        # Enough for a solution with a recalled rule.
        rollout_max_tokens=task.kind.step_words * task.length + 16,
        seed=seed,
        inspector=task,
    )
    setting = setting_of((), samples=samples, noting=task, scores_tokens=scorer is not None, positions=positions)
    asked = probe(task.problems("test", count), PlainAsk(prompts=prompt_set), at, setting)
    found = drive(asked, generator, task, scorer)
    greedy = [completion.text for completion in found.greedy]
    sampled = [rollout.text for group in found.groups for rollout in group.rollouts]
    return {
        "pairs": float(found.pairs),
        **{name: score.value if score is not None else None for name, score in intervals(found.scores).items()},
        "known_right": _reading(task, greedy, is_misconceived=False),
        "misconceived_right": _reading(task, greedy, is_misconceived=True),
        "misconceived_sampled": _reading(task, sampled, is_misconceived=True),
    }


def _reading(task: SmallWorldTask, solutions: Sequence[str], *, is_misconceived: bool) -> float | None:
    truth = task.kind.truth
    found = [match for text in solutions for match in task.kind.step.finditer(text)]
    read = [(match["concept"], match["meaning"]) for match in found if match["concept"] in truth]
    right = [truth[c] == meaning for c, meaning in read if (c in task.misconceptions) == is_misconceived]
    return sum(right) / len(right) if right else None
