//! Checkpoints that are torn, strange, old, or of another file.
