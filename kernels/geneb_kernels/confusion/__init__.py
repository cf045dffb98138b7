"""Confusion tables counted on device, and the coefficient of a table."""

from geneb_kernels.confusion.api import confusion_counts as confusion_counts
from geneb_kernels.confusion.api import confusion_from_logits as confusion_from_logits
from geneb_kernels.confusion.xla import mcc as mcc
