//! One attempt of each kind of check.
