"""Functions that run on the executors: frozen callables that Spark pickles by reference.

Each turns pandas or Arrow batches into the library's types and back; the work is in `spark_prox`. Nothing here is
defined in a job or in a nested function: Spark would pickle it by value and reload the model at every task.
"""
