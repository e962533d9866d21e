//! The loops that feed the engine and carry out its effects.
