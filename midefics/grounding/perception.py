"""Verbs of looking and naming: with one of them, `should` and `would` speak of what is there, not of what to do."""

PERCEIVED = (
    r"(?: (?:also|really|clearly|actually|rather|still|most likely|probably|be|like to|please|supposed to))*"
    r" (?:see|seeing|find|notice|spot|make out|recogni[sz]e|observe|detect|read|say|call|name|describe|class|classify|label|rate|grade|put|place|locate|conclude|identify|diagnose|judge|consider|look at|looking at|looking(?! for| out)|look(?! for| out)|point (?:at|to)|guess|estimate|favou?r)\b"
)
"""`should see`, `would most likely find`."""
SOMEBODY = r"(?: (?:I|you|we|one|he|she|they|anyone|somebody|someone))?"
HYPOTHETICAL_VERB = rf"(?:would|should|could)(?!{SOMEBODY}{PERCEIVED})"
"""`would help`, but not `would find`."""
