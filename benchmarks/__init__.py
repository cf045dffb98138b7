"""Speed of geneb_jax against its rivals and against the machine; run from a checkout: ``python -m benchmarks``."""
