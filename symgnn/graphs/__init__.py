"""Graphs of glasses: nodes are atoms, edges are pairs within the cutoff."""
