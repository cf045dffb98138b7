"""Weighted Gram matrices Xᵀ diag(w) X."""

from geneb_kernels.gram.api import weighted_gram as weighted_gram
