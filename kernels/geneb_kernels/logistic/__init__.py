"""Residuals and losses of the logistic objective, straight from X and the weights."""

from geneb_kernels.logistic.api import residuals_and_losses as residuals_and_losses
