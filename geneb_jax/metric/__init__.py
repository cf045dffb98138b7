"""Confusion tables and the scores that depend on them."""

from geneb_jax.metric.confusion import Scores as Scores
from geneb_jax.metric.confusion import exact_mcc as exact_mcc
from geneb_jax.metric.confusion import mcc as mcc
from geneb_jax.metric.confusion import scores as scores
