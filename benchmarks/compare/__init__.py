"""The same benchmarks on two commits, in turns: what changed between them."""
