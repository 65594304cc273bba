"""`mel import` and `mel tales`: a pretrained language model as a model directory, and its warm-up."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from mel.cli_options import seed_option
from mel.model_path import check_model, check_new, find_gguf
from mel.prompts.chat import template_text

app = typer.Typer(help="Tales: a pretrained language model on word problems in plain English.", no_args_is_help=True)

Device = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option(help="Where it computes; auto is the first GPU if there is one.")
]


def import_model(
    source: Annotated[str, typer.Argument(help="A GGUF file, a wheel with one, or an installed package with one.")],
    output: Annotated[Path, typer.Option(help="New directory for the model.")],
    dtype: Annotated[
        Literal["float32", "bfloat16"],
        typer.Option(help="float32 keeps the exact values, bfloat16 takes half the space."),
    ] = "float32",
) -> None:
    """Write the model of a GGUF file as an ordinary model directory, checked against the file."""
    check_new(output)
    with tempfile.TemporaryDirectory() as folder:
        file = find_gguf(source, Path(folder))
        from mel.hosts.gguf import import_gguf
        from mel.hosts.load import quiet_libraries

        quiet_libraries()
        found = import_gguf(file, output, dtype=dtype)
    typer.echo(
        f"{found.name} ({found.architecture}, {found.parameters / 1e6:.1f} M parameters): {found.compared} tensors "
        f"equal the file's, one token per digit: {'yes' if found.has_digit_rule else 'no'}\nmodel directory: {output}"
    )


@app.command("warm-up")
def warm_up(
    model: Annotated[str, typer.Argument(help="Model directory of a pretrained language model.")],
    output: Annotated[Path, typer.Option(help="New directory for the result.")],
    steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps (default 64).")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Sequences in each step (default 8).")] = None,
    seed: Annotated[int, seed_option("Seed of the data and of their order.")] = 0,
    chat_template: Annotated[str, typer.Option(help="plain, chatml, a Jinja file, or own for the model's.")] = "chatml",
    device: Device = "auto",
) -> None:
    """Teach a pretrained model to solve tales of simple verbs, to compare solutions and to use notes."""
    check_model(model)
    template = None if chat_template == "own" else chat_template
    if template is not None:
        template_text(template)
    check_new(output)
    from mel.hosts.load import device as present
    from mel.hosts.load import load_model, load_tokenizer, quiet_libraries
    from mel.miniature.tales_warmup import TalesWarmUp
    from mel.miniature.tales_warmup import warm_up as run

    chosen = present() if device == "auto" else device
    if chosen == "cuda" and present() != "cuda":
        raise ValueError("--device: expected a device of this machine, got cuda, and torch sees no GPU; give cpu")
    quiet_libraries()
    usual = TalesWarmUp()
    settings = TalesWarmUp(seed=seed, steps=steps or usual.steps, batch_size=batch_size or usual.batch_size)
    tokenizer = load_tokenizer(model, chat_template=template)
    policy = load_model(model)
    started = time.monotonic()

    def progress(step: int, loss: float) -> None:
        left_s = (time.monotonic() - started) / step * (settings.steps - step)
        typer.echo(f"step {step}/{settings.steps}  loss {loss:.4f}  {left_s:.0f} s left")

    run(policy, tokenizer, settings=settings, device=chosen, progress=progress)
    policy.to("cpu").save_pretrained(output)
    tokenizer.save_pretrained(output)
    typer.echo(f"wrote {output} after {time.monotonic() - started:.0f} s on {chosen}")
