"""The API of Amazon Kendra Intelligent Ranking (`kendra-ranking`, 2022-10-19), on a local model.

A wire is one of the three forms in which clients send a request: awsJson, CBOR or REST.

request on one wire                                        answer on the same wire
               |                                                          ^
wires.py       which wire, which operation; bytes <-> members ------------+
               | cbor_bodies.py  CBOR within bounds                       |
               | members                                                  |
operations.py  every operation and its shape, declared once               | members
               | checked members                                          |
handlers.py    authentication, the operation, errors ---------------------+
               |                                 |
rescoring.py   documents -> groups -> scores     plans.py   plans, tags, client tokens, pages
               | the core, by DocumentScoring    database.py  SQLite, one thread
door.py        the door: built from `apis.kendra_ranking`, opens and closes the database
allowance.py   request rate of a plan            errors.py  errors that name a plan
"""
