"""Sets of phrasings, each by another voice: those that the checker was developed on, and those that it was not.

A set that has widened the rules once is a developed one from then on, and a new one has to be written to hold out.
"""

from midefics.bench.grounding.phrasing import Phrasing
from midefics.bench.grounding.phrasings.brief import BRIEF
from midefics.bench.grounding.phrasings.clinic import CLINIC
from midefics.bench.grounding.phrasings.consult import CONSULT
from midefics.bench.grounding.phrasings.letters import LETTERS
from midefics.bench.grounding.phrasings.library import LIBRARY
from midefics.bench.grounding.phrasings.rounds import ROUNDS
from midefics.bench.grounding.phrasings.teaching import TEACHING
from midefics.bench.grounding.phrasings.terse import TERSE
from midefics.bench.grounding.phrasings.visit import VISIT

DEVELOPED = (BRIEF, TERSE, CONSULT, TEACHING, ROUNDS, LETTERS, VISIT, CLINIC, LIBRARY)
HELD_OUT: tuple[Phrasing, ...] = ()
"""None at present: every set has widened the rules."""
