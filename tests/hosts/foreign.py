"""An auxiliary that mel does not know, registered from outside; the rest is mel's own command line.

python foreign.py COMMAND ...      as `mel COMMAND ...`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field

from mel.cli import main
from mel.methods import AUXILIARIES, Assumptions, AuxiliarySettings, Expected, Limits, Longest, Needs, Surroundings
from mel.ports import Requests
from mel.requests import Generate
from mel.types import Completion, Group, Outcome, Row, Sampling


class RetellSettings(AuxiliarySettings):
    """The policy retells each problem, and learns one telling per group."""

    name: ClassVar[str] = "retell"
    rates: ClassVar[Mapping[str, tuple[str, str]]] = {"finished_rate": ("finished", "told")}

    max_tokens: int = Field(default=8, ge=1, description="Limit of a telling.")

    def build(self, at: Surroundings) -> Retell:
        return Retell(self.max_tokens)

    def needs(self, limits: Limits) -> Needs:
        told, learned = (
            Longest(phase=phase, prompt=limits.prompt, completion=self.max_tokens, knob="settings.max_tokens")
            for phase in ("tell", "row")
        )
        return Needs(phases=(told,), row=learned)

    def expected(self, at: Assumptions) -> Expected:
        written, read = {"tell": float(self.max_tokens)}, at.prompt_tokens
        return Expected(
            generated=written,
            sequences={"tell": 1.0},
            read=read,
            rows=1.0,
            row_tokens=written["tell"],
            row_context=read,
        )


class Retell:
    """One telling per group, each of them a row."""

    name = RetellSettings.name

    def __init__(self, max_tokens: int) -> None:
        self._sampling = Sampling(max_tokens=max_tokens)

    def learn(self, groups: Sequence[Group], *, step: int) -> Requests[Outcome]:
        told = yield Generate(prompts=tuple(g.prompt_ids for g in groups), sampling=self._sampling, phase="tell")
        whole = [c for c in told if isinstance(c, Completion)]
        rows = tuple(Row(context_ids=g.prompt_ids, target_ids=c.token_ids) for g, c in zip(groups, whole, strict=True))
        return Outcome(rows=rows, counts={"told": len(whole), "finished": sum(not c.is_truncated for c in whole)})


AUXILIARIES[RetellSettings.name] = RetellSettings

if __name__ == "__main__":
    main()
