"""Configuration: read safely, typed, checked, redacted; import the submodule that you need."""
