"""Verbs of looking and naming: with one of them, `should` and `would` speak of what is there, not of what to do."""

_ADVERBS = r"(?: (?:also|really|clearly|actually|rather|still|most likely|probably|be|like to|please|kindly|supposed to|even))*"
_SEE = r"see|seeing|seen|find|found|notice|noticed|spot|make out|recogni[sz]ed?|observed?|detect|detected|look at|looking at|looking(?! for| out)|look(?! for| out)|guess"
_NAME = (
    r"call|called|class|classed|classif(?:y|ied)|labell?(?:ed)?|rated?|graded?|(?<!be )considered?|regard(?:ed)?|diagnosed?|judged?|file|filed|"
    r"put|placed?|located?|conclude|identif(?:y|ied)|favou?r|say|said|nam(?:e|ed)|read|estimated?"
)
_TELL = r"describe|described|point (?:at|to)|tell|explain|show|list|interpret|confirm|specify|clarify|mind|remind|let me know|write|record|recorded|enter|entered|note|noted|caption|phrase|word|title|summari[sz]e|focus|concentrate"
PERCEIVED = rf"{_ADVERBS} (?:{_SEE}|{_NAME}|{_TELL})\b"
"""`should see`, `would most likely call`, `could kindly tell`."""
SEEN_OR_NAMED = rf"{_ADVERBS} (?:{_SEE}|{_NAME})\b"
"""Without telling: to explain a thing is not to see it."""
SOMEBODY = r"(?: (?:I|you|we|one|he|she|it|this|they|anyone|somebody|someone))?"
HYPOTHETICAL_VERB = rf"(?:would|should|could)(?!{SOMEBODY}{PERCEIVED})"
"""`would help`, but not `would find`."""
