import json
import re

import pytest

pytest.importorskip("transformers")

from typer.testing import CliRunner

from mel.cli_miniature import app
from mel.miniature import policies


def test_build_says_how_far_it_is_and_writes_a_policy(tmp_path):
    result = CliRunner().invoke(
        app, ["build", str(tmp_path / "w"), "--world", "4", "--steps", "2", "--count", "0"], catch_exceptions=False
    )
    assert result.exit_code == 0
    assert re.search(r"step 2/2  solving \d+\.\d+  comparing \d+\.\d+  0 s left", result.output)
    card = json.loads((tmp_path / "w" / policies.CARD).read_text(encoding="utf-8"))
    assert (card["world"], card["warm_up"]["steps"], card["facts"]) == (4, 2, {})


def test_probe_prints_the_facts_of_the_shipped_policy_for_both_lengths():
    result = CliRunner().invoke(app, ["probe", "--count", "10"], catch_exceptions=False)
    assert result.exit_code == 0
    assert re.search(r"L=5\s+L=8", result.output)
    assert re.search(r"known_right\s+1\.000\s+[01]\.\d{3}", result.output)
