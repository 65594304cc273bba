"""Imported by the fork server only: loads reasoning-gym once, so that a new worker starts in milliseconds."""

from mel.verify.worker import prepare

prepare("mel.tasks.puzzles.judge")
