"""Which loading rule each registry model takes, and what has to be installed for it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

HF = "pip install 'geneb_jax[hf]'"
_MAMBA = f"{HF} mamba-ssm causal-conv1d   (both need a CUDA GPU)"


_BASE = ("torch", "transformers")


@dataclass(frozen=True)
class Needs:
    """What a rule needs: ``install`` in words, and the modules that Python finds once it was done.

    ``repository`` is the authors' own code where it is no package: a clone of it has to be on PYTHONPATH.
    ``pickle``: the published weights are in a format that can hide code.
    """

    install: str = HF
    modules: tuple[str, ...] = _BASE
    repository: str | None = None
    pickle: bool = False

    def missing(self) -> tuple[str, ...]:
        """The modules that this Python does not find."""
        return tuple(name for name in self.modules if not _found(name))


def _found(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package around it
        return False


# Official id -> key of its rule in `geneb_jax.encoder.families`.
FAMILY: dict[str, str] = {
    "agro-nucleotide-transformer-1b": "nt-v1",
    "nucleotide-transformer-2.5b-multi-species": "nt-v1",
    "nucleotide-transformer-v2-50m-3mer-multi-species": "nt-v2",
    "nucleotide-transformer-v2-50m-multi-species": "nt-v2",
    "nucleotide-transformer-v2-100m-multi-species": "nt-v2",
    "nucleotide-transformer-v2-250m-multi-species": "nt-v2",
    "BioFM-265M": "biofm",
    "caduceus-ph_seqlen-1k_d_model-256_n_layer-4_lr-8e-3": "caduceus",
    "caduceus-ps_seqlen-131k_d_model-256_n_layer-16": "caduceus",
    "PlantCaduceus_l32": "caduceus",
    "deepgene": "deepgene",
    "dna_gpt0.1b_h": "dnagpt",
    "dna_gpt3b_m": "dnagpt",
    "DNABERT-S": "dnabert-s",
    "dnabert2-no-flashattention": "dnabert-2",
    "eccdnamamba_weights": "eccdnamamba",
    "enformer-official-rough": "enformer",
    "evo-1-131k-base": "evo",
    "gena-lm-bert-base": "gena-lm",
    "gena-lm-bert-base-t2t-multi": "gena-lm",
    "gena-lm-bert-large-t2t": "gena-lm",
    "GENERator-eukaryote-1.2b-base": "generator",
    "GENERator-eukaryote-3b-base": "generator",
    "GenomeOcean-4B": "genomeocean",
    "GenomeOcean-500M": "genomeocean",
    "genomics-fm": "genomics-fm",
    "gpt2_gene_multi_v2_ft": "gpt2-gene",
    "gpt2_gene_v1": "gpt2-gene",
    "GROVER": "grover",
    "hyenadna-large-1m-seqlen-hf": "hyenadna",
    "hyenadna-medium-160k-seqlen-hf": "hyenadna",
    "JanusDNA_72_w": "janusdna",
    "JanusDNA_72_wo": "janusdna",
    "LucaOne-default-step36M": "lucaone",
    "METAGENE-1": "metagene",
    "MutBERT": "mutbert",
    "Omni-DNA-1B": "omni-dna",
    "Omni-DNA-300M": "omni-dna",
    "OmniNA-220m": "omnina",
    "space": "space",
    "splicebert-1024nt": "splicebert",
}

# Key of a rule -> what it needs; those left out need the extra ``hf`` only. The modules of remote code are those that
# the code of the pinned revision imports; the repositories are the authors' own.
NEEDS: dict[str, Needs] = {
    "dnabert-2": Needs(f"{HF} einops", (*_BASE, "einops")),
    "dnabert-s": Needs(f"{HF} einops", (*_BASE, "einops")),
    "caduceus": Needs(_MAMBA, (*_BASE, "mamba_ssm", "causal_conv1d")),
    "evo": Needs(f"{HF} flash-attn   (needs a CUDA GPU)", (*_BASE, "flash_attn")),
    # enformer-pytorch asks for one old version of transformers, and runs with new ones
    "enformer": Needs(
        f"{HF} einops polars pyfaidx && pip install --no-deps enformer-pytorch", (*_BASE, "enformer_pytorch")
    ),
    "space": Needs(
        f"{HF} einops pandas wandb", (*_BASE, "model.modeling_space"), "https://github.com/ZhuJiwei111/SPACE"
    ),
    "splicebert": Needs(pickle=True),
    "biofm": Needs(f"{HF} git+https://github.com/m42-health/biofm-eval", (*_BASE, "biofm_eval")),
    "dnagpt": Needs(HF, (*_BASE, "dna_gpt"), "https://github.com/TencentAILabHealthcare/DNAGPT", pickle=True),
    "genomics-fm": Needs(HF, (*_BASE, "genomics_fm"), "https://github.com/terry-r123/Genomics-FM"),
    "eccdnamamba": Needs(
        _MAMBA,
        (*_BASE, "mamba_ssm", "causal_conv1d", "BiMambaForMaskedLM"),
        "https://github.com/zzq1zh/eccDNAMamba",
    ),
    "janusdna": Needs(
        _MAMBA,
        (*_BASE, "mamba_ssm", "causal_conv1d", "janusdna.modeling_janusdna", "caduceus.tokenization_caduceus"),
        "https://github.com/Qihao-Duan/JanusDNA",
    ),
}
