"""What a request spends its time on: one record of steps for histograms, log lines and traces.

steps.py            the record: a tree of steps with their times
timed_exchanger.py  records exchanges with OpenSearch as steps
trace_parents.py    the trace that a client's request belongs to (`traceparent`)
tracers.py          the seam to a tracing library, and the tracer that exports nothing
open_telemetry.py   the tracer that exports spans over OTLP
span_export.py      sends spans, warns once while that fails, and never waits long
span_attributes.py  what spans say about requests and steps, by OpenTelemetry's conventions

The code that does a step records it, and knows no consumer. When the request ends, the record is
complete, and each consumer reads it. So all of them agree, and without a tracer no span is made.
"""
