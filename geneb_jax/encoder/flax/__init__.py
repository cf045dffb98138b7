"""Published convolutional networks as Flax modules: SpliceAI's layout and DeePaC's. Imported only when named."""
