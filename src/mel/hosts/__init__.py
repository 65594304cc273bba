"""Hosts: what trains. Each is a thin adapter of a trainer that others keep, and one line in this table."""

from __future__ import annotations

HOSTS = {"trl": "mel.hosts.trl"}
"""Name in a recipe -> the package that holds the host; imported only when a run starts."""
