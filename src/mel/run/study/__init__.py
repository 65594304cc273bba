"""Studies: recipes x seeds x changes on shared problem streams, trained one after another or side by side."""

from __future__ import annotations

from mel.run.study.command import run_study

__all__ = ["run_study"]
