"""Bootstrap resamples of rows or groups of rows as one matrix product."""

from geneb_kernels.resample.api import resampled_mcc as resampled_mcc
from geneb_kernels.resample.api import resampled_sums as resampled_sums
from geneb_kernels.resample.host import resample_weights as resample_weights
