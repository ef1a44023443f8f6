"""Answers in, evidence out: scores with intervals, promotion rules, the report, the model card."""
