//! How everything stands that is not told as it changes.

use evenkeel_heartbeat::View;
use evenkeel_resource::GroupReport;

/// For `status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Nodes, ping nodes and who has what.
    pub view: View,
    /// Every group with its resources, those on their way out last.
    pub groups: Vec<GroupReport>,
}
