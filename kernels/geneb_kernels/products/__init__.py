"""Products of X and its transpose with a few columns."""

from geneb_kernels.products.api import times as times
from geneb_kernels.products.api import times_transposed as times_transposed
