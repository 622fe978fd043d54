"""What the doors for AWS services share.

json.py      AWS's JSON protocols: targets, requests, answers, and the one kind of error
errors.py    the errors that several services have
requests.py  reads and handles a request within bounds
shapes.py    declares the shapes of messages, and checks messages against them
sigv4.py     Signature Version 4: verifies which key signed a request, and writes signatures
"""
