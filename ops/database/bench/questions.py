"""All questions, in the order of the table."""

from __future__ import annotations

from ops.database.bench import chain, money, people
from ops.database.bench.question import Question

QUESTIONS: tuple[Question, ...] = (*people.QUESTIONS, *money.QUESTIONS, *chain.QUESTIONS)
