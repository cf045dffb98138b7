"""Confusion tables counted on device."""

from geneb_kernels.confusion.api import confusion_counts as confusion_counts
