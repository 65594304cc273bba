"""One file per arrow of the method: pure functions over the nouns of `mel.types`, ignorant of each other.

A stage turns nouns into prompts, or completions and verdicts into nouns. None of them generates, verifies,
or knows an engine; they meet only in `mel.methods`.
"""
