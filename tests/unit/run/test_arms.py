from pathlib import Path

from mel.record import RunDirectory
from mel.run.arms import Arm


def test_a_run_whose_directory_is_still_being_made_has_logged_nothing(tmp_path: Path) -> None:
    arm = Arm(name="grpo", recipe="grpo", path=tmp_path / "run", changes=(), steps=2)
    assert arm.logged == []
    with RunDirectory.create(arm.path, {"name": "grpo"}, {}) as run:
        run.metrics.append(1, {"reward/mean": 0.5})
        assert [row["reward/mean"] for row in arm.logged] == [0.5]
        (arm.path / "recipe.yaml").unlink()  # as it is when all else has been written
        assert arm.logged == []
