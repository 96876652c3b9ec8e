"""The model families, a module each: what the pipeline, the commands and the page need to know of one."""
