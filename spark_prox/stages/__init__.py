"""The stages of a run, each DataFrame in and Delta commit out: ingest, generate, execute.

A stage takes the callable that runs on the executors as an argument; the jobs wire them, so that nothing here imports
`udfs`.
"""
