//! The table of services, the planner, the data plane trait and its in-memory reference.
