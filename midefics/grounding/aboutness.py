"""An answer and its question in, clause by clause whether it speaks of the image at hand out, or of such things in general.

`Melanomas are often asymmetric` and `an MRI shows ligaments better` claim nothing about a picture; `this melanoma is asymmetric`
does. A clause is about the case where something ties it to it: `this lesion`, `here`, `there is`, `I see`, a finite verb of which
the subject is `it` or `the patient`. A clause without a verb answers its question, and is about what that is about. A sentence
that nothing ties to the case is general, and `it` and `which` after one are general too.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from midefics.grounding.perception import PERCEIVED, SOMEBODY
from midefics.grounding.stance import clauses

_THING = (
    r"(?:images?|pictures?|photo(?:graph)?s?|figure|x-?rays?|radiographs?|films?|scans?|stud(?:y|ies)|examination|views?|slide|case|patients?|person|individual|man|woman|"
    r"lesions?|moles?|spots?|marks?|growths?|nev(?:us|i)|melanomas?|carcinomas?|keratos[ie]s|tumou?rs?|mass(?:es)?|nodules?|skin|area|region|site|bones?|joints?|"
    r"findings?|abnormalit(?:y|ies)|fractures?|changes?|features?|appearances?|patterns?|structures?|borders?|edges?|surface|network|diagnosis|impression|"
    r"report|reading|verdict|side|part|technique|modality|method|lungs?|heart|organs?|alignment|lateral\w*|diameter|size|axis|width|length|extent|age|elbow|finger|forearm|"
    r"hand|humerus|upper arm|shoulder|wrist|arrows?|radiologists?|location|position|results?|classification|label|nature|main \w+|rest|whole)"
)
_STRONG = re.compile(
    rf"\b(?:this|these|the (?:present|current|shown|depicted|imaged|above)|your|our|his|her|its)\s+(?:[\w-]+\s+){{0,3}}?{_THING}\b"
    rf"|\bthat {_THING}\b"
    r"|\bthe (?:patient|man|woman|person)['’]s (?:[\w-]+ ){1,3}(?:is|was|are|has|shows)\b(?! (?:to be|usually|often))"
    r"|\bit(?:['’]s| is| was) (?:the|his|her|their) (?:[\w-]+ ){1,3}(?:that|which) (?:is|was|has|shows)\b"
    r"|\bhere\b(?! are (?:some|a few))|\b(?:in|on|from|at|of) (?:the|this|our|your) (?:[\w-]+ )?(?:image|picture|photo(?:graph)?|figure|x-?ray|radiograph|film|scan|study|case|slide)\b"
    r"|\bI (?:can |do |also |would |could |only |just |still |even |must |will |\w+ly )*(?:see|note|notice|observe|find|measure|write|class|classify|grade|rate|file|sign|label|name|describe|diagnose|suspect(?! it may)|think|believe|read|consider|call|say|recogni[sz]e|make out|estimate|judge|detect|identify|am looking|am struck|have found|spot|spotted|got|measured|found|saw|noticed|put|lean|go (?:for|with))\b"
    r"|\b(?:the|your) (?:[\w-]+ ){0,2}(?:image|picture|photo(?:graph)?|figure|radiograph|film|x-?ray|scan)s? (?:(?:\w+ly|also|does|do) )*(?:show|display|demonstrate|reveal|shows|displays|depicts|demonstrates|reveals|is|was|leaves|features|contains|has)\b"
    r"|(?:^\W*|\bthat )(?:the|your) (?:[\w-]+ ){0,2}(?:changes?|lesion|finding|trouble|problem|abnormality|spot|mass|mole|growth|film|study) (?:is|was|has|sits|lies|measures|extends|appears|looks|reads|turns out|turned out|proves|proved|seems)\b"
    r"|\bwhere (?:it|he|she|the patient) (?:is|lies|sits|was|has it)\b|\bthe patient['’]s (?:left|right)\b|\bin case you (?:had|did|missed)|\bcome to think of it\b|\bby the way\b|\bif you look (?:closely|carefully)\b|^\W*(?:picture|imagine|don['’]t (?:miss|overlook|forget|ignore)) (?:the|that|this|an?|the \w+)\b"
    r"|\b(?:the|his|her|their) affected\b|\bwhere (?:the|this|his|her) (?:\w+ )?(?:problem|trouble|lesion|finding|abnormality|spot|damage|change|injury|fracture|pain)s? (?:is|lies|sits|are)\b"
    r"|\b(?:fits?|fit in with|match(?:es)?|explains?) (?:the|this|these) (?:\w+ )?(?:picture|image|pattern|finding|feature|appearance|change)s?\b"
    r"|^\W*what an? (?:[\w-]+ ){0,3}(?:example|specimen|case|instance|picture|image)\b|^\W*the (?:sex|gender|age|side|laterality|site|location|body part|part|region|technique|modality|behaviou?r|reading|impression|diagnosis|category|finding|subject|size|diameter|verdict|conclusion|nature|assessment) is\b(?! (?:usually|often|made|based|the|not))"
    r"|\bthank(?:s| you) for\b|\bI have (?:\w+ )?(?:entered|written|noted|recorded|called|labelled)\b|\bconfronted with\b"
    rf"|\b(?:it|this|that) (?:is|was) (?:an?|the) (?:[\w-]+ ){{0,2}}?(?:images?|pictures?|photo(?:graph)?s?|figure|radiographs?|films?|scans?)\b"
    r"|\bI['’](?:d|ve|m) (?:say|call|put|read|write|class\w*|grade|rate|file|label|name|describe|diagnose|estimate|go (?:for|with)|found|seen|got|measured|looking at|seeing)\b|\bstruck by\b"
    r"|\b(?:we|you|one)(?:['’](?:re|ve|d))? (?:can |do |also |are |have |may |both |now |only |just |all |still |even |then |must |should |\w+ly )*(?:see|sees|seeing|seen|saw|note|notes|notice|observe|have|got|find|found|look(?:ing)? at|deal(?:ing)? with|appreciate)\b|\b(?:they|we)(?: have|['’]ve)? (?:scanned|imaged|made|took|taken|obtained|used|examined|photographed|did|done)\b"
    r"|\bthis (?:one|is|was|looks?|appears?|seems?|shows?|has)\b(?! (?:because|why|how|when|where|what|important|often|usually|typically|especially|particularly|common))|\b(?:our|the|this) (?:\w+ )?(?:patient|man|woman|person|boy|girl|lady|gentleman) (?:in question|here|has|is|was|came|just|presented)\b|\bin (?:question|front of (?:you|us|me))\b"
    r"|\b(?:caught|catches|strikes|struck) (?:my|the|your|one['’]s) eye\b|\b(?:strikes|struck) me\b|\bwhat (?:we|you|I)\b"
    r"|\b(?:one can|can) (?:clearly |also |easily )*(?:be (?:clearly |also |easily )*(?:seen|observed|noted|appreciated|identified|made out|recogni[sz]ed|found)|see|make out)\b"
    r"|\b(?:(?:is|are|was|were|has been|have been|been) (?:\w+ly |also |now |still )*(?:seen|visible|visuali[sz]ed|evident|apparent|present|shown|depicted|noted|observed|found|identified|diagnosed|classified|labell?ed|judged|rated|reported|read|"
    r"demonstrated|pictured|appreciated|recogni[sz]ed|detected|imaged|captured|described|acquired|obtained|performed|made|taken|documented|measured|considered|done|used|carried out|examined|photographed|scanned|x-rayed|biopsied|located|situated|demonstrable|discernible|recorded|encountered))\b"
    r"|^\W*(?:also |please |but |and |besides,? |in addition,? )*(?:note|notice|look at|observe|point)\b",
    re.IGNORECASE,
)
"""Ties a clause to the case, whatever its question was."""
_DEFINITE = re.compile(
    rf"^\W*(?:[\w-]+,\s+|(?:yes|no|well|overall|clearly|indeed|and|but|so|as|since|because|although|while|in (?:addition|summary|short)|given that|fortunately(?: or not)?|however|also|besides|moreover|additionally|furthermore|hence|thus|therefore|based on [^,]{{1,60}})\W+){{0,4}}"
    rf"(?:(?:both |all |most of )?(?:the|your|our|my|his|her|its|each)\s+(?:(?!(?:of|in|for|with|to|from|on|at|by)\b)[\w-]+\s+){{0,3}}?{_THING}\b|(?:he|she)\b)",
    re.IGNORECASE,
)
"""A subject that is known: `the lesion`."""
_PRONOUN = re.compile(
    r"^\W*(?:(?:[\w-]+|in (?:addition|short|summary)|fortunately or not|based on [^,]{1,60}),\s+|(?:yes|no|well|and|but|so|as|since|because|although|while|that|given that|which means|also|overall|indeed|there['’]?s?)\s+){0,4}"
    r"(?:it|this|that|they|which|these|those|there|such)(?:['’](?:s|re)\b|\W)",
    re.IGNORECASE,
)
"""A subject that takes over what the sentence before was about."""
_THERE = re.compile(
    r"\W*(?:also,? |yes,? |in addition,? |and )*there\b(?!(?:['’]s| is| are| was| were) (?:no|not|never|little|few|often|usually|many|several (?:types|ways|kinds|options))\b)",
    re.IGNORECASE,
)
_KIND = re.compile(
    r"^\W*(?:(?:yes|no|well|but|and|so|since|because|as|while|although|though)\W+){0,3}(?:(?!(?:the|this|that|these|those|its?|there|here|i|we|you|he|she|his|her|our|your)\b)[\w'’-]+,?\s+){0,5}?"
    r"(?:[\w-]+(?:[^s\W]s|nevi|ses)\s+(?:\w+ly\s+)?(?:are|were|have|do|can|may|look|appear|tend|grow|need|occur|arise|develop|come|show|include|heal|hurt|pass|resolve|stay|lead|cause|make|refill|regrow|often)|an? (?:[\w-]+\s+){1,4}?(?:is|can|has|may|grows|looks|needs|occurs|arises|starts|means)\s+(?:an?|not|often|usually|the|any|one))\b",
    re.IGNORECASE,
)
"""A subject that is a whole kind of things: `nevi are …`, `a melanoma is a …`."""
_VERB = re.compile(
    r"\b(?:matters?|hurts?|exists?|rel(?:y|ies)|stays?|drops?|strikes?|doubles?|is|are|was|were|(?<!to )be|am|has|have|had|do|does|did|can|cannot|may|might|could|would|should|must|will|shall|need(?:s|ed)?|includ(?:e|es|ed)|us(?:e|es|ed)|mak(?:e|es)|"
    r"help(?:s|ed)?|requir(?:e|es|ed)|occurs?|aris(?:e|es)|develops?|grows?|spreads?|depends?|means?|causes?|caused|becomes?|tends?|looks?|appears?|affects?|"
    r"leads?|carr(?:y|ies)|poses?|vary|varies|provides?|offers?|allows?|gives?|gets?|takes?|keeps?|starts?|begins?|remains?|belongs?|consists?|involves?|represents?|suggests?|"
    r"indicates?|differs?|mimics?|resembles?|compar(?:e|es)|ranges?|weighs?|increases?|decreases?|reduces?|improves?|shows?|produces?|contains?|serves?|works?|treats?|removes?|"
    r"recommends?|advises?|says?|tells?|asks?|checks?|seeks?|protects?|experiences?|examines?|detects?|evaluates?|assess(?:es)?|lets?|comes?|goes|go|turns?|happens?|results?|responds?|heals?|"
    r"avoid|apply|wear|consult|consider|discuss|monitor|refer|watch|rest|schedule|repeat|order|obtain|follow|encourage|tell|ensure|remember|prefers?|describes?|benefits?|comes|plays?|lies?|stems?|mentions?|"
    r"(?:it|that|there|this|what|who|he|she)['’]s|(?:\w+)['’](?:re|ve|ll|d|m))\b|n['’]t\b",
    re.IGNORECASE,
)
_GENERAL = re.compile(
    r"\b(?:typically|usually|often|generally|commonly|normally|frequently|rarely|sometimes|occasionally|in general|in most|in many|in some|in rare|most (?:people|patients|cases|often|of them)|(?<!the )(?:most|many) (?!likely|probabl|striking)(?:\w+ ){0,2}?(?:\w+[^s\Wi]s|nevi|keratoses)\b|(?:^\W*|\b(?:and|but|though|while|whereas|so|because|although)\s+)(?:some|most|many|others|few)(?: of (?:them|these|those))? (?=(?:are|have|do|can|may|will|reach|grow|look|need|never|go|turn|come|stay|heal|vanish|disappear|remain)\b)|many (?:people|patients|cases|of them)|"
    r"(?:some|other|such|certain|these types of) (?:people|patients|lesions|cases|conditions|things|tumou?rs|growths)|people|doctors|dermatologists|surgeons|clinicians|physicians|patients|adults|children|incidence|(?:more|most|less) (?:common|frequent)|"
    r"known (?:for|to|as)|one (?:speaks|calls|says|uses|distinguishes|looks|checks|takes|treats|removes|waits|asks|adds)|^\W*(?:general )?(?:rule|pearl|pitfall|tip|mnemonic)s?(?: of thumb)?\W*$|^\W*(?:an?|every) (?:\w+ )?(?:doctor|surgeon|dermatologist|radiologist|physician|pathologist|clinician|nurse|technician|needle|biopsy|patient with|person with|child with)\b(?! (?:has|have|took|did|made|saw|found|was|is|of|in the image|at hand))|classic\w*|textbooks|by definition|as a rule|hardly ever|mostly|mainly|exceedingly|(?:a|one) (?:type|form|kind|sort) of|risk factors?|gold standard|test of choice|mainstay|worldwide|nowadays|these days|plays? (?:an? |only )*(?:\w+ )?(?:role|part)|every year|"
    r"such (?!as (?:this|that|the one)\b)(?:an? )?\w+|for (?:example|instance)|like (?:these|those)|of this (?:kind|type|sort))\b",
    re.IGNORECASE,
)
"""Words of general knowledge, which a subject that is merely known does not outweigh."""
_GENERAL_QUESTION = re.compile(
    rf"\b(?:typical\w*|usual\w*|common\w*|general\w*|normally|often|such (?:an? )?\w+|like (?:this|that|these)|of this (?:kind|type|sort)|people|patients|children|(?<!did the )(?<!have the )(?<!did )(?:doctors|dermatologists?|radiologists|surgeons|clinicians|physicians|pathologists?)|(?:does|should|can|could|would|if|do) one(?!{PERCEIVED})|(?:\w+ )?(?:rule|criteria|criterion|acronym)|(?<!two )(?<!both )books|literature|guidelines|research|evidence|"
    r"what causes?|causes?|reasons?|advantages?|limit\w*|benefits?|differences?|differ|factors?|risks?|prevent\w*|treat(?:ed|ment|ments)?|therap\w+|manage\w*|prognosis|outlook|symptoms?|complications?|meaning|mean|refer to|stand for|"
    r"recommend\w*|advi[cs]e|next(?! to)|steps?|follow-?up|tests?|worr\w+|concern\w*|explain .* to|tell (?:the|my|a) (?:patient|family)|reassure|options?|alternatives?|differential|mimic|alike|similar|suspicious|warning|look (?:out )?for|learn more|in theory|good for|purpose|history|"
    rf"what if|\bneeds?\b|\brequires?\b|\bwarrants?\b|synonyms?|pearls?|pitfalls?|ladder|mnemonic|lifetime|sun protection|trivia|\w+ sign(?=\?)|staging|grading|epidemiology|pathogenesis|a?etiology|systematic approach|words of comfort|(?:what|how) (?:do|would|should|does) (?:you|we|I|one) (?:do|treat|manage|handle|grade|stage|remember|prevent|distinguish|follow|deal|recogni[sz]e)\b|^\W*will\b|^\W*(?:and |so )?how (?:is|are|does|do|can|could) (?!the\b|this|that|it\b|these|those|your?\b|his|her|our|its|I\b|we\b|he\b|she\b|they\b|my\b|one\b)|(?:what|which|list|name|tell|explain|describe|about)\b[^?]*\b(?:features?|signs?|characteristics?|hallmarks?|properties|stages?|types?|kinds?|forms?|subtypes?|definition|appearance|origin|incidence) of (?!the\b|this|that|it\b|your|his|her|our|what|my|these|those|images?\b|pictures?\b|stud|scan|exam|techni|modal|imaging|photo)\w+|should (?:we|I|he|she|they)(?!{PERCEIVED})|shall (?:we|I)|how would(?!{SOMEBODY}{PERCEIVED})|how (?:does|do|can|could|is) an?|when would|when should|would you (?:operate|treat|biopsy|remove|like)|worthwhile|avoid|thanks?|thank you|compare|in plain words|confident|replace|dangerous to|survival|red flags?|genetics?|lab(?:oratory)?|blood|go home|which specialist|lymph nodes|follow)\b",
    re.IGNORECASE,
)
_CASE_QUESTION = re.compile(
    rf"\b(?:this|that|these|it|its|here|there|you|your|we|our|they|he|she|his|her|him|I|me|my|(?!the skin\b)(?:the|left|right) {_THING}|the (?:[\w-]+ ){{1,2}}{_THING}|seen|visible|shown|present|affected|involved|details?|picture|image|see|those|something|anything)\b(?!['’]t)"
    rf"|\b(?:should|would|could|can|does){SOMEBODY}{PERCEIVED}"
    r"|^\W*(?:\w+\W+){0,2}(?:describe|identify|name|summar\w+|report|present|show|point|give|complete|tell)\b|what['’]s up|what happened|(?:what|which|how|where|who)(?:['’]s| is| was| are)? the \w+|^\W*(?:and |so )?(?:what|which|how|where|who) (?:\w+ )?did (?:the|you|they|your|our|his|her)\b|^\W*(?:and |so )?(?:what|which|where|who)\b[^?]*\b(?:was|were)\b|final answer",
    re.IGNORECASE,
)


_BACK = re.compile(
    rf"^\W*(?:(?:this|that) {_THING}\W*$|(?:which|(?:since|because|as|and|for) (?:that|this)(?:['’]s| is) (?:where|what|how)|as (?:you|we|one|I|the|this|is|can|shown|seen))\b)",
    re.IGNORECASE,
)
"""What ties the clause before it as well: `the right side, since that is where it sits`."""


_AS_HERE = re.compile(r"\bas here\b|\bin (?:this|our) (?:image|picture|case|patient|scan|film|figure)\b", re.IGNORECASE)
"""What outweighs words of general knowledge: `a classic picture, as here`."""


_BARE_ACT = re.compile(
    rf"^\W*(?:(?:yes|no|well|but|and|so|since|because|as|while|although|though)\W+){{0,3}}(?!(?:the|this|that|these|those|its?|there|here|i|we|you|he|she|his|her|our|your|my|an?|who|what|which|one|no|not|\d+)\b)"
    rf"(?!(?:[\w-]+ )?{_THING}\b)[\w-]{{3,}} (?:\w+ly )?(?!(?:shows|reveals|demonstrates|suggests|displays|measures|indicates|confirms|has|was|is|looks|appears|seems|sits|lies|depicts|images|scans|films|views|sides|does|as|remains|extends)\b)[a-z]+[^s\W]s \w+",
    re.IGNORECASE,
)
"""A thing without an article that does what its kind does: `sunlight damages the cells`."""


class Clause(NamedTuple):
    """A piece of an answer."""

    start: int
    end: int
    ours: bool
    """About the image at hand."""
    outright: bool
    """It says so itself, whatever the question was."""
    generic: bool
    """It says that it is about things in general."""


@lru_cache(maxsize=256)
def general_question(question: str) -> bool:
    """Whether a question asks for knowledge, advice or possibilities rather than for what is there."""
    if _GENERAL_QUESTION.search(question):
        return True
    return bool(_VERB.search(question)) and not _CASE_QUESTION.search(question)


@lru_cache(maxsize=256)
def clauses_about(answer: str, question: str) -> tuple[Clause, ...]:
    """The clauses of an answer, each with what it is about; kept a while, as claims and measures both ask for them."""
    general = general_question(question)
    ours = not general
    found: list[Clause] = []
    for start, end in clauses(answer):
        clause = answer[start:end]
        generic = bool(_GENERAL.search(clause))
        outright = bool(_STRONG.search(clause)) and (not generic or bool(_AS_HERE.search(clause)))
        if outright and found and _BACK.match(clause):
            found[-1] = found[-1]._replace(ours=True, outright=True, generic=False)
        ours = outright or _is_ours(clause, ours, general)
        found.append(Clause(start, end, ours, outright, not ours and (generic or bool(_KIND.match(clause)))))
    return tuple(found)


def _is_ours(clause: str, before: bool, general: bool) -> bool:
    if _GENERAL.search(clause):
        return not general and bool(_STRONG.search(clause) and _DEFINITE.search(clause))
    if _DEFINITE.search(clause):
        return True
    if _PRONOUN.search(clause):
        return before or bool(_THERE.match(clause))
    if not _VERB.search(clause) and not _BARE_ACT.match(clause):
        return before
    return not general and not _KIND.match(clause) and not _BARE_ACT.match(clause)
