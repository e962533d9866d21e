//! Subcommands, tables and the personalities of the old tools.
