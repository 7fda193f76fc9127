//! The `jiesu` program.

fn main() {}
