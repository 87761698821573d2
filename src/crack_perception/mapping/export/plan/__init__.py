"""The crack map drawn as an engineer reads it: the surfaces unfolded beside each other on one sheet."""
