//! The developer's single door.
fn main() {}
