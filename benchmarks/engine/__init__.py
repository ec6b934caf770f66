"""How engine and queue behave: real processes, a real queue, and a backend that only waits where no other is needed.

Latencies and rates are wall time, so that these benchmarks, unlike those of the graphs, need a computer to themselves.
"""
