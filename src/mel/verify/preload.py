"""Imported by the fork server only: loads and warms the parser once, so that a new worker starts in milliseconds."""

from mel.verify.worker import prepare

prepare("mel.verify.symbolic")
