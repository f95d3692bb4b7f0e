"""Small complete projects. `python -m examples django` starts one on a local AWS."""
