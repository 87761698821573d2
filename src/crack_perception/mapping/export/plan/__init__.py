"""Engineering drawing of the crack map: the surfaces unfolded on one sheet."""
