"""Everybody's answers to the held-out questions in, every figure of an evaluation by name out."""

from collections.abc import Sequence

from midefics.errors import DataError
from midefics.evidence.closed import closed_match, is_closed
from midefics.evidence.hypotheses import holm, mcnemar, questions_needed
from midefics.evidence.intervals import Interval, mean_difference, mean_score
from midefics.evidence.scores import METRICS, Answered, bleu, normalised

WHO = ("before", "after", "swapped", "majority")
OF_OPEN = ("token_recall", "token_f1", "rouge_l")


def summary(answered: Sequence[Answered]) -> dict[str, float]:
    """The headline is exact match on what the data set itself holds out; `source/figure` is of one source alone.

    Evaluation sets that others made (VQA-RAD) are no part of the headline: they ask something else, and how many of their
    questions there are would decide it. Where a data set holds out nothing else they are.
    """
    own = [one for one in answered if one.role != "evaluation"] or list(answered)
    if not own:
        raise DataError("no question was answered; nothing can be summed up")
    figures = _slice("", own)
    sources = sorted({one.source for one in answered})
    for source in sources:
        figures |= _slice(f"{source}/", [one for one in answered if one.source == source])
    corrected = holm({source: figures[f"{source}/mcnemar_p"] for source in sources})
    return figures | {f"{source}/mcnemar_holm": value for source, value in corrected.items()}


def _slice(prefix: str, answered: Sequence[Answered]) -> dict[str, float]:
    groups = [one.group for one in answered]
    scores = {who: [METRICS["exact_match"](getattr(one, who), one.truth) for one in answered] for who in WHO}
    intervals = {who: mean_score(scores[who], groups) for who in WHO}
    intervals["difference"] = mean_difference(scores["after"], scores["before"], groups)
    intervals["visual_gain"] = mean_difference(scores["after"], scores["swapped"], groups)
    figures = {"questions": float(len(answered)), "groups": float(len(set(groups)))}
    for name, interval in intervals.items():
        figures |= _named(name, interval)
    figures |= {
        f"{who}_{name}": value for who in ("before", "after") for name, value in _lexical(answered, who).items()
    }
    figures["flip_rate"] = _mean([float(normalised(one.after) != normalised(one.swapped)) for one in answered])
    figures |= _decided(scores["after"], scores["before"], intervals["difference"])
    return {f"{prefix}{name}": value for name, value in figures.items()}


def _decided(after: Sequence[float], before: Sequence[float], difference: Interval) -> dict[str, float]:
    """What the pairs prove, and, where the interval leaves it open, how many questions would decide it."""
    pairs = mcnemar(after, before)
    figures = {"mcnemar_p": pairs.p_value}
    share = (pairs.only_first + pairs.only_second) / len(after)
    needed = questions_needed(difference.value, share) if difference.low <= 0 <= difference.high else None
    return figures | ({"questions_needed": float(needed)} if needed else {})


def _lexical(answered: Sequence[Answered], who: str) -> dict[str, float]:
    """The usual scores of closed and of open questions, where there are any."""
    pairs = [(getattr(one, who), one.truth) for one in answered]
    closed = [is_closed(one.question, one.truth) for one in answered]
    of_open = [pair for pair, is_one in zip(pairs, closed, strict=True) if not is_one]
    figures = {"token_f1": _mean([METRICS["token_f1"](*pair) for pair in pairs])}
    if any(closed):
        figures["closed"] = _mean([closed_match(*pair) for pair, is_one in zip(pairs, closed, strict=True) if is_one])
    if of_open:
        figures |= {f"open_{name}": _mean([METRICS[name](*pair) for pair in of_open]) for name in OF_OPEN}
        figures["open_bleu"] = bleu(*zip(*of_open, strict=True))
    return figures


def _named(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
