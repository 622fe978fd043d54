"""The API of Amazon Kendra Intelligent Ranking (`kendra-ranking`, 2022-10-19), on a local model.

one request, three ways to spell it                        one answer, spelt the same way
               |                                                          ^
wires.py       which wire, which operation; bytes <-> members ------------+
               | members                                                  |
operations.py  every operation and shape, declared once                   | members
               | checked members                                          |
handlers.py    who calls, the operation, the errors ----------------------+
               |                                 |
rescoring.py   documents -> groups -> scores     plans.py   plans, tags, client tokens, pages
               | the core, by DocumentScoring    database.py  SQLite, one thread
allowance.py   requests a second of a plan       errors.py  plans that are not there
"""
