"""Readers of requests and answers that know where in the text each value stands.

json_spans.py      JSON values with their places in the text
json_amounts.py    how much a JSON text contains: values, objects, depth
url_parameters.py  the parameters of a URL with their places in the request target
"""
