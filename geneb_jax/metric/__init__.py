"""Confusion tables and the scores that depend on them."""

from geneb_jax.metric.confusion import Scores as Scores
from geneb_jax.metric.confusion import accuracy as accuracy
from geneb_jax.metric.confusion import macro_f1 as macro_f1
from geneb_jax.metric.confusion import mcc as mcc
from geneb_jax.metric.confusion import scores as scores
