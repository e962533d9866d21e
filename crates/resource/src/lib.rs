//! Resource groups of one node: what is started in which order, how long it may take, and what runs still.

#![forbid(unsafe_code)]
