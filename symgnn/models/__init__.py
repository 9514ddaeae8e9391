"""Networks that map a graph to one energy barrier an atom."""
