"""Everything that wires an evaluation; how responses are scored is in `mel.evaluate`.

A suite of a recipe becomes a task and a way to ask (`suites`), an engine answers it (`engines`), and either the run
that trains asks for it (`within_training`) or the command `mel eval` (`command`, for the model that `target` names).
"""
