"""Reading lakes (SEP-54): object keys, manifest, safe zstd frames. No I/O of its own."""
