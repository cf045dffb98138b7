"""Probe types beside the logistic one; `docs/probes.md` describes them. Modules are imported where they are needed."""
