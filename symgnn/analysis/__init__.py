"""Structure of glasses as numbers: g(r), coordination, Voronoi cells, transition, crystals."""
