"""`python -m mel`, and what `accelerate launch -m mel` and `torchrun -m mel` start."""

from mel.cli import main

if __name__ == "__main__":
    main()
