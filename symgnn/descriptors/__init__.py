"""Numbers of an atom that do not turn with the structure: inputs of models beside the graph."""
