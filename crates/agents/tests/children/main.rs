//! Real children: scripts, agents, plugins and programs that follow each protocol, and those of the host where it has them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod fencing;
mod keeper;
mod notices;
mod resources;
mod stage;
