"""Weighted Gram matrices Xᵀ diag(w) X."""

from geneb_kernels.gram.api import weighted_gram as weighted_gram
from geneb_kernels.gram.host import weighted_gram_host as weighted_gram_host
