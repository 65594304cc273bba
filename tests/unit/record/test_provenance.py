"""Two models are told apart by their weights, not by where they lie."""

from pathlib import Path

from mel.record.provenance import SAMPLED_BYTES, fingerprint


def test_other_weights_have_another_fingerprint_and_a_copy_the_same(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(bytes(3 * SAMPLED_BYTES))
    assert fingerprint(str(tmp_path / "a")) == fingerprint(str(tmp_path / "b")) != ""
    with (tmp_path / "b" / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"x")
    assert fingerprint(str(tmp_path / "a")) != fingerprint(str(tmp_path / "b"))


def test_what_lies_beside_the_weights_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "adapter_model.bin").write_bytes(b"weights")
    before = fingerprint(str(tmp_path))
    (tmp_path / "training_args.bin").write_bytes(b"paths")
    assert fingerprint(str(tmp_path)) == before


def test_a_hub_id_has_none() -> None:
    assert fingerprint("Qwen/Qwen3-4B-Base") == ""
