"""The load proof: the requirements' questions, asked of a scratch database at a scale, and of JSON files beside it.

fill.py makes the database, files.py the files. people.py, money.py and chain.py hold the questions, each with its
answer in SQL and its answer from the files. measure.py asks them, run.py is all of it in order.
"""
