"""Word problems in plain English: `task` is the task, `story` makes problems and solutions, `verbs` the words."""

from __future__ import annotations

from mel.tasks.tales.task import Tales

__all__ = ["Tales"]
