"""Process reward credit: each step answers for itself and for what it leads to, PURE's min-form (2504.15275)."""

from __future__ import annotations

from mel.methods.credit.process_reward.settings import ProcessRewardSettings

__all__ = ["ProcessRewardSettings"]
