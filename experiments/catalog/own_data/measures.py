"""How near an answer is to the one that was written: ROUGE-L, chrF and exact match, from the libraries that define them."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.catalog.tasks.base import Metric, Row, normal

ROUGE_L = Metric("rouge_l", "ROUGE-L", "0–100", "Words that answer and written answer share in the same order.")
CHRF = Metric("chrf", "chrF", "0–100", "Short runs of letters that answer and written answer share.")
EXACT = Metric("exact", "Exact match", "%", "Of 100 answers, how many are the written one, case and punctuation aside.")


def rouge_l(rows: Sequence[Row], answers: Sequence[str]) -> float:
    """Mean F-measure of the longest common subsequence of words, 0–100 (Lin 2004); stemmed, as in its usual setting."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    scores = [scorer.score(row.completion, said)["rougeL"].fmeasure for row, said in zip(rows, answers, strict=True)]
    return 100 * sum(scores) / len(scores)


def chrf(rows: Sequence[Row], answers: Sequence[str]) -> float:
    """Character n-gram F-score of the whole, 0–100 (Popović 2015)."""
    from sacrebleu.metrics import CHRF as Chrf

    return float(Chrf().corpus_score(list(answers), [[row.completion for row in rows]]).score)


def exact(rows: Sequence[Row], answers: Sequence[str]) -> float:
    """Share of answers that are the written one in the same words, in %; where a row has no words, in the same characters."""
    pairs = [(row.completion.strip(), said.strip()) for row, said in zip(rows, answers, strict=True)]
    return 100 * sum(a == b or (normal(a) == normal(b) != "") for a, b in pairs) / len(pairs)
