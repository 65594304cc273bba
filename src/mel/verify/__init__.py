"""Who says it is right: Math-Verify, or tests in a sandbox, in a pool of processes that can be killed."""

from mel.verify.answers import BOXED as BOXED
from mel.verify.answers import AnswerFormat as AnswerFormat
from mel.verify.answers import FinalAnswer as FinalAnswer
from mel.verify.answers import final_answer as final_answer
from mel.verify.answers import last_boxed as last_boxed
from mel.verify.answers import plain_integer as plain_integer
from mel.verify.code_blocks import last_code_block as last_code_block
from mel.verify.pool import Limits as Limits
from mel.verify.pool import WorkerPool as WorkerPool
from mel.verify.pool import shared_pool as shared_pool
from mel.verify.program_verifier import ProgramVerifier as ProgramVerifier
from mel.verify.program_verifier import as_metadata as as_metadata
from mel.verify.program_verifier import offers as offers
from mel.verify.program_verifier import stated_tests as stated_tests
from mel.verify.programs import FunctionTests as FunctionTests
from mel.verify.programs import StreamTests as StreamTests
from mel.verify.reward import as_reward_function as as_reward_function
from mel.verify.sandbox import ProgramLimits as ProgramLimits
from mel.verify.verifier import MathVerifier as MathVerifier
