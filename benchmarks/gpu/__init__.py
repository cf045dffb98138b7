"""All checks that need a GPU, in one script: ``python -m benchmarks.gpu``. On a CPU it runs what makes sense there."""
