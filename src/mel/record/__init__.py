"""What a run leaves on disk: the run directory, its metrics and every experience it made or failed to make.

Errors, all with what was expected, what came and what to do:

    ValueError
      RunDirectoryError       a directory that exists, or is no run directory
      MetricsError            a damaged metrics.jsonl, or a step that goes back
      StoreError              experiences.db is damaged, foreign, or of a newer version
    OSError
      DiskFullError           no space left; what was written before is whole
      RunBusyError            another process writes this run directory
      StoreBusyError          another process keeps experiences.db locked
"""

from mel.record.errors import (
    DiskFullError as DiskFullError,
)
from mel.record.errors import (
    MetricsError as MetricsError,
)
from mel.record.errors import (
    RunBusyError as RunBusyError,
)
from mel.record.errors import (
    RunDirectoryError as RunDirectoryError,
)
from mel.record.errors import (
    StoreBusyError as StoreBusyError,
)
from mel.record.errors import (
    StoreError as StoreError,
)
from mel.record.experience import Page as Page
from mel.record.experience import StoredAttempt as StoredAttempt
from mel.record.experience import StoredExperience as StoredExperience
from mel.record.ledger import Ledger as Ledger
from mel.record.metrics_log import MetricsLog as MetricsLog
from mel.record.run_directory import RunDirectory as RunDirectory
from mel.record.store import ExperienceStore as ExperienceStore
